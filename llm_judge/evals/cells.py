"""Outcomes → one sample of answers a cell: a question (kind and key) on a slice of the items.

A cell holds the labelled answers as columns; an answer whose truth is unknown is counted and left out,
since a missing label is no "no". Knows nothing about metrics.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Kind
from llm_judge.source import quoted
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.outcomes import Answer, ItemOutcome

EVERYTHING = "all"


class Dimension(StrEnum):
    """What items are sliced by; every item is also in ``overall``."""

    OVERALL = "overall"
    SUITE = "suite"
    LANGUAGE = "language"
    MODALITY = "modality"
    SOURCE = "source"
    SLICE = "slice"


class CellKey(NamedTuple):
    """A question on a slice; ``value`` is ``all`` for ``overall``."""

    kind: Kind
    key: str
    dimension: Dimension = Dimension.OVERALL
    value: str = EVERYTHING

    def __str__(self) -> str:
        """``area safety/hate``, or ``area safety/hate, language hi``."""
        question = f"{self.kind} {self.key}"
        return (
            question if self.dimension is Dimension.OVERALL else f"{question}, {self.dimension} {self.value}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The labelled answers of one cell, one row each, in the order of the outcomes.

    Attributes:
        truth: whether it applies, shape (n,).
        probability: of "applies", 0..1, NaN where nothing usable was read, shape (n,).
        flagged, abstained, unreadable: the decision was ``violates``, ``abstain``, ``unreadable``; none of
            them for ``clear`` and ``exempt``; shape (n,) each.
        label_mass: 0..1, shape (n,).
        group: whole number of the group of each row, shape (n,).
        evidence: 1 for cited evidence that a person marked too, 0 for a miss, NaN where unknown, (n,).
        ms, tokens: of the whole item, NaN where an earlier run answered it, shape (n,) each.
        unknown: answers left out because their truth is unknown.
    """

    truth: NDArray[np.bool_]
    probability: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    abstained: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    label_mass: NDArray[np.float64]
    group: NDArray[np.int64]
    evidence: NDArray[np.float64]
    ms: NDArray[np.float64]
    tokens: NDArray[np.float64]
    unknown: int

    def __len__(self) -> int:
        """Labelled answers."""
        return len(self.truth)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows with a probability, shape (n,)."""
        import numpy as np

        return ~np.isnan(self.probability)

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Rows that the judge decided one way or the other, shape (n,)."""
        return ~(self.abstained | self.unreadable)


def samples(
    outcomes: Sequence[ItemOutcome], dimensions: Collection[Dimension] = tuple(Dimension)
) -> dict[CellKey, Sample]:
    """Return the sample of every cell that any answer falls into, also where all truth is unknown.

    Cells come by kind, key, dimension and value. Items in error have no answers and are in no cell.

    Raises:
        UsageError: the outcomes are not of one sound run; see ``check_run``.
    """
    check_run(outcomes)
    rows: dict[CellKey, list[tuple[ItemOutcome, Answer]]] = defaultdict(list)
    for outcome in outcomes:
        slices = [place for place in places(outcome) if place[0] in dimensions]
        for answer in outcome.answers:
            for dimension, value in slices:
                rows[CellKey(answer.kind, answer.key, dimension, value)].append((outcome, answer))
    kinds, order = list(Kind), list(Dimension)
    in_order = sorted(rows, key=lambda c: (kinds.index(c.kind), c.key, order.index(c.dimension), c.value))
    return {cell: _sample(rows[cell]) for cell in in_order}


def places(outcome: ItemOutcome) -> Iterator[tuple[Dimension, str]]:
    """Yield every slice an item is in, as dimension and value."""
    yield Dimension.OVERALL, EVERYTHING
    yield Dimension.SUITE, outcome.suite
    yield Dimension.LANGUAGE, outcome.lang
    yield Dimension.MODALITY, outcome.modality
    yield Dimension.SOURCE, outcome.source
    for name in dict.fromkeys(outcome.slices):
        yield Dimension.SLICE, name


def _sample(rows: Sequence[tuple[ItemOutcome, Answer]]) -> Sample:
    import numpy as np

    known = [(outcome, answer) for outcome, answer in rows if answer.truth is not None]
    number: dict[str, int] = {}
    groups = [number.setdefault(outcome.group, len(number)) for outcome, _ in known]

    def floats(values: Iterable[float | None]) -> NDArray[np.float64]:
        return np.array([np.nan if value is None else value for value in values], np.float64)

    def said(word: Outcome) -> NDArray[np.bool_]:
        return np.array([answer.outcome == word for _, answer in known], np.bool_)

    return Sample(
        truth=np.array([answer.truth for _, answer in known], np.bool_),
        probability=np.clip(floats(answer.probability for _, answer in known), 0.0, 1.0),
        flagged=said(Outcome.VIOLATES),
        abstained=said(Outcome.ABSTAIN),
        unreadable=said(Outcome.UNREADABLE),
        label_mass=floats(answer.label_mass for _, answer in known),
        group=np.array(groups, np.int64),
        evidence=floats(outcome.evidence_hit for outcome, _ in known),
        ms=floats(None if outcome.cached else outcome.ms for outcome, _ in known),
        tokens=floats(None if outcome.cached else outcome.tokens for outcome, _ in known),
        unknown=len(rows) - len(known),
    )


def check_run(outcomes: Sequence[ItemOutcome]) -> None:
    """Refuse outcomes that are not of one sound run.

    Raises:
        UsageError: an item occurs twice or answers a question twice, an outcome is no known word, or a
            probability or label mass is not in 0..1.
    """
    seen: set[str] = set()
    for outcome in outcomes:
        if outcome.item in seen:
            raise UsageError(f"item {quoted(outcome.item)} occurs twice", "an item counts once in a run")
        seen.add(outcome.item)
        asked = [(answer.kind, answer.key) for answer in outcome.answers]
        if len(set(asked)) < len(asked):
            raise UsageError(f"item {quoted(outcome.item)} answers a question twice", "judge the item again")
        for answer in outcome.answers:
            _check_answer(outcome, answer)


_WORDS = frozenset(word.value for word in Outcome)


def _check_answer(outcome: ItemOutcome, answer: Answer) -> None:
    where = f"item {quoted(outcome.item)}, {answer.kind} {quoted(answer.key)}"
    if answer.outcome not in _WORDS:
        raise UsageError(f"{where}: unknown outcome {quoted(answer.outcome)}", f"known: {sorted(_WORDS)}")
    for name, value in (("probability", answer.probability), ("label mass", answer.label_mass)):
        if value is not None and not -_ROUNDING <= value <= 1 + _ROUNDING:
            raise UsageError(f"{where}: {name} {value} is not in 0..1", "judge the item again")


_ROUNDING = 1e-6  # a label mass summed in float32 can end a hair above one
