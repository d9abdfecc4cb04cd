"""The first sections of a report: what to know first, the run against baselines, by area and rule.

Knows nothing about formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals import report_findings, report_robustness
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import Metric
from llm_judge.evals.report_parts import (
    NAMES,
    NOT_ANSWERED,
    Section,
    Table,
    cell_of,
    estimate,
    heads,
    numbers,
    overall,
    partly,
    question,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.evals.report_parts import Data

_MAIN = (
    Metric.PRECISION,
    Metric.RECALL,
    Metric.F1,
    Metric.FALSE_POSITIVE_RATE,
    Metric.AUPRC,
    Metric.AUROC,
    Metric.RECALL_AT_1_FPR,
    Metric.RECALL_AT_5_FPR,
    Metric.BRIER,
    Metric.ECE,
)


def summary(data: Data) -> Section:
    """What was judged by what, how to read the rest, and what a reader must not miss."""
    run, wrong = data["systems"][0], data["failed"]
    identity = run["identity"]
    engine = identity.get("judge.engine", "unknown engine")
    text = (
        f"Run {data['name']}: {data['items']:,} items of {', '.join(data['suites']) or 'no suite'}, judged "
        f"by {engine}:{identity.get('judge.model', 'unknown model')}, adapter "
        f"{identity.get('judge.adapter_digest', 'unknown')[:12]}, policies "
        f"{identity.get('judge.policy_digest', 'unknown')[:12]}; {wrong:,} ended in an error.",
        "Every number stands with its 95 % interval below it, from "
        f"{data['draws']:,} bootstrap resamples of whole groups (pairs, templates, threads), or with the "
        "reason why there is none. n counts labelled answers. This report chose no threshold: decisions "
        "are the judge's own. An abstention flags nothing, so on a violating item it is a miss, unless "
        "a column says “decided”.",
    )
    return Section("summary", "Summary", text, tuple(_warnings(data)))


def _warnings(data: Data) -> Iterator[str]:
    if not data["items"]:
        yield "There are no items: nothing can be said."
    if wrong := data["failed"]:
        yield f"{wrong:,} of {data['items']:,} items ended in an error and are in no table of metrics."
    yield from _ahead(data)
    missing = [s["title"] for s in data["systems"] if s["command"]]
    if missing:
        yield f"Baselines not run: {', '.join(missing)}. Without them the numbers have no yardstick."
    for system in data["systems"]:
        if system["ran"] and system["note"]:
            yield f"Baseline {system['title']}: {system['note']}, so its numbers do not quite compare."
    for about in (report_findings, report_robustness):
        if said := about.warning(data):
            yield said
    if labelled_in_part := partly(data):
        yield (
            f"Labels are partial for {len(labelled_in_part)} questions: an answer without a label is "
            "unknown, never “no”, and counts nowhere."
        )
    if unlabelled := data["no_data"]["areas"]:
        yield f"Areas without a labelled item, about which this run says nothing: {', '.join(unlabelled)}."


def _ahead(data: Data) -> Iterator[str]:
    """Baselines whose number is better than the run's; a reader should not have to find them."""
    at = data["main"]["kind"], data["main"]["key"]
    own = cell_of(data["systems"][0], *at)
    others = [system for system in data["systems"][1:] if not system["note"]]  # over the same rows
    for name in (Metric.F1, Metric.AUROC, Metric.AUPRC):
        value = own["metrics"][name]["value"] if own else None
        ahead = []
        for system in others:
            cell = cell_of(system, *at)
            other = cell["metrics"][name]["value"] if cell else None
            if value is not None and other is not None and other > value:
                ahead.append(f"{system['title']} {estimate(cell['metrics'][name])}" if cell else "")
        if ahead and own:
            yield (
                f"Higher {NAMES[name]} than this run's {estimate(own['metrics'][name])}: {'; '.join(ahead)}."
            )


def headline(data: Data) -> Section:
    """The main question, the run first, then every baseline, run or not."""
    at = data["main"]["kind"], data["main"]["key"]
    rows = []
    for system in data["systems"]:
        if system["ran"]:
            rows.append((system["title"], *numbers(cell_of(system, *at), _MAIN)))
        else:
            state = "not run" if system["command"] else system["note"]
            rows.append((system["title"], state, *("" for _ in (*_MAIN, "positives"))))
    points = [f"{s['title']}: {s['note']}" for s in data["systems"] if s["ran"] and s["note"]]
    points += [f"{s['title']} was not run: {s['command']}" for s in data["systems"] if s["command"]]
    text = (
        "The same rows for all, as far as no note says otherwise. Intervals are each system's own; two that "
        "overlap can still differ, so the second table pairs the items. McNemar's exact test is about "
        "decisions that only one of the two gets right, and takes each item on its own.",
    )
    table = Table(question(data["main"]), ("system", "n", "positives", *heads(_MAIN)), tuple(rows))
    return Section("headline", "Against baselines", text, tuple(points), (table, *_paired(data)))


def _paired(data: Data) -> Iterator[Table]:
    """This run minus each baseline, on the answers of both."""
    rows = tuple(
        (
            system["title"],
            found["items"],
            *(found["metrics"][metric] for metric in _MAIN),
            _p_value(found["mcnemar_p"]),
        )
        for system in data["systems"]
        if (found := system["paired"])
    )
    if rows:
        heading = f"{question(data['main'])}: this run minus the baseline, on paired answers"
        yield Table(heading, ("baseline", "n", *heads(_MAIN), "McNemar p"), rows)


def _p_value(p: float | None) -> str:
    return "n/a: all are right or wrong alike" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def areas(data: Data) -> Section:
    """Every area and rule with labels, and every area against the baselines."""
    labelled = overall(data, Kind.ITEM, Kind.AREA)
    ran = [system for system in data["systems"] if system["ran"]]
    tables = [
        Table(
            f"{kind}s: this run",
            (kind, "n", "positives", *heads(_MAIN)),
            tuple((question(c), *numbers(c, _MAIN)) for c in overall(data, *of)),
        )
        for kind, of in (("area", (Kind.ITEM, Kind.AREA)), ("rule", (Kind.RULE,)))
    ]
    for name in (Metric.F1, Metric.AUROC):
        rows = []
        for cell in labelled:
            found = [cell_of(system, cell["kind"], cell["key"]) for system in ran]
            values = [NOT_ANSWERED if each is None else each["metrics"][name] for each in found]
            rows.append((question(cell), cell["counts"]["n"], cell["counts"]["positives"], *values))
        columns = ("area", "n", "positives", *(system["title"] for system in ran))
        tables.append(Table(f"{heads((name,))[0]} by area, against baselines", columns, tuple(rows)))
    return Section("areas", "Areas and rules", tables=tuple(table for table in tables if table.rows))
