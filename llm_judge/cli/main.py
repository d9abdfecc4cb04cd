"""`llm-judge`: the command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llm_judge import __version__
from llm_judge.cli import demo as demo_command
from llm_judge.cli import drift as drift_command
from llm_judge.cli import eval as eval_command
from llm_judge.cli import finetune as finetune_command
from llm_judge.cli import judge as judge_command
from llm_judge.cli import models as models_command
from llm_judge.cli import policy as policy_command
from llm_judge.cli import records as records_command
from llm_judge.cli import rollout as rollout_command
from llm_judge.cli import serve as serve_command
from llm_judge.cli import show as show_command
from llm_judge.errors import ExitCode, Interrupted, JudgeError

_EPILOG = (
    "Exit codes: 0 done, nothing found · 1 done, something found · 2 could not run · "
    "3 ran, but at least one item has no decision of its own."
)


class _ReaderGone(Exception):
    """Nobody reads standard output any more (`| head`): not an error of ours."""


class _Commands(TyperGroup):
    """Keeps Ctrl-C and a closed pipe from Typer, whose exit codes for them mean something else here."""

    def invoke(self, ctx: Any) -> Any:  # a context of whichever click this Typer carries
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("stopped at once; what was written stays") from None
        except (BrokenPipeError, SystemExit):  # Rich ends the process when the pipe is closed
            raise _ReaderGone from None


app = typer.Typer(
    name="llm-judge",
    cls=_Commands,
    help="Judge text, images, sound and video by Community Guidelines written as YAML.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("judge", epilog=_EPILOG)(judge_command.judge)
app.command("demo")(demo_command.demo)
app.add_typer(serve_command.app, name="serve")
app.add_typer(rollout_command.app, name="rollout")
app.add_typer(show_command.app, name="show")
app.add_typer(models_command.app, name="models")
app.add_typer(policy_command.app, name="policy")
app.add_typer(records_command.app, name="records")
app.add_typer(drift_command.app, name="drift")
app.add_typer(eval_command.app, name="eval")
app.add_typer(finetune_command.app, name="finetune")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llm-judge {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Judge text, images, sound and video by Community Guidelines written as YAML."""


def main() -> None:
    """Run the command line; no error reaches the user as a traceback.

    Set ``LLM_JUDGE_DEBUG=1`` to see tracebacks of unexpected errors.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    with _errors_as_messages():
        app(prog_name="llm-judge")


@contextlib.contextmanager
def _errors_as_messages() -> Iterator[None]:
    try:
        yield
    except JudgeError as error:
        _print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("error: stopped")
        sys.exit(ExitCode.UNDECIDED)
    except _ReaderGone:
        # Standard output still holds what could not be sent; flushing it at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(ExitCode.COULD_NOT_RUN)
    except Exception as error:
        if os.environ.get("LLM_JUDGE_DEBUG"):
            raise
        what = " ".join(str(error).split())[:300]
        _say(f"error: internal error: {type(error).__name__}: {what}")
        _say("  = help: this is a fault of llm-judge; run with LLM_JUDGE_DEBUG=1 and report what it prints")
        sys.exit(ExitCode.COULD_NOT_RUN)


def _print_error(error: JudgeError) -> None:
    diagnostics = getattr(error, "diagnostics", ())
    if diagnostics:
        from llm_judge.diagnostics import to_text

        typer.echo(to_text(diagnostics), err=True)
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"  = help: {error.hint}")


def _say(line: str) -> None:
    """Write one line to stderr, showing control characters of quoted names instead of obeying them."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    typer.echo(shown, err=True)
