"""Sections and curves of a report → one HTML page that needs nothing else.

Everything that comes from data is escaped here. The page allows itself its own script and no other, so text
that slipped through would still not run; words of items stand in it masked, whole only in an attribute that
a button shows. Knows nothing about files but the template.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING, Any

from llm_judge.evals import plots
from llm_judge.evals.report_items import masked
from llm_judge.evals.report_parts import question, shown
from llm_judge.report import printable
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.report_parts import Case, Section, Table, Value


def page(
    title: str, found: Sequence[Section], curves: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> str:
    """Return the page.

    Args:
        title: of the page.
        found: in order; plots stand in the one called ``plots``.
        curves: as in the data of a report; the first are of the main question.
        names: what lines are called, by run.
    """
    template, style, script = (_part(name) for name in ("page.html", "page.css", "page.js"))
    links = "".join(f'<li><a href="#{section.id}">{_text(section.title)}</a></li>' for section in found)
    return Template(template).substitute(
        title=_text(title),
        style=style,
        script=script,
        # The policy names the script by what stands between its tags, to the byte.
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        links=links,
        body="\n".join(_section(section, curves, names) for section in found),
    )


def _part(name: str) -> str:
    return (content_folder("evals") / "report" / name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    return html.escape(printable(text), quote=True)


def _words(text: str) -> str:
    """Words of an item: line breaks stay, what else is not printable is shown as a code."""
    return "\n".join(_text(line) for line in text.splitlines())


def _section(section: Section, curves: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    parts = [f'<section id="{section.id}" aria-labelledby="{section.id}-title">']
    parts.append(f'<h2 id="{section.id}-title">{_text(section.title)}</h2>')
    parts += [f"<p>{_text(sentence)}</p>" for sentence in section.text]
    if section.points:
        parts.append("<ul>" + "".join(f"<li>{_text(point)}</li>" for point in section.points) + "</ul>")
    parts += [_table(table) for table in section.tables]
    parts += [_cases(heading, cases) for heading, cases in section.cases]
    if section.id == "plots":
        parts.append(_plots(curves, names))
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    numeric = {n for row in table.rows for n, value in enumerate(row) if not isinstance(value, str)}
    head = "".join(
        f'<th scope="col"{" class=n" if n in numeric else ""}>{_head(name)}</th>'
        for n, name in enumerate(table.header)
    )
    rows = "\n".join(
        f'<tr><th scope="row">{_name(row[0])}</th>'
        + "".join(
            f"<td{' class=n' if n in numeric else ''}>{_cell(value)}</td>"
            for n, value in enumerate(row[1:], 1)
        )
        + "</tr>"
        for row in table.rows
    )
    name = _text(table.caption)
    return (
        f'<h3>{name}</h3>\n<div class="box" role="region" aria-label="{name}" tabindex="0">'
        f'<table aria-label="{name}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _head(name: str) -> str:
    """The arrow that says which way is better stays on the line of the last word."""
    return _text(name).replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓")


def _name(value: Value) -> str:
    """The name of a row, which may be broken between the parts of an id."""
    return f"<bdi>{_breakable(shown(value)[0])}</bdi>"


def _breakable(text: str) -> str:
    return _text(text).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _cell(value: Value) -> str:
    number, small = shown(value)
    dim = ' class="none"' if number == "n/a" else ""
    ends = ' class="ends"' if isinstance(value, Mapping) and value["low"] is not None else ""
    return f"<bdi{dim}>{_breakable(number)}</bdi>" + (f"<small{ends}>{_text(small)}</small>" if small else "")


def _cases(heading: str, cases: Sequence[Case]) -> str:
    drawers = "\n".join(_drawer(case) for case in cases) or "<p>None found.</p>"
    return f"<h3>{_text(heading)}</h3>\n{drawers}"


def _drawer(case: Case) -> str:
    if case.words is None:
        inside = "<p>No words are given for this item.</p>"
    else:
        inside = (
            f'<p class="words" dir="auto" data-masked="{_words(masked(case.words))}" '
            f'data-whole="{_words(case.words)}">{_words(masked(case.words))}</p>'
            '<button type="button" aria-pressed="false">Show the words</button>'
        )
    name = f'<span class="item">{_text(case.item)}</span>'
    return (
        f'<details class="drawer"><summary><bdi>{_text(case.facts)}</bdi> {name}</summary>{inside}</details>'
    )


def _plots(curves: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    parts: list[str] = []
    none: list[str] = []
    for number, each in enumerate(curves):
        if each["reason"]:
            none.append(f"<li>{_text(question(each))}: n/a ({_text(each['reason'])})</li>")
            continue
        inside = f'<div class="plots">{"".join(_figures(f"plot{number}", each, names))}</div>'
        opened = " open" if not parts else ""
        parts.append(f"<details{opened}><summary>{_text(question(each))}</summary>{inside}</details>")
    if none:
        parts.append(f"<p>Too few labels of one kind to draw:</p><ul>{''.join(none)}</ul>")
    return "\n".join(parts) or "<p>Nothing to draw: no question has labels.</p>"


def _figures(name: str, curve: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    about = printable(question(curve))
    bins = [plots.Bin(each["said"], each["true"], each["count"]) for each in curve["reliability"]]

    def lines(kind: str) -> list[plots.Curve]:
        return [
            plots.Curve(printable(names[run]), points["n"], tuple((x, y) for x, y in points[kind]))
            for run, points in curve["runs"].items()
        ]

    drawn = (
        plots.reliability(f"{name}a", f"Reliability: {about}", bins),
        plots.risk_coverage(f"{name}b", f"Risk–coverage: {about}", lines("risk_coverage")),
        plots.precision_recall(
            f"{name}c", f"Precision–recall: {about}", lines("precision_recall"), curve["prevalence"]
        ),
    )
    return [f"<figure>{drawing}</figure>" for drawing in drawn]
