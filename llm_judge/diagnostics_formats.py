"""Diagnostics for machines: SARIF 2.1.0 for code hosts, annotations for GitHub workflows.

Renders the same objects as ``diagnostics.to_text`` and computes nothing about them. Knows nothing
about YAML or policies; what a code means is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llm_judge.diagnostics import repeated_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.diagnostics import Diagnostic, Level

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """What a report says of a code itself.

    Attributes:
        title: a few words.
        level: its level unless configured otherwise.
        page: Markdown that explains it.
    """

    title: str
    level: Level
    page: str


def to_sarif(
    found: Sequence[Diagnostic],
    waived: Sequence[tuple[Diagnostic, str]],
    meanings: Mapping[str, CodeMeaning],
    version: str,
) -> dict[str, Any]:
    """Return a SARIF 2.1.0 log (OASIS, 2020) with one run.

    Args:
        found: what counts.
        waived: what does not, each with its justification; shown as suppressed results.
        meanings: at least every code that occurs.
        version: version of this program.
    """
    codes = sorted({each.code for each in (*found, *(each for each, _ in waived))})
    places = {code: index for index, code in enumerate(codes)}
    results = [_result(each, places) for each in found]
    for each, reason in waived:
        suppression = {"kind": "external", "status": "accepted", "justification": reason}
        results.append({**_result(each, places), "suppressions": [suppression]})
    driver = {
        "name": "llm-judge",
        "semanticVersion": version,
        "rules": [_rule(code, meanings[code]) for code in codes],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def to_github(found: Sequence[Diagnostic]) -> str:
    """Return one workflow command a line, which GitHub shows beside the changed line."""
    return "".join(_annotation(each) for each in found)


def _rule(code: str, meaning: CodeMeaning) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": meaning.title},
        "help": {"text": meaning.page, "markdown": meaning.page},
        "defaultConfiguration": {"level": meaning.level.value},
    }


def _result(each: Diagnostic, places: Mapping[str, int]) -> dict[str, Any]:
    span = each.span
    region: dict[str, Any] = {
        "startLine": span.line,
        "startColumn": span.column,
        "endColumn": span.column + span.length,
    }
    line = repeated_line(each)
    if line is not None:
        region["snippet"] = {"text": _sound(line)}
    place = {"artifactLocation": {"uri": _uri(span.file)}, "region": region}
    return {
        "ruleId": each.code,
        "ruleIndex": places[each.code],
        "level": each.level.value,
        "message": {"text": _sound(_words(each))},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    name = quote(path.as_posix(), safe="/~", errors="surrogateescape")
    return f"file://{name}" if path.is_absolute() else name


def _words(each: Diagnostic) -> str:
    return f"{each.message}; {each.help}" if each.help else each.message


def _sound(text: str) -> str:
    """Return text that every JSON reader takes: a file name may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _annotation(each: Diagnostic) -> str:
    span = each.span
    fields = {
        "file": PurePath(span.file).as_posix(),
        "line": span.line,
        "col": span.column,
        "endColumn": span.column + span.length - 1,
        "title": each.code,
    }
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in fields.items())
    return f"::{each.level.value} {shown}::{_data(_words(each))}\n"


def _data(text: str) -> str:
    """Escape as GitHub's own toolkit does for the text of a command."""
    return _sound(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
