"""Takes the steps of the tour: makes its edits, runs its commands, and masks what differs from run to run.

Knows nothing about what the story is, or what becomes of the sections.
"""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llm_judge.cli.tour_story import Command, Edit, Step
from llm_judge.errors import ExitCode, JudgeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_JUDGED = "A model answers here, so the figures may differ on another machine."
_UNWANTED = {
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "LLM_JUDGE_DEBUG",
    "PYTHONWARNINGS",
    "PY_COLORS",
    "SOURCE_DATE_EPOCH",
}
_PLAIN = {
    "COLUMNS": "100",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_NAME": "editor" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "editor@example.org" for role in ("AUTHOR", "COMMITTER")},
}

# What differs from run to run → the word that stands for it; in a table it is as wide.
MASKS = (
    (re.compile(r"\b\d{12}-[0-9a-f]{16}\.tar\b"), "<bundle>.tar"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?"), "<date>"),
    (re.compile(r"\b1\d{9}\b"), "<seconds>"),  # since 1970, the sequence of a bundle
    (re.compile(r" +[\d,]+(?= │ [0-9a-f]{16} │$)"), " <n>"),  # bytes of a file of a bundle
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{12,64}\b…?"), "<digest>"),
    (re.compile(r"\b(p|exempt|mass|probability|with) [01]\.\d\d\b"), r"\1 <p>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|seconds)\b"), r"<n> \2"),
)


class TourError(JudgeError):
    """A command or an edit of the story does not do what the story says."""

    exit_code = ExitCode.FOUND


@dataclass(frozen=True, slots=True)
class Section:
    """One step as the page shows it.

    Attributes:
        step: what was done.
        fixed: what the page must hold as it is: all of a step, or of a judged one all but the answers.
        answers: what a judged step printed; empty where no model was asked.
    """

    step: Step
    fixed: str
    answers: str = ""


def mask(text: str, folder: str = "") -> str:
    """Return what commands printed, in ``folder``, with fixed words for what differs from run to run."""
    lines = (text.replace(folder, "<folder>") if folder else text).split("\n")
    for pattern, word in MASKS:
        lines = [pattern.sub(partial(_fitted, word=word), line) for line in lines]
    return "\n".join(line.rstrip() for line in lines)


def _fitted(found: re.Match[str], word: str) -> str:
    shown, width = found.expand(word), len(found.group())
    if not found.string.startswith("│"):
        return shown
    return shown.rjust(width) if word.startswith(" ") else shown.ljust(width)


def take_steps(steps: Iterable[Step], folder: Path, engine: str, *, ask_model: bool) -> list[Section]:
    """Take steps in an empty folder.

    Args:
        steps: what to do.
        folder: where; it becomes a git repository.
        engine: what judges.
        ask_model: whether to run what is judged.

    Raises:
        TourError: a command ended with another exit code than the story says, or an edit does not fit.
    """
    _run(Command("git init --quiet --initial-branch main"), folder)
    return [_taken(step, folder, engine if ask_model else "") for step in steps]


def _taken(step: Step, folder: Path, engine: str) -> Section:
    parts = [f"## {step.heading}\n"] if step.heading else []
    parts.append(f"{step.words}\n{_JUDGED}\n" if step.judged else f"{step.words}\n")
    answers = ""
    try:
        parts += [
            _edited(file, step.edits, folder) for file in dict.fromkeys(edit.file for edit in step.edits)
        ]
        for command in step.commands:
            parts.append(f"```console\n$ {command.line}\n")
            if step.judged:
                answers = _judged(step, command, folder, engine) if engine else ""
            else:
                parts[-1] += _shown(*_run(command, folder))
    except TourError as error:
        raise TourError(f"step `{step.name}`: {error.message}", error.hint) from None
    return Section(step, "\n".join(parts), answers)


def _judged(step: Step, command: Command, folder: Path, engine: str) -> str:
    code, out = _run(command, folder, engine)
    report = html.unescape((folder / step.report).read_text("utf-8")) if step.report else ""
    if missing := unnamed(step.names, out + report):
        raise TourError(f"`{command.line}` does not name {', '.join(missing)}")
    return _shown(code, out)


def unnamed(names: Iterable[str], text: str) -> list[str]:
    """Return the names that a text holds nowhere, however its lines are broken."""
    flat = " ".join(text.split())
    return [f"`{name}`" for name in names if " ".join(name.split()) not in flat]


def _shown(code: int, out: str) -> str:
    return f"{out}```\n\nExit code {code}.\n"


def _edited(name: str, edits: Sequence[Edit], folder: Path) -> str:
    """Make the edits of one file and return them as a diff; bytes that are no text are kept."""
    path = folder / name
    before = after = path.read_bytes().decode("utf-8", "surrogateescape")
    for edit in edits:
        if edit.file == name and edit.old not in after:
            raise TourError(f"`{name}` no longer holds `{edit.old.strip()}`", "the story needs another edit")
        if edit.file == name:
            after = after.replace(edit.old, edit.new, 1) if edit.old else edit.new
    path.write_bytes(after.encode("utf-8", "surrogateescape"))
    packed = "\0" in before
    old, new = before.splitlines(), after.splitlines()
    lines = unified_diff(old, new, name, name, n=0 if packed else 1, lineterm="")
    shown = "\n".join(line for line in lines if not (packed and line.startswith("@@")))
    return f"```diff\n{shown}\n```\n"


def _run(command: Command, folder: Path, engine: str = "") -> tuple[int, str]:
    words = shlex.split(command.line.replace("\\\n", " "))
    words = [found for word in words for found in _globbed(word, folder)]
    if words[0] == "llm-judge":
        words = [sys.executable, "-m", "llm_judge", *words[1:], *(["--engine", engine] if engine else [])]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # in the order in which a terminal shows them
            check=False,
        )
    except FileNotFoundError:
        raise TourError(f"the command `{words[0]}` is not installed") from None
    out = mask(done.stdout.decode("utf-8", "replace"), str(folder))
    if done.returncode not in command.codes:
        typer.echo(out, err=True)
        wanted = " or ".join(map(str, command.codes))
        raise TourError(f"`{command.line}` ended with exit code {done.returncode}, not {wanted}")
    return done.returncode, out


def _globbed(word: str, folder: Path) -> list[str]:
    found = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else []
    return found or [word]


def _environment() -> dict[str, str]:
    """Ours, less what would change the output: colours, debugging, a fixed time, another repository."""
    kept = {k: v for k, v in os.environ.items() if k not in _UNWANTED and not k.startswith("GIT_")}
    package = str(Path(__file__).resolve().parents[2])  # found from the temporary folder, too
    return {**kept, **_PLAIN, "PYTHONPATH": os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH"))))}
