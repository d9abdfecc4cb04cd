"""What the doctor found in the labelled data: its data and its section.

Knows nothing about formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.evals.findings_file import COMMAND
from llm_judge.evals.report_parts import Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.doctor import Finding
    from llm_judge.evals.report_parts import Data

OPPOSITE_LABELS = ("D301", "D302")  # about equal and nearly equal texts
MOST_OPPOSITE = 25
_MOST_SHOWN = 3  # messages of each code
_TITLE = "What is wrong with the labelled data"


def findings_json(findings: Sequence[Finding] | None, items: frozenset[str]) -> list[dict[str, Any]] | None:
    """Return findings by code, those about items of the run first; None where the doctor was not asked."""
    if findings is None:
        return None
    codes = sorted({each.code for each in findings})
    return [_of_code([each for each in findings if each.code == code], items) for code in codes]


def opposite_json(findings: Sequence[Finding] | None, items: frozenset[str]) -> list[dict[str, Any]]:
    """Return equal and nearly equal texts with opposite labels, those with items of the run first."""
    found = _own_first([each for each in findings or () if each.code in OPPOSITE_LABELS], items)
    return [{"ids": list(each.ids), "message": each.message} for each in found]


def findings(data: Data) -> Section:
    """What was found, by code."""
    found = data["findings"]
    if found is None:
        point = f"Not examined: {COMMAND}, then give the file by --findings."
        return Section("findings", _TITLE, points=(point,))
    if not found:
        return Section("findings", _TITLE, points=("The doctor found nothing.",))
    text = (
        "What `llm-judge eval doctor` found in train, dev and the cases of guidelines. An error makes "
        "figures wrong, a warning makes them weak; no number here takes either into account.",
    )
    rows = tuple(
        (f"{e['code']}, {e['level']}", e["count"], e["of_this_run"], " ".join(e["shown"]), e["fix"])
        for e in found
    )
    header = ("code", "found", "about this run's items", "such as", "fix")
    return Section("findings", _TITLE, text, tables=(Table("Findings by code", header, rows),))


def warning(data: Data) -> str | None:
    """Return how many errors are about items of the run; None where there are none."""
    number = sum(each["of_this_run"] for each in data["findings"] or () if each["level"] == "error")
    if not number:
        return None
    return f"Errors that the doctor found in labels or splits of this run's items: {number:,}."


def _of_code(found: Sequence[Finding], items: frozenset[str]) -> dict[str, Any]:
    first = found[0]
    return {
        "code": first.code,
        "level": first.level.value,
        "count": len(found),
        "of_this_run": sum(not items.isdisjoint(each.ids) for each in found),
        "shown": [f"{each.message}." for each in _own_first(found, items)[:_MOST_SHOWN]],
        "fix": first.fix,
    }


def _own_first(found: Sequence[Finding], items: frozenset[str]) -> list[Finding]:
    return sorted(found, key=lambda each: items.isdisjoint(each.ids))
