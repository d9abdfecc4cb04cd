"""The manifest of training data → one HTML page of counts; it holds no words of any row.

Knows nothing about rows or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.evals.report_page import page
from llm_judge.evals.report_parts import Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_judge.evals.report_parts import Value

_ANSWERS = (YES, NO, EXCEPT)
_SHOWN = {
    "kind": "By kind",
    "variant": "By what was done to the policy or the text",
    "contrast": "By how the rejected answer is worse",
    "lang": "By language",
    "source": "By set",
}


def statistics_page(manifest: Mapping[str, Any]) -> str:
    """Return the page of one data folder.

    Args:
        manifest: as it stands in ``manifest.json``.
    """
    outputs: Mapping[str, Mapping[str, Any]] = manifest["outputs"]
    sections = [_summary(outputs), _left_out(manifest["left_out"])]
    for name, about in outputs.items():
        if about["rows"]:
            sections.append(_file(name, about))
    return page("Training data", sections, [], {})


def _summary(outputs: Mapping[str, Mapping[str, Any]]) -> Section:
    rows = tuple(
        (name, about["rows"], about["tokens"]["all"], about["tokens"]["longest"])
        for name, about in outputs.items()
    )
    table = Table("Files", ("file", "rows", "tokens", "longest"), rows)
    text = (
        "What a model is trained on, and what it is measured on meanwhile (dev).",
        "A question is only asked where its answer is known.",
    )
    return Section("summary", "Summary", text, tables=(table,))


def _left_out(left_out: Mapping[str, Mapping[str, int]]) -> Section:
    rows = tuple((reason, sum(by.values()), _largest(by)) for reason, by in left_out.items())
    table = Table("Left out", ("why", "number", "most from"), rows)
    return Section(
        "left-out", "What was left out", ("Rows first, then questions made of rows.",), tables=(table,)
    )


def _largest(by: Mapping[str, int]) -> str:
    ranked = sorted(by.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ranked[:3] if name)


def _file(name: str, about: Mapping[str, Any]) -> Section:
    counted = about["counts"]
    tables = [
        Table(caption, ("name", "rows"), tuple(counted[key].items()))
        for key, caption in _SHOWN.items()
        if key in counted
    ]
    if set(counted["answer"]) & set(_ANSWERS):
        for key, caption in (("variant", "Answers by edit"), ("area", "Answers by area")):
            tables.append(_answers(caption, about[f"answers_by_{key}"]))
        tables.append(_answers("Answers by set", about["answers_by_source"]))
    return Section(name.partition(".")[0].replace("_", "-"), name, tables=tuple(tables))


def _answers(caption: str, crossed: Mapping[str, Mapping[str, int]]) -> Table:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (name, *(by.get(answer, 0) for answer in _ANSWERS)) for name, by in crossed.items()
    )
    return Table(caption, ("name", *_ANSWERS), rows)
