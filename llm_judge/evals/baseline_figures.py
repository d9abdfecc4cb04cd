"""Runs of baselines over suites → the figures that are kept with the project, as plain data and as tables.

Holds counts and numbers only: no words, ids or probabilities of single items. Knows nothing about files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.compile import policy_digest
from llm_judge.evals.bootstrap import DRAWS
from llm_judge.evals.cells import Dimension, samples
from llm_judge.evals.document import Block, Grid, Heading, Paragraph, plain
from llm_judge.evals.metrics import measure_cell
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.evals.run_data import RunData
    from llm_judge.policy.model import Policy

FIGURES_SCHEMA = 1
_KEPT = (
    Metric.AUROC,
    Metric.AUPRC,
    Metric.PRECISION,
    Metric.RECALL,
    Metric.F1,
    Metric.FALSE_POSITIVE_RATE,
    Metric.BRIER,
)
_NAMED = {Metric.AUROC: "AUROC", Metric.AUPRC: "AUPRC", Metric.FALSE_POSITIVE_RATE: "false positive rate"}
# Which metric is worth a table, by what the rows of a question hold.
_TABLES = (Metric.AUROC, Metric.AUPRC)
_NO_VALUE = "n/a"
_FIRST_VALUE = 4  # column, after suite, question and counts


@dataclass(frozen=True, slots=True)
class SuiteRuns:
    """One suite and the systems that answered its items.

    Attributes:
        suite, split: which rows.
        policies: that were asked about.
        runs: each called after its system, over the same items.
    """

    suite: str
    split: str
    policies: Sequence[Policy]
    runs: Sequence[RunData]


def figures(suites: Sequence[SuiteRuns], options: Mapping[str, Any], *, draws: int = DRAWS) -> dict[str, Any]:
    """Measure every question of every suite that has labels, for every system.

    Args:
        suites: in the order of the tables.
        options: that the items were chosen with.
        draws: resamples behind an interval.
    """
    return {
        "schema": FIGURES_SCHEMA,
        "options": dict(options),
        "draws": draws,
        "suites": [_suite(each, draws) for each in suites],
    }


def as_blocks(found: Mapping[str, Any], command: str) -> list[Block]:
    """The figures as tables, one a metric, a row a question.

    Args:
        found: what ``figures`` returned.
        command: that makes them.
    """
    intro = (
        f"What counting words and the untuned model achieve on the suites, made by {command} and not to "
        "be edited. n counts labelled answers, yes those that apply; beside each value stands its 95 % "
        "interval, from resamples of whole groups. The models answer areas only here. A constant has AUROC "
        "0.5 and as AUPRC the share of yes. Questions with fewer than ten answers of a kind have no row. The "
        "file figures.json also holds precision, recall, F1, false positive rate and Brier score, with every "
        "digest and version."
    )
    blocks: list[Block] = [Heading("Baselines", 1), Paragraph(plain(intro))]
    names = list(dict.fromkeys(s["name"] for suite in found["suites"] for s in suite["systems"]))
    shown = [name for name in names if name != "constant"]
    blocks.append(Grid(("mean over areas", "questions", *shown), (_means(found, shown),)))
    for metric in _TABLES:
        rows = [_row(suite, at, shown, metric) for suite in found["suites"] for at in _questions(suite)]
        rows = [row for row in rows if any(value != _NO_VALUE for value in row[_FIRST_VALUE:])]
        head = ("suite", "question", "n", "yes", *shown)
        blocks += [Heading(_NAMED[metric]), Grid(head, tuple(rows), frozenset({2, 3}))]
    return blocks


def _means(found: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """AUROC on average over the questions about areas that every system has one for."""
    by_question = [
        {s["name"]: c["metrics"][Metric.AUROC.value]["value"] for s in suite["systems"] for c in _at(s, at)}
        for suite in found["suites"]
        for at in _questions(suite)
        if at[0] == Kind.AREA.value
    ]
    full = [each for each in by_question if all(each.get(name) is not None for name in names)]
    means = [f"{sum(each[name] for each in full) / len(full):.2f}" if full else _NO_VALUE for name in names]
    return (_NAMED[Metric.AUROC], str(len(full)), *means)


def _at(system: Mapping[str, Any], at: tuple[str, str]) -> list[Mapping[str, Any]]:
    return [cell for cell in system["cells"] if (cell["kind"], cell["key"]) == at]


def _suite(each: SuiteRuns, draws: int) -> dict[str, Any]:
    first = each.runs[0].manifest if each.runs else {}
    return {
        "suite": each.suite,
        "split": each.split,
        "items": len(each.runs[0].outcomes) if each.runs else 0,
        "items_digest": first.get("items_digest"),
        "policy_digest": policy_digest(each.policies),
        "systems": [
            {
                "name": run.name,
                "judge": run.manifest.get("judge"),
                "failed": sum(outcome.error is not None for outcome in run.outcomes),
                "cells": list(_cells(run, draws)),
            }
            for run in each.runs
        ],
    }


def _cells(run: RunData, draws: int) -> Iterator[dict[str, Any]]:
    for at, sample in samples(run.outcomes, [Dimension.OVERALL]).items():
        if at.kind is Kind.RULE:
            continue
        cell = measure_cell(at, sample, draws=draws)
        if cell.counts.n:
            yield {
                "kind": at.kind.value,
                "key": at.key,
                "n": cell.counts.n,
                "positives": cell.counts.positives,
                "metrics": {metric.value: cell.metrics[metric].as_json() for metric in _KEPT},
            }


def _questions(suite: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = {(c["kind"], c["key"]): None for s in suite["systems"] for c in s["cells"]}
    return sorted(found, key=lambda at: (at[0] != Kind.ITEM.value, at[1]))


def _row(
    suite: Mapping[str, Any], at: tuple[str, str], names: Sequence[str], metric: Metric
) -> tuple[str, ...]:
    cells = {s["name"]: c for s in suite["systems"] for c in _at(s, at)}
    largest = max(cells.values(), key=lambda cell: cell["n"])
    values = [_value(cells[name]["metrics"][metric.value]) if name in cells else _NO_VALUE for name in names]
    return (suite["suite"], at[1], str(largest["n"]), str(largest["positives"]), *values)


def _value(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return _NO_VALUE
    if estimate["low"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} ({estimate['low']:.2f}–{estimate['high']:.2f})"
