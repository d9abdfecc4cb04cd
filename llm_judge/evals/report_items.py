"""Which items a person should look at: worst errors, and labels that may be wrong.

Ids and numbers only; the words of items are put beside them later. Knows nothing about metrics or pages.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from llm_judge.evals.outcomes import Kind
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.evals.outcomes import Answer, ItemOutcome
    from llm_judge.evals.run_data import RunData

MOST_ITEMS = 25  # of each list
MOST_OF_A_QUESTION = 5  # so that one area does not fill a list
MOST_CHARACTERS = 2_000  # of a text that a report carries
# As many labels of each kind are needed before their mean probability says what is usual: see below.
LEAST_LABELS = 10
_NARROWNESS = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of one item, and how sure the judge was of the side it took, 0..1."""

    outcome: ItemOutcome
    answer: Answer
    sureness: float

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        answer, outcome = self.answer, self.outcome
        return {
            "item": outcome.item,
            "source": outcome.source,
            "lang": outcome.lang,
            "kind": answer.kind.value,
            "key": answer.key,
            "truth": answer.truth,
            "outcome": answer.outcome,
            "probability": None if answer.probability is None else round(answer.probability, 4),
            "action": outcome.action,
        }


def worst_errors(outcomes: Sequence[ItemOutcome]) -> dict[str, list[dict[str, Any]]]:
    """Return the surest wrong decisions: ``misses`` (violating, not flagged) and ``false_alarms``.

    An item stands once in a list, with its worst question. Abstentions are no wrong decisions.
    """
    wrong = {
        "misses": (True, (Outcome.CLEAR, Outcome.EXEMPT)),
        "false_alarms": (False, (Outcome.VIOLATES,)),
    }
    return {
        name: [each.as_json() for each in _picked(_told(outcomes, truth, said))]
        for name, (truth, said) in wrong.items()
    }


def label_noise(run: RunData, others: Sequence[RunData]) -> list[dict[str, Any]]:
    """Return answers that contradict their label with unusual confidence: the label may be wrong.

    An answer counts where its probability of the other class is at least the mean probability of that class
    among the rows labelled so, the off-diagonal of the confident joint: Northcutt, C., Jiang, L. and Chuang,
    I. (2021), "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 1373–1411. First come
    those whose label most of the other runs contradict too.

    Args:
        run: the run reported.
        others: other runs; ``others_against`` of ``others`` that decided take the run's side.
    """
    usual = _usual(run.outcomes)
    found = []
    for told in _answers(run.outcomes):
        floor = usual.get((told.answer.kind, told.answer.key, not told.answer.truth))
        sureness = _against(told.answer)
        if floor is not None and sureness is not None and sureness >= max(floor, 0.5):
            found.append(Told(told.outcome, told.answer, sureness))
    sides = _sides(others)
    rows = []
    for told in found:
        at = (told.outcome.item, told.answer.kind, told.answer.key)
        votes = sides[at]
        against = votes[not told.answer.truth]
        rows.append((against / len(others) if others else 0.0, told, against, votes.total()))
    rows.sort(key=lambda row: (-row[0], -row[1].sureness, row[1].outcome.item, row[1].answer.key))
    kept = _limited((told, (against, asked)) for _, told, against, asked in rows)
    return [{**told.as_json(), "others_against": against, "others": asked} for told, (against, asked) in kept]


def masked(text: str) -> str:
    """Return a text whose words keep their first and last letter only; a dot stands for each other."""
    return "".join(part if part.isspace() else _masked_word(part) for part in _parts(text))


def shortened(text: str) -> str:
    """Return at most ``MOST_CHARACTERS`` of a text, and how many are missing."""
    missing = len(text) - MOST_CHARACTERS
    return text if missing <= 0 else f"{text[:MOST_CHARACTERS]} … ({missing:,} more characters)"


def _told(outcomes: Sequence[ItemOutcome], truth: bool, said: Sequence[Outcome]) -> list[Told]:
    found = []
    for told in _answers(outcomes):
        sureness = _against(told.answer)
        if told.answer.truth is truth and told.answer.outcome in said and sureness is not None:
            found.append(Told(told.outcome, told.answer, sureness))
    return found


def _answers(outcomes: Sequence[ItemOutcome]) -> Iterator[Told]:
    """Labelled answers; a rule that was not asked has the probability of its area, which stands for it."""
    for outcome in outcomes:
        for answer in outcome.answers:
            if answer.truth is not None and answer.asked:
                yield Told(outcome, answer, 0.0)


def _against(answer: Answer) -> float | None:
    """Probability of the class that the label is not."""
    if answer.probability is None:
        return None
    return 1 - answer.probability if answer.truth else answer.probability


def _picked(found: list[Told]) -> list[Told]:
    """Surest first; of equally sure answers of one item the narrowest question."""
    found.sort(key=lambda t: (-t.sureness, t.outcome.item, -_NARROWNESS[t.answer.kind], t.answer.key))
    return [told for told, _ in _limited((told, None) for told in found)]


def _limited(found: Iterator[tuple[Told, Any]]) -> list[tuple[Told, Any]]:
    kept: list[tuple[Told, Any]] = []
    seen: set[str] = set()
    of_question: Counter[tuple[str, str]] = Counter()
    for told, more in found:
        question = (told.answer.kind, told.answer.key)
        if told.outcome.item in seen or of_question[question] == MOST_OF_A_QUESTION:
            continue
        seen.add(told.outcome.item)
        of_question[question] += 1
        kept.append((told, more))
        if len(kept) == MOST_ITEMS:
            break
    return kept


def _usual(outcomes: Sequence[ItemOutcome]) -> Mapping[tuple[Kind, str, bool], float]:
    """Mean probability of a class among the rows labelled so, by question and class."""
    seen: dict[tuple[Kind, str, bool], list[float]] = defaultdict(list)
    for told in _answers(outcomes):
        answer, against = told.answer, _against(told.answer)
        if against is not None:
            seen[answer.kind, answer.key, bool(answer.truth)].append(1 - against)
    return {at: fmean(values) for at, values in seen.items() if len(values) >= LEAST_LABELS}


def _sides(others: Sequence[RunData]) -> defaultdict[tuple[str, Kind, str], Counter[bool]]:
    """How many of the other runs decided that a question applies to an item, and that it does not."""
    sides: defaultdict[tuple[str, Kind, str], Counter[bool]] = defaultdict(Counter)
    for run in others:
        for outcome in run.outcomes:
            for answer in outcome.answers:
                if answer.outcome not in (Outcome.ABSTAIN, Outcome.UNREADABLE):
                    at = (outcome.item, answer.kind, answer.key)
                    sides[at][answer.outcome == Outcome.VIOLATES] += 1
    return sides


def _parts(text: str) -> Iterator[str]:
    """Stretches with and without white space, in turn."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or text[end].isspace() != text[start].isspace():
            yield text[start:end]
            start = end


def _masked_word(word: str) -> str:
    letters = [place for place, char in enumerate(word) if unicodedata.category(char)[0] in "LMN"]
    inner = set(letters[1:-1])
    return "".join("·" if place in inner else char for place, char in enumerate(word))
