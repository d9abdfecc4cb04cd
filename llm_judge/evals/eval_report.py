"""A finished run and its baselines → everything a report says, as plain data, and as Markdown and HTML.

The plain data hold every number and, under ``texts``, the words of the few items that are listed; drop that
key before the data go where the words must not. Knows nothing about files or terminals.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals import document
from llm_judge.evals.bootstrap import DRAWS
from llm_judge.evals.calibrated import calibrated_data
from llm_judge.evals.cells import CellKey, Dimension, samples
from llm_judge.evals.metrics import measure
from llm_judge.evals.outcomes import ANY, ItemOutcome, Kind
from llm_judge.evals.report_agreement import agreement_json
from llm_judge.evals.report_blocks import as_blocks
from llm_judge.evals.report_curves import curves
from llm_judge.evals.report_findings import MOST_OPPOSITE, findings_json, opposite_json
from llm_judge.evals.report_items import label_noise, shortened, worst_errors
from llm_judge.evals.report_page import page
from llm_judge.evals.report_robustness import robustness_json
from llm_judge.evals.report_sections import sections, title
from llm_judge.evals.report_systems import cell_json, systems
from llm_judge.evals.run_data import RunData
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.calibration import Calibration
    from llm_judge.evals.doctor import Finding
    from llm_judge.evals.metrics import Cell
    from llm_judge.evals.robustness_file import Robustness

REPORT_SCHEMA = 1
_MOST_ERRORS = 20  # different messages


def report_data(
    run: RunData,
    baselines: Sequence[RunData],
    words: Mapping[str, str],
    *,
    findings: Sequence[Finding] | None = None,
    robustness: Robustness | None = None,
    calibration: Calibration | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return everything the report says, as plain data.

    Args:
        run: what is reported; may be empty.
        baselines: other runs over the same items; those of ``BASELINES`` always have their row, run or not.
        words: item id → text, for the items that are listed; may lack any.
        findings: of the doctor, about the same labels; None where it was not asked.
        robustness: of the same judge, as a rule; the report says where it is another. None where not run.
        calibration: made for the judge of the run, to score it at calibrated thresholds; None for none.
        draws, seed: of the resamples behind the intervals; no draws, no intervals.

    Raises:
        UsageError: two runs have one name, the outcomes are not of one sound run (see ``cells.check_run``),
            or the calibration was made for something else.
    """
    _check_names(run, baselines)
    cells = measure(run.outcomes, draws=draws, seed=seed)
    others = [_on_same_items(run, each) for each in baselines]
    by_run = {each.name: samples(each.outcomes, [Dimension.OVERALL]) for each in (run, *others)}
    main = _main_question(cells)
    return {
        "schema": REPORT_SCHEMA,
        **{"name": run.name, "suites": list(run.suites), "items": len(run.outcomes), "draws": draws},
        "main": main._asdict(),
        "systems": systems(run, cells, baselines, by_run, main, draws, seed),
        "cells": [cell_json(cell) for cell in cells],
        "agreement": agreement_json(run, others, draws, seed),
        "curves": curves(cells, by_run, main),
        "calibrated": calibration and calibrated_data(run, calibration, draws=draws, seed=seed),
        **_counted(run, cells),
        "robustness": robustness_json(robustness, run),
        **_to_look_at(run, others, findings, words),
    }


def to_markdown(data: Mapping[str, Any]) -> str:
    """The report for a pull request: every table; items by id and with masked words only."""
    return document.to_markdown(as_blocks(title(data), sections(data)))


def to_html(data: Mapping[str, Any]) -> str:
    """The report as one page that needs nothing else: tables, plots, and items whose words are masked."""
    names = {system["name"]: system["title"] for system in data["systems"]}
    return page(title(data), sections(data), data["curves"], names)


def _counted(run: RunData, cells: Sequence[Cell]) -> dict[str, Any]:
    """Outcomes by label, actions, errors, and what there is nothing to count of."""
    outcomes = run.outcomes
    return {
        "confusion": _confusion(outcomes),
        "actions": dict(Counter(outcome.action for outcome in outcomes).most_common()),
        "failed": sum(outcome.error is not None for outcome in outcomes),
        "errors": _errors(outcomes),
        "no_data": _no_data(run, cells),
    }


def _to_look_at(
    run: RunData, others: Sequence[RunData], findings: Sequence[Finding] | None, words: Mapping[str, str]
) -> dict[str, Any]:
    """Items and labels for a person to look at, and the words of the items that are listed."""
    judges = [each for each in others if each.name != "constant"]  # a constant has no view of an item
    asked = frozenset(outcome.item for outcome in run.outcomes)
    worst, noise = worst_errors(run.outcomes), label_noise(run, judges)
    opposite = opposite_json(findings, asked)
    listed = [row["item"] for row in (*worst["misses"], *worst["false_alarms"], *noise)]
    listed += [name for each in opposite[:MOST_OPPOSITE] for name in each["ids"]]
    return {
        "worst": worst,
        "noise": noise,
        "opposite": opposite[:MOST_OPPOSITE],
        "opposite_found": len(opposite),
        "findings": findings_json(findings, asked),
        "texts": {name: shortened(words[name]) for name in listed if name in words},
    }


def _check_names(run: RunData, baselines: Sequence[RunData]) -> None:
    counts = Counter([run.name, *(each.name for each in baselines)])
    if twice := [name for name, count in counts.items() if count > 1]:
        raise UsageError(f"two runs are called {quoted(twice[0])}", "call one of them something else")


def _on_same_items(run: RunData, other: RunData) -> RunData:
    wanted = {outcome.item for outcome in run.outcomes}
    kept = tuple(outcome for outcome in other.outcomes if outcome.item in wanted)
    return RunData(other.name, other.manifest, kept)


def _main_question(cells: Sequence[Cell]) -> CellKey:
    """Whether anything applies, where that is labelled; else the area with the most labels."""
    overall = [cell for cell in cells if cell.at.dimension is Dimension.OVERALL and cell.counts.n]
    best = max(
        (cell for cell in overall if cell.at.kind is not Kind.RULE),
        key=lambda cell: (cell.at.kind is Kind.ITEM, cell.counts.n),
        default=None,
    )
    return best.at if best else CellKey(Kind.ITEM, ANY)


def _confusion(outcomes: Sequence[ItemOutcome]) -> list[dict[str, Any]]:
    """How often each outcome met each truth, by question; ``not_asked`` counts answers of the area."""
    counts: dict[tuple[Kind, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    names = {True: "applies", False: "does_not", None: "unknown"}
    for outcome in outcomes:
        for answer in outcome.answers:
            said = answer.outcome if answer.asked else "not_asked"
            counts[answer.kind, answer.key][names[answer.truth], said] += 1
    order = list(Kind)
    found = []
    for kind, key in sorted(counts, key=lambda at: (order.index(at[0]), at[1])):
        row: dict[str, Any] = {"kind": kind.value, "key": key}
        for truth in names.values():
            row[truth] = {said: n for (t, said), n in sorted(counts[kind, key].items()) if t == truth}
        found.append(row)
    return found


def _errors(outcomes: Sequence[ItemOutcome]) -> dict[str, int]:
    """The most frequent messages and how often each stands; the rest together."""
    counts = Counter(outcome.error for outcome in outcomes if outcome.error is not None)
    found = dict(counts.most_common(_MOST_ERRORS))
    if rest := counts.total() - sum(found.values()):
        found["other messages"] = rest
    return found


def _no_data(run: RunData, cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Areas and rules that no row is labelled for; areas also when the judge was never asked."""
    overall = [cell for cell in cells if cell.at.dimension is Dimension.OVERALL]
    labelled = {kind: {c.at.key for c in overall if c.at.kind is kind and c.counts.n} for kind in Kind}
    policies = run.manifest.get("policies")
    asked = set(policies) if isinstance(policies, dict) else set()
    areas = asked | {cell.at.key for cell in overall if cell.at.kind is Kind.AREA}
    rules = {cell.at.key for cell in overall if cell.at.kind is Kind.RULE}
    return {
        "areas": sorted(areas - labelled[Kind.AREA]),
        "rules": sorted(rules - labelled[Kind.RULE]),
    }
