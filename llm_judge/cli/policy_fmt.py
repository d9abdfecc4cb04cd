"""`llm-judge policy fmt`: files in the one form they are written in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import ExitCode, PolicyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.diagnostics import Diagnostic


@dataclass(slots=True)
class _Done:
    """What became of the files: unchanged ones are only counted."""

    changed: dict[Path, tuple[str, str]] = field(default_factory=dict)  # old and new text
    found: list[Diagnostic] = field(default_factory=list)
    wrong: list[Path] = field(default_factory=list)
    unchanged: int = 0


def fmt(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Policy, cases and overlay files, or folders of them."),
    ],
    write: Annotated[bool, typer.Option("--write", "-w", help="Change the files and list them.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print what would change, line by line.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="List what would change, and exit 1 where anything would.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lists as one JSON object.")] = False,
) -> None:
    """Write policies, cases and overlays in their one form: order of keys, blank lines, quotes.

    Without an option the text of one file is printed as it would be. Comments stay with the line they
    speak of. What is written is read again first: a file whose meaning or comments would change is left
    alone, and so is a file with errors, which are shown.

      llm-judge policy fmt --diff policies

      llm-judge policy fmt -w policies/safety/hate.yaml

    Exit codes: 0 done, 1 `--check` found files that would change, 2 a file has errors or cannot be read.
    """
    if write and check:
        raise UsageError("`--write` and `--check` exclude each other", "leave one of them out")
    files = list(_files(paths))
    printed = not (write or diff or check or as_json)
    if printed and (len(files) != 1 or paths[0].is_dir()):
        raise UsageError("only one file can be printed", "add --write, --diff or --check for more")
    done = _format(files)
    if printed and not done.wrong:
        text = done.changed[files[0]][1] if done.changed else files[0].read_text(encoding="utf-8")
        typer.echo(text, nl=False)
    elif not printed:
        _show(done, write=write, diff=diff, as_json=as_json)
    if done.wrong:
        from llm_judge.policy.load import wrong_files

        raise wrong_files(done.found)
    raise typer.Exit(ExitCode.FOUND if check and done.changed else ExitCode.OK)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield each file once; a folder is searched but for hidden files and the folder ``schema``."""
    seen: set[Path] = set()
    for path in paths:
        for file in _search(path) if path.is_dir() else (path,):
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file
    if not seen:
        shown = ", ".join(f"`{path}`" for path in paths)
        raise UsageError(f"there is no file to format in {shown}", "names end in `.yaml`")


def _search(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise PolicyError(f"`{error.filename}` cannot be read", hint="check its permissions")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if name != "schema" and name[0] != ".")
        yield from (Path(parent) / n for n in sorted(names) if n.endswith(".yaml") and n[0] != ".")


def _format(files: Sequence[Path]) -> _Done:
    from llm_judge.cli.progress import item_progress
    from llm_judge.policy.format import format_text
    from llm_judge.source import decode, read

    done = _Done()
    with item_progress(len(files), label="formatting") as advance:
        for path in files:
            data = read(path)
            text, found = decode(data, str(path))
            new = None
            if text is not None:
                new, found = format_text(text, path)
            if new is None or text is None:
                done.found += found
                done.wrong.append(path)
            elif new.encode() != data:
                done.changed[path] = (text, new)
            else:
                done.unchanged += 1
            advance(1)
    return done


def _show(done: _Done, *, write: bool, diff: bool, as_json: bool) -> None:
    from llm_judge.cli.report_file import replace_text

    if write:
        for path, (_, new) in done.changed.items():
            replace_text(path, new)
    if as_json:
        lists = {"changed": [*map(str, done.changed)], "wrong": [*map(str, done.wrong)]}
        typer.echo(json.dumps({**lists, "unchanged": done.unchanged, "written": write}))
        return
    for path, (old, new) in done.changed.items():
        typer.echo(_diff(old, new, path) if diff else str(path), nl=not diff)
    verb = "changed" if write else "would change"
    counts = f"{_files_of(len(done.changed))} {verb}, {done.unchanged} already formatted"
    typer.echo(counts + (f", {_files_of(len(done.wrong))} with errors" if done.wrong else ""), err=True)


def _files_of(number: int) -> str:
    return f"{number} file{'s' if number != 1 else ''}"


def _diff(old: str, new: str, path: Path) -> str:
    lines = unified_diff(old.splitlines(), new.splitlines(), str(path), f"{path} (formatted)", lineterm="")
    shown = "\n".join(lines)
    return f"{shown}\n" if shown else f"{path}: only line ends, the last line or a byte order mark change\n"
