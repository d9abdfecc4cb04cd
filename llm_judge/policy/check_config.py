"""Levels and waivers of checks, read from ``pyproject.toml`` or ``llm-judge.toml``.

Knows nothing about the checks themselves; a wrong entry is a diagnostic at its line.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.diagnostics import Diagnostic, Level, Span
from llm_judge.errors import UsageError
from llm_judge.policy.codes import CODES, report
from llm_judge.policy.shape import suggestion
from llm_judge.source import MAX_BYTES, Source, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

OFF = "off"
_LEVELS = (*(level.value for level in Level), OFF)
_PROJECT_TABLE = ("tool", "llm-judge", "check")
_WAIVER_KEYS = ("code", "file", "reason", "expires")


@dataclass(frozen=True, slots=True)
class Waiver:
    """One code that is let through in some files, for a reason, until a day.

    Attributes:
        code: the code.
        file: glob over the path of a file, relative to the folder of the configuration.
        reason: why.
        expires: last day it holds.
        span: where it is written.
    """

    code: str
    file: str
    reason: str
    expires: date
    span: Span


@dataclass(frozen=True)
class CheckConfig:
    """What a configuration asks for.

    Attributes:
        levels: code → ``error``, ``warning`` or ``off``.
        waivers: those that hold.
        found: what is wrong with the configuration itself.
        folder: where it stands; globs start there.
        source: its text, or None where there is no configuration.
    """

    levels: Mapping[str, str] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    found: tuple[Diagnostic, ...] = ()
    folder: Path = field(default_factory=Path)
    source: Source | None = None

    def level(self, diagnostic: Diagnostic) -> Diagnostic | None:
        """Return the diagnostic at the level that is asked for, or None where its code is off."""
        wanted = self.levels.get(diagnostic.code)
        if wanted is None:
            return diagnostic
        return None if wanted == OFF else replace(diagnostic, level=Level(wanted))

    def waiver(self, diagnostic: Diagnostic) -> Waiver | None:
        """Return the first waiver that covers a diagnostic."""
        path = Path(diagnostic.span.file).absolute()
        shown = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        return next(
            (w for w in self.waivers if w.code == diagnostic.code and fnmatchcase(shown.as_posix(), w.file)),
            None,
        )

    def unused(self, used: Iterable[Waiver]) -> Iterator[Diagnostic]:
        """Yield P143 for waivers that covered nothing."""
        spent = list(used)
        for waiver in self.waivers:
            if waiver not in spent and self.source:
                message = f"no {waiver.code} is found in `{waiver.file}`"
                yield report(self.source, "P143", waiver.span, message, "delete the waiver")


def find_config(paths: Sequence[Path]) -> Path | None:
    """Return the nearest configuration next to or above the first path, or None.

    ``llm-judge.toml`` wins over ``pyproject.toml``, which counts only with a
    ``[tool.llm-judge.check]`` table.
    """
    start = paths[0].absolute()
    for folder in (start, *start.parents) if start.is_dir() else start.parents:
        own, project = folder / "llm-judge.toml", folder / "pyproject.toml"
        if own.is_file():
            return _short(own)
        if project.is_file() and _holds_checks(project):
            return _short(project)
    return None


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _holds_checks(project: Path) -> bool:
    try:
        text = project.read_text("utf-8", errors="replace")
        table: Any = tomllib.loads(text)
    except OSError:
        return False
    except (tomllib.TOMLDecodeError, RecursionError):
        return "[tool.llm-judge" in text  # reading it will say what is wrong
    for key in _PROJECT_TABLE:
        table = table.get(key) if isinstance(table, dict) else None
    return table is not None


def load_config(path: Path, today: date) -> CheckConfig:
    """Read a configuration.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES).decode("utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or 'not a file').lower()}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:120]
        raise UsageError(
            f"`{path}` is not TOML: {said[:1].lower()}{said[1:]}",
            "nothing is checked by half a configuration: mend it first",
        ) from None
    table: Any = data
    for key in ("check",) if path.name != "pyproject.toml" else _PROJECT_TABLE:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return _Reader(Source(str(path), text), today).read(table, path.absolute().parent)


@dataclass
class _Reader:
    """Turns the table into a configuration; ``found`` collects what is wrong with it."""

    source: Source
    today: date
    found: list[Diagnostic] = field(default_factory=list)

    def read(self, table: Any, folder: Path) -> CheckConfig:
        known = ("levels", "waivers")
        if not isinstance(table, dict):
            self._wrong("P140", "check", "`check` must be a table", "write `[tool.llm-judge.check.levels]`")
            table = {}
        for key in table:
            if key not in known:
                self._wrong("P140", key, f"unknown key {quoted(key)}", suggestion(key, known, "allowed keys"))
        levels = self._levels(table.get("levels", {}))
        waivers = tuple(self._waivers(table.get("waivers", [])))
        self.found.sort(key=lambda diagnostic: diagnostic.span)
        return CheckConfig(levels, waivers, tuple(self.found), folder, self.source)

    def _levels(self, table: Any) -> dict[str, str]:
        levels: dict[str, str] = {}
        if not isinstance(table, dict):
            self._wrong("P140", "levels", "`levels` must be a table", 'write lines such as `P201 = "error"`')
            return levels
        for code, level in table.items():
            if not self._is_code(code):
                continue
            if level not in _LEVELS:
                self._wrong(
                    "P140",
                    code,
                    f"level of {code} cannot be {quoted(str(level))}",
                    suggestion(str(level), _LEVELS, "levels"),
                )
            elif CODES[code].fixed and level != Level.ERROR:
                message = f"{code} is always an error"
                self._wrong("P140", code, message, "a file with it is not loaded at all: delete this line")
            else:
                levels[code] = level
        return levels

    def _is_code(self, code: str, span: Span | None = None) -> bool:
        if code in CODES:
            return True
        help_line = suggestion(code, list(CODES)) if len(code) == 4 else "codes look like `P201`"
        self._wrong("P140", code, f"unknown code {quoted(code)}", help_line, span)
        return False

    def _waivers(self, items: Any) -> Iterator[Waiver]:
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self._wrong(
                "P140",
                "waivers",
                "`waivers` must be a list of tables",
                "write `[[tool.llm-judge.check.waivers]]`",
            )
            return
        spans = self._waiver_spans(len(items))
        for item, span in zip(items, spans, strict=True):
            if waiver := self._waiver(item, span):
                yield waiver

    def _waiver(self, item: dict[str, Any], span: Span) -> Waiver | None:
        for key in item:
            if key not in _WAIVER_KEYS:
                help_line = suggestion(key, _WAIVER_KEYS, "allowed keys")
                self._wrong("P140", key, f"unknown key {quoted(key)} in a waiver", help_line, span)
        code, file, reason = (item.get(key) for key in _WAIVER_KEYS[:3])
        if not isinstance(code, str) or not isinstance(file, str):
            self._wrong(
                "P140", "", "a waiver needs `code` and `file`", 'add `code = "P201"`, `file = "*"`', span
            )
            return None
        if not self._is_code(code, span):
            return None
        if CODES[code].fixed:
            message = f"{code} cannot be waived"
            self._wrong("P140", "", message, "a file with it is not loaded at all: delete this waiver", span)
            return None
        until = _day(item.get("expires"))
        if not isinstance(reason, str) or not reason.strip():
            self._wrong("P141", "", f"this waiver of {code} has no reason", 'add `reason = "…"`', span)
        elif until is None:
            message = f"this waiver of {code} has no day on which it expires"
            self._wrong("P141", "", message, "add `expires = 2030-12-31`", span)
        elif until < self.today:
            message = f"this waiver of {code} expired on {until.isoformat()}"
            self._wrong("P142", "", message, "mend what it waives, or agree on a new day", span)
        else:
            return Waiver(code, file, reason.strip(), until, span)
        return None

    def _waiver_spans(self, count: int) -> list[Span]:
        """Where each waiver is written: tomllib keeps no places, so look for its header or its brace."""
        text = self.source.text
        starts = list(re.finditer(r"(?m)^\s*\[\[[^\]\n]*waivers\s*\]\]|\{[^{}]*\bcode\s*=", text))
        if len(starts) != count:
            return [self._span("waivers")] * count
        return [self.source.span(m.end() - len(m.group().lstrip()), m.end()) for m in starts]

    def _span(self, word: str) -> Span:
        match = re.search(rf"(?m)(?<![\w-]){re.escape(word)}(?![\w-])", self.source.text) if word else None
        return self.source.span(match.start(), match.end()) if match else Span(self.source.file, 1, 1)

    def _wrong(self, code: str, word: str, message: str, help_line: str, span: Span | None = None) -> None:
        self.found.append(report(self.source, code, span or self._span(word), message, help_line))


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
