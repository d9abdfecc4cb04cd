"""What counting words achieves on the same items: a constant, a keyword list, TF-IDF with a linear model.

Each learns from the train items, once for every area and once for "anything at all", and answers as a judge
would; a judge that does not beat them has not read. Nothing fitted is stored, and no word that was learnt is
shown. Texts only: a picture or sound is in error, but for the constant. Knows nothing about engines or files.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from llm_judge.errors import UsageError
from llm_judge.evals.keyword_baseline import Keywords
from llm_judge.evals.outcomes import ANY, Answer, EvalItem, ItemOutcome, Kind
from llm_judge.evals.tfidf_baseline import Tfidf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

THRESHOLD = 0.5


class Baseline(Protocol):
    """Learns yes or no from texts."""

    def read(self, train: Sequence[str], items: Sequence[str]) -> None:
        """Take the texts to learn from and the texts to answer, in the order that is meant below."""

    def answer(self, key: str, rows: Sequence[int], truth: Sequence[bool]) -> Sequence[float]:
        """Return P(yes) for every item.

        Args:
            key: the question, a policy id or ``any``.
            rows: numbers of the train texts whose truth is known; both answers are among them.
            truth: of these.
        """


class Constant:
    """The share of train items that apply, whatever the text (Laplace's rule: (yes + 1)/(n + 2))."""

    def __init__(self, seed: int = 0) -> None:
        del seed  # nothing here is left to chance
        self._total = 0

    def read(self, train: Sequence[str], items: Sequence[str]) -> None:
        """Only the number of items matters."""
        del train
        self._total = len(items)

    def answer(self, key: str, rows: Sequence[int], truth: Sequence[bool]) -> Sequence[float]:
        """The same probability for every item."""
        del key, rows
        return [prevalence(truth)] * self._total


BASELINES: Mapping[str, Callable[[int], Baseline]] = {
    "constant": Constant,
    "keywords": Keywords,
    "tfidf": Tfidf,
}


class LexicalJudge:
    """A baseline taught once, whose answers any number of suites share; the same input, the same answers.

    A question that the train items know only one answer to, or none, is answered by the constant. Time and
    tokens are not measured.

    Args:
        name: ``constant``, ``keywords`` or ``tfidf``.
        train: items to learn from; those without text are left out.
        items: all that will be answered; an id stands for one text.
        seed: of whatever is left to chance.

    Raises:
        UsageError: no such baseline, an item is in both sets, or there is nothing to learn from.
    """

    def __init__(
        self, name: str, train: Sequence[EvalItem], items: Sequence[EvalItem], seed: int = 0
    ) -> None:
        if name not in BASELINES:
            raise UsageError(f"there is no baseline `{name}`", f"baselines: {', '.join(BASELINES)}")
        self._taught = [item for item in train if item.text is not None]
        if not self._taught:
            raise UsageError(f"baseline `{name}` has no text to learn from", "give the train split")
        both = {item.id for item in train} & {item.id for item in items}
        if both:
            raise UsageError(
                f"`{min(both)}` is to be learnt from and answered", "give another split to answer"
            )
        read = {item.id: _text(item) for item in items if item.text is not None or name == "constant"}
        self._numbers = {item: number for number, item in enumerate(read)}
        self._columns: dict[str, Sequence[float]] = {}
        self._baseline = BASELINES[name](seed)
        self._baseline.read([_text(item) for item in self._taught], list(read.values()))

    def outcomes(self, items: Sequence[EvalItem], areas: Sequence[str]) -> list[ItemOutcome]:
        """Answer items, in their order: an answer for the whole item and for every area.

        Args:
            items: of those given at the start.
            areas: policy ids to ask about, besides "anything at all".
        """
        columns = {key: self._column(key) for key in (ANY, *areas)}
        return [
            _outcome(item, {key: column[self._numbers[item.id]] for key, column in columns.items()})
            if item.id in self._numbers
            else _unread(item)
            for item in items
        ]

    def _column(self, key: str) -> Sequence[float]:
        """P(yes) of every item that is read; learnt when first asked for."""
        if key not in self._columns:
            known = [
                (row, t) for row, item in enumerate(self._taught) if (t := _truth(item, key)) is not None
            ]
            truths = [truth for _, truth in known]
            self._columns[key] = (
                [prevalence(truths)] * len(self._numbers)
                if len(set(truths)) < 2
                else self._baseline.answer(key, [row for row, _ in known], truths)
            )
        return self._columns[key]


def prevalence(truth: Sequence[bool]) -> float:
    """Laplace's rule of succession; ½ for no observations."""
    return (sum(truth) + 1) / (len(truth) + 2)


def _text(item: EvalItem) -> str:
    """The text with lone surrogates, which scikit-learn refuses, as question marks; "" for media."""
    return (item.text or "").encode("utf-8", "replace").decode("utf-8")


def _truth(item: EvalItem, key: str) -> bool | None:
    return item.harmful if key == ANY else item.areas.get(key)


def _outcome(item: EvalItem, probabilities: Mapping[str, float]) -> ItemOutcome:
    answers = tuple(_answer(item, key, probability) for key, probability in probabilities.items())
    flagged = any(answer.outcome == "violates" for answer in answers)
    return _blank(item, answers, "review" if flagged else "allow", None)


def _answer(item: EvalItem, key: str, probability: float) -> Answer:
    return Answer(
        kind=Kind.ITEM if key == ANY else Kind.AREA,
        key=key,
        truth=_truth(item, key),
        probability=float(probability),
        exempt_probability=0.0,
        label_mass=1.0,
        outcome="violates" if probability >= THRESHOLD else "clear",
    )


def _unread(item: EvalItem) -> ItemOutcome:
    return _blank(item, (), "review", f"ContentUnsupported: this baseline reads no {item.modality}")


def _blank(item: EvalItem, answers: tuple[Answer, ...], action: str, error: str | None) -> ItemOutcome:
    return ItemOutcome.of(
        item,
        # Of media the judge hashes bytes, which are not read here.
        sha256=""
        if item.text is None
        else hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).hexdigest(),
        answers=answers,
        action=action,
        error=error,
    )
