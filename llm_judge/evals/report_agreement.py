"""How far a run agrees with the labels and with every other run: the numbers, and their section.

Knows nothing about formats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_judge.evals.agreement import between_runs, with_labels
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.report_parts import NOT_ANSWERED, Section, Table, question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.evals.agreement import Agreement
    from llm_judge.evals.cells import CellKey
    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.evals.report_parts import Data
    from llm_judge.evals.run_data import RunData

_HEADS = ("n", "alike", "Cohen's kappa ↑", "Krippendorff's alpha ↑")


def agreement_json(run: RunData, others: Sequence[RunData], draws: int, seed: int) -> dict[str, Any]:
    """Return the agreement on items and areas; rules are left out, as in every table of several runs.

    Args:
        run: what is reported.
        others: over the same items.
        draws, seed: of the resamples behind the intervals.
    """
    own = _without_rules(run.outcomes)
    return {
        "labels": _cells(with_labels(own, draws=draws, seed=seed)),
        "runs": {
            other.name: _cells(between_runs(own, _without_rules(other.outcomes), draws=draws, seed=seed))
            for other in others
        },
    }


def agreement(data: Data) -> Section:
    """Against the labels by area, and against every other run."""
    found = data["agreement"]
    text = (
        "Agreement beyond chance: 1 is full agreement, 0 what chance gives. Against labels, the judge's "
        "decided answers count as “applies” or not; between runs the outcome words are compared, and an "
        "abstention is a word of its own. Unreadable answers are left out.",
    )
    titles = {system["name"]: system["title"] for system in data["systems"]}
    main = data["main"]["kind"], data["main"]["key"]
    rows = tuple((question(cell), *_numbers(cell)) for cell in found["labels"])
    between = tuple((titles[name], *_numbers(_at(cells, main))) for name, cells in found["runs"].items())
    tables = (
        Table("This run and the labels", ("question", *_HEADS), rows),
        Table(f"{question(data['main'])}: this run and every other", ("run", *_HEADS), between),
        *(_by_area(found, titles, name, head) for name, head in (("kappa", _HEADS[2]), ("alpha", _HEADS[3]))),
    )
    points = [] if rows else ["No question has a label and a decided answer: agreement with labels is n/a."]
    if not found["runs"]:
        suites = " ".join(data["suites"]) or "SUITE"
        points.append(
            "No other run was given, so there is none to agree with: make some by llm-judge eval baselines "
            f"{suites}, or give one by --against RUN."
        )
    return Section("agreement", "Agreement", text, tuple(points), tuple(t for t in tables if t.rows))


def _by_area(found: Data, titles: Mapping[str, str], name: str, head: str) -> Table:
    """One number of every question both answered, a column for each other run."""
    at = sorted(
        {(cell["kind"], cell["key"]) for cells in found["runs"].values() for cell in cells},
        key=lambda each: (each[0] != Kind.ITEM, each[1]),
    )
    rows = tuple(
        (
            question({"kind": kind, "key": key}),
            *(
                NOT_ANSWERED if (cell := _at(cells, (kind, key))) is None else cell[name]
                for cells in found["runs"].values()
            ),
        )
        for kind, key in at
    )
    columns = tuple(titles[each] for each in found["runs"])
    return Table(f"{head.removesuffix(' ↑')} by area, with every other run", ("area", *columns), rows)


def _at(cells: Sequence[Data], at: tuple[str, str]) -> Data | None:
    return next((cell for cell in cells if (cell["kind"], cell["key"]) == at), None)


def _numbers(cell: Data | None) -> tuple[Any, ...]:
    if cell is None:
        return (0, 0, NOT_ANSWERED, NOT_ANSWERED)
    return tuple(cell[name] for name in ("n", "same", "kappa", "alpha"))


def _cells(found: Mapping[CellKey, Agreement]) -> list[dict[str, Any]]:
    """Questions that both sides answered, the whole item first."""
    order = list(Kind)
    both = sorted((at for at in found if found[at].n), key=lambda at: (order.index(at.kind), at.key))
    return [{"kind": at.kind.value, "key": at.key, **found[at].as_json()} for at in both]


def _without_rules(outcomes: Sequence[ItemOutcome]) -> list[ItemOutcome]:
    return [
        replace(each, answers=tuple(answer for answer in each.answers if answer.kind is not Kind.RULE))
        for each in outcomes
    ]
