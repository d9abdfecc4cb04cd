"""`llm-judge judge`: text, files, folders and JSONL rows in; decisions with evidence out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import (
    BundleFolder,
    CalibrationFile,
    EngineSpec,
    Only,
    Overlays,
    Policies,
    read_guidelines,
    warn_of_gaps,
)
from llm_judge.errors import ExitCode, JudgeError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.batch.items import Item
    from llm_judge.judge import Judge
    from llm_judge.record import DecisionRecord, RecordFile
    from llm_judge.report import RecordPrinter, Tally

_MAX_ERROR_LINES = 20  # of items that cannot be judged; a million bad rows must not bury the summary

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT|FILE|-",
        help="Texts, media files, folders, .jsonl files, or `-` for JSONL rows from standard input "
        '(one `{"id": …, "text": …}` or `{"id": …, "file": …}` a line).',
    ),
]


def judge(
    inputs: Inputs,
    policies: Policies = None,
    only: Only = None,
    overlays: Overlays = None,
    bundle: BundleFolder = None,
    engine: EngineSpec = "local",
    calibration: CalibrationFile = None,
    explain: Annotated[
        str,
        typer.Option(
            metavar="WHEN", help="`never`, `auto` (rules that fire, are exempt or uncertain) or `always`."
        ),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON record a line on standard output.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Append records to this JSONL file.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out: judge only what it does not hold.")
    ] = False,
    keep_quotes: Annotated[
        bool,
        typer.Option(
            "--keep-quotes", help="Write quoted content into --out; otherwise only its digest and place."
        ),
    ] = False,
    max_text_bytes: Annotated[
        int | None,
        typer.Option(min=1, metavar="BYTES", help="Longest text that is judged (2 MiB if left out)."),
    ] = None,
) -> None:
    """Judge content by guidelines and show each decision with its evidence.

    Examples:

      llm-judge judge "You have won! Send a small fee to claim your prize."

      llm-judge judge poster.png clip.ogg holiday.mp4 --explain always

      llm-judge judge posts.jsonl --out records.jsonl --resume --explain never

      llm-judge judge clip.mp4 --overlay age_teen --overlay market_de
    """
    from llm_judge.batch.items import check_arguments, items_from_arguments
    from llm_judge.content.open import Limits
    from llm_judge.engines.protocol import limits_for

    if resume and out is None:
        raise UsageError("--resume needs --out", "name the file to go on with")
    limits = Limits() if max_text_bytes is None else Limits(text_bytes=max_text_bytes)
    # First, because a wrong path or policy must not cost the time of loading a model.
    check_arguments(inputs)
    judge_ = build_judge(
        policies, only, engine, explain, overlays=overlays, bundle=bundle, calibration=calibration
    )
    warn_of_gaps(judge_.gaps)
    items = items_from_arguments(inputs, sys.stdin.buffer, limits_for(judge_.engine, limits))
    if out is None:
        code = _run(judge_, items, None, inputs, as_json)
    else:
        from llm_judge.record import RecordFile

        with RecordFile(out, judge_.run, resume=resume, keep_quotes=keep_quotes) as record_file:
            code = _run(judge_, items, record_file, inputs, as_json)
    raise typer.Exit(code)


def build_judge(
    policies: Sequence[Path] | None,
    only: Sequence[str] | None,
    engine: str,
    explain: str,
    explain_at_most: int = 3,
    overlays: Sequence[str] | None = None,
    bundle: Path | None = None,
    calibration: Path | None = None,
) -> Judge:
    """Load policies and calibration, open the engine and join them; raises what each of them raises."""
    from llm_judge.calibration import read_calibration
    from llm_judge.compile import TargetModel, compile_policies
    from llm_judge.engines.open import open_engine
    from llm_judge.judge import Explain, Judge, JudgeSettings

    if explain not in set(Explain):
        raise UsageError(f"unknown --explain `{explain}`", "choose never, auto or always")
    chosen, prompts = read_guidelines(policies, only, overlays, bundle)
    calibrated = None if calibration is None else read_calibration(calibration)
    opened = open_engine(engine)
    target = TargetModel(opened.info.model, opened.info.context_tokens, opened.count_tokens)
    settings = JudgeSettings(
        explain=Explain(explain), explain_at_most=explain_at_most, calibration=calibrated
    )
    return Judge(compile_policies(chosen, target, prompts), opened, settings)


def _run(
    judge_: Judge, items: Iterator[Item], out: RecordFile | None, inputs: Sequence[str], as_json: bool
) -> ExitCode:
    """Judge everything, show each batch as it is done, and return what the shell should see."""
    from contextlib import closing

    from rich.console import Console

    from llm_judge.batch.items import count_items
    from llm_judge.batch.run import run_batches
    from llm_judge.cli.progress import item_progress
    from llm_judge.report import RecordPrinter, Tally

    tally = Tally()
    quiet = out is not None and not as_json
    console = Console()
    printer = RecordPrinter(console, judge_.compiled, as_json=as_json, quiet=quiet)
    total = count_items(inputs) if sys.stderr.isatty() else None
    with item_progress(total, console, wanted=not (as_json and sys.stdout.isatty())) as advance:

        def skipped() -> None:
            tally.skipped += 1
            advance(1)

        records = run_batches(judge_, items, out, on_skip=skipped, on_stop=_say_stopping)
        try:
            with closing(records):
                for record in records:
                    tally.add(record)
                    printer.add(record)
                    _say_error(record, tally.failed)
                    advance(1)
        except OutputError:
            raise  # it counts what was written itself
        except JudgeError:
            _finish(printer, tally)
            raise
    _finish(printer, tally)
    return tally.exit_code()


def _finish(printer: RecordPrinter, tally: Tally) -> None:
    printer.finish()
    typer.echo(tally.line(), err=True)


def _say_error(record: DecisionRecord, failed: int) -> None:
    """One line on stderr for an item that could not be judged, wherever its record goes."""
    if record.error is None or failed > _MAX_ERROR_LINES + 1:
        return
    if failed > _MAX_ERROR_LINES:
        line = "error: more items could not be judged; each record says why"
    else:
        name, message = str(record.item["id"]), record.error["message"] or ""
        said = f"`{name}`" in message or message.startswith(f"{name}:")
        line = f"error: {message}" if said else f"error: {name}: {message}"
        hint = record.error["hint"]
        line += f" ({hint})" if hint else ""
    from llm_judge.report import printable

    typer.echo(printable(line), err=True)


def _say_stopping() -> None:
    """Called in a signal handler, where only a bare write is safe."""
    os.write(2, b"\nstopping after the items in hand; press Ctrl-C again to stop at once\n")
