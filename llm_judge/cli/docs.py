"""`python -m llm_judge.cli.docs`: write docs/cli.md from the command tree, in a checkout.

Built from names, help texts and defaults rather than from the printed help, whose boxes change with the
terminal and the version of Typer. Knows nothing about what the commands do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from llm_judge.cli.main import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
_INTRO = """\
<!-- Written by `python -m llm_judge.cli.docs`: edit the help texts instead. -->

# Command line

`python -m llm_judge` is the same as `llm-judge`. Results go to standard output, progress and errors to
standard error.
"""


def cli_page() -> str:
    """Return the page: one section a command, in the order of the help."""
    root = get_command(app)
    sections = [_section(name, command) for name, command in _commands("llm-judge", root)]
    return "\n".join([_INTRO, *sections])


# The command classes are Typer's own copies of click's and differ between versions, hence Any.
def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {child}", below)


def _section(name: str, command: Any) -> str:
    groups = getattr(command, "commands", {})
    arguments = [p for p in command.params if not p.opts[0].startswith("-")]
    options = [p for p in command.params if p.opts[0].startswith("-") and "completion" not in p.name]
    shown = [_usage_of(argument) for argument in arguments]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *shown, *(["COMMAND"] if groups else [])])
    parts = [f"## {name}", _text(command.help or ""), f"```text\n{usage}\n```"]
    if groups:
        below = [(f"`{child}`", group.get_short_help_str(200)) for child, group in groups.items()]
        parts.append(_table(("command", "what it does"), below))
    if arguments:
        meant = [(f"`{_metavar(p)}`", p.help or "") for p in arguments]
        parts.append(_table(("argument", "meaning"), meant))
    if options:
        given = [(_names(p), p.help or "", _default(p)) for p in options]
        parts.append(_table(("option", "meaning", "default"), given))
    if command.epilog:
        parts.append(command.epilog)
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(text: str) -> str:
    """Help text as Markdown: its indented paragraphs are commands to copy."""
    blocks: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("  "):
            blocks.append(paragraph)
        elif blocks and blocks[-1].endswith("\n```"):
            blocks[-1] = f"{blocks[-1][:-4]}\n{paragraph.strip()}\n```"
        else:
            blocks.append(f"```sh\n{paragraph.strip()}\n```")
    return "\n\n".join(blocks)


def _usage_of(argument: Any) -> str:
    one = _metavar(argument)
    shown = f"{{{one}}}..." if argument.nargs == -1 else one
    return shown if argument.required else f"[{shown}]"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    return f"{names}, repeatable" if option.multiple else names


def _default(option: Any) -> str:
    return "" if option.is_flag or option.default in (None, ()) else f"`{option.default}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(cli_page(), encoding="utf-8")
