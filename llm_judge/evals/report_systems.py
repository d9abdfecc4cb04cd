"""The run and its baselines side by side: what each is, whether it ran, its numbers, and the difference.

Plain data; knows nothing about formats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_judge.evals.cells import Dimension
from llm_judge.evals.compare import compare
from llm_judge.evals.metrics import measure_cell
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.run_data import BASELINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_judge.evals.cells import CellKey, Sample
    from llm_judge.evals.metrics import Cell
    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.evals.run_data import RunData

_ABSENT: dict[str, Any] = {
    "ran": False,
    "note": "",
    "command": "",
    "identity": {},
    "paired": None,
    "cells": [],
}


def systems(
    run: RunData,
    cells: Sequence[Cell],
    baselines: Sequence[RunData],
    by_run: Mapping[str, Mapping[CellKey, Sample]],
    main: CellKey,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the run, then every baseline in the order of ``BASELINES``, run or not, then any other run."""
    own = [cell_json(c) for c in cells if c.at.dimension is Dimension.OVERALL and c.at.kind is not Kind.RULE]
    found = [{**_ABSENT, **_identity(run), "title": "this run", "ran": True, "cells": own}]
    given = {each.name: each for each in baselines}
    for name in (*BASELINES, *(name for name in given if name not in BASELINES)):
        system = {**_ABSENT, "name": name, "title": BASELINES.get(name, name)}
        if name in given:
            system |= {**_identity(given[name]), "ran": True, "note": _rows_note(run, given[name])}
            system["paired"] = _paired(given[name], run, main, draws, seed)
            system["cells"] = [
                cell_json(measure_cell(at, sample, draws=draws, seed=seed))
                for at, sample in by_run[name].items()
                if at.kind is not Kind.RULE
            ]
        elif name == run.name:
            system["note"] = "is this run"
        else:
            system["command"] = _command(name, run)
        found.append(system)
    return found


def cell_json(cell: Cell) -> dict[str, Any]:
    """A cell; curves only for all items, since those of slices are not shown."""
    data = cell.as_json()
    if cell.at.dimension is not Dimension.OVERALL:
        del data["reliability"], data["risk_coverage"]
    return data


def _paired(other: RunData, run: RunData, main: CellKey, draws: int, seed: int) -> dict[str, Any] | None:
    """This run minus another on the main question, on the answers of both; None where there are none."""
    before, after = ([_only(outcome, main) for outcome in each.outcomes] for each in (other, run))
    found = compare(before, after, [Dimension.OVERALL], draws=draws, seed=seed).cells
    if not found:
        return None
    changes = {name: each.change.as_json() for name, each in found[0].metrics.items()}
    return {"items": found[0].tally.items, "mcnemar_p": found[0].tally.p, "metrics": changes}


def _only(outcome: ItemOutcome, at: CellKey) -> ItemOutcome:
    return replace(outcome, answers=tuple(a for a in outcome.answers if (a.kind, a.key) == (at.kind, at.key)))


def _command(name: str, run: RunData) -> str:
    """What makes a baseline over the same items."""
    options = run.manifest.get("options")
    chosen = options if isinstance(options, dict) else {}
    same = [f"--{each} {chosen[each]}" for each in ("limit", "sample", "seed") if chosen.get(each)]
    return " ".join(["llm-judge eval baselines", *(run.suites or ("SUITE",)), "--which", name, *same])


def _rows_note(run: RunData, other: RunData) -> str:
    """What keeps two runs from being over the same rows; nothing where they are."""
    asked, answered = ({outcome.item for outcome in each.outcomes} for each in (run, other))
    if missing := len(asked - answered):
        return f"only {len(asked) - missing:,} of {len(asked):,} items"
    digests = [each.manifest.get("items_digest") for each in (run, other)]
    if None not in digests and digests[0] != digests[1] and asked == answered:
        return "texts or labels differ from this run's"
    return ""


def _identity(run: RunData) -> dict[str, Any]:
    return {"name": run.name, "identity": dict(_flat(run.manifest))}


def _flat(data: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    """Every value of nested data by its dotted name."""
    for name, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            yield f"{before}{name}", ", ".join(str(each) for each in value)
        else:
            yield f"{before}{name}", "none" if value is None else str(value)
