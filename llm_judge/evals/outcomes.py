"""What an eval run keeps of each item: what was asked, what is true, what was answered.

The contract between the steps of the harness: ``suite_rows`` makes ``EvalItem``, ``run`` turns each into an
``ItemOutcome``, and everything after it (metrics, calibration, comparison, report) reads outcomes only. An
outcome holds no words of the item, only its id and digest; the report looks words up in the data again.
Knows nothing about files, engines or metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an answer is about."""

    ITEM = "item"  # does anything at all apply; key "any"
    AREA = "area"  # does any rule of a policy apply; key is the policy id
    RULE = "rule"  # does one rule apply; key is policy#rule


class Ask(StrEnum):
    """What an item is asked about. Prompts hold every policy whatever is asked, so answers are the same."""

    LABELLED = "labelled"  # the policies it has labels for, and their rules
    ALL = "all"  # every policy of the suite: also scores items as a whole, and measures what judging costs
    AREAS = "areas"  # the policies it has labels for, and no rule: ranks, and decides nothing


ANY = "any"
_FROM_ITEM = ("suite", "source", "modality", "lang", "slices", "group")


@dataclass(frozen=True, slots=True)
class EvalItem:
    """One labelled item, before it is judged.

    Attributes:
        id: ``source:source_id``, or ``policy#case`` for a case; unique in a run.
        suite, source: where it comes from.
        text: what is judged, for texts; None for media.
        media: path of the file inside the data folder's tar, for media; None for texts.
        modality: ``text``, ``image``, ``audio`` or ``video``.
        lang: language tag of the set, ``zxx`` without words.
        slices: names of the subsets it belongs to (functionality, origin, content type…).
        group: items of one group (contrast pair, template, thread) are resampled together.
        areas: policy id → whether a rule of it applies; absent where unknown.
        rules: ``policy#rule`` → ``yes``, ``no`` or ``except``; absent where unknown.
        harmful: whether anything at all applies; None where unknown.
        spans: character ranges ``(start, end)`` of ``text`` that a person marked; () where none were.
        target: who or what it is about, as the set says; None where it does not.
    """

    id: str
    suite: str
    source: str
    text: str | None
    media: str | None
    modality: str
    lang: str
    slices: tuple[str, ...]
    group: str
    areas: Mapping[str, bool]
    rules: Mapping[str, str]
    harmful: bool | None
    spans: tuple[tuple[int, int], ...] = ()
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One question about one item: what is true and what the judge says.

    Attributes:
        kind, key: what is asked.
        truth: whether it applies (an exempt rule does not); None where unknown.
        probability: of "applies", 0..1; None where nothing usable was read.
        exempt_probability: of "exempt", for rules that have exemptions; else 0.
        label_mass: probability of all labels over the full vocabulary, 0..1.
        outcome: ``violates``, ``clear``, ``exempt``, ``abstain`` or ``unreadable``, as the judge decided.
            An area has the worst outcome of its rules.
        asked: False for a rule whose area was clearly clear; its probability is then the area's.
    """

    kind: Kind
    key: str
    truth: bool | None
    probability: float | None
    exempt_probability: float
    label_mass: float
    outcome: str
    asked: bool = True


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """One item of a run, judged.

    Attributes:
        item, sha256: id, and digest of what was judged.
        suite, source, modality, lang, slices, group: as in ``EvalItem``.
        answers: of the item as a whole, of every area asked and of every rule of these areas.
        action: what the judge would do.
        evidence_hit: whether cited evidence overlaps a span that a person marked; None where unknown.
        ms: milliseconds this item took, its share of its batch.
        tokens: computed for it, prefix apart, its share of its batch; 0 where the engine does not count.
        error: what went wrong, ``type: message``; None for a decision. An item in error has no answers.
        cached: answered by an earlier run; ``ms`` and ``tokens`` are of then, and in no metric.
    """

    item: str
    sha256: str
    suite: str
    source: str
    modality: str
    lang: str
    slices: tuple[str, ...]
    group: str
    answers: tuple[Answer, ...]
    action: str
    evidence_hit: bool | None = None
    ms: float = 0.0
    tokens: float = 0.0
    error: str | None = None
    cached: bool = False

    @classmethod
    def of(
        cls, item: EvalItem, sha256: str, answers: tuple[Answer, ...], action: str, **found: Any
    ) -> ItemOutcome:
        """The outcome of a labelled item: what it is comes from the item, the rest is ``found``."""
        kept = {name: getattr(item, name) for name in _FROM_ITEM}
        return cls(item=item.id, sha256=sha256, answers=answers, action=action, **kept, **found)
