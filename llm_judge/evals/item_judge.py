"""Labelled items → outcomes, a chunk at a time: opened, recalled or judged, and kept for the next run.

Knows nothing about run folders or the order of chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_judge.batch.items import Item
from llm_judge.batch.run import run_batches
from llm_judge.content.content import Content
from llm_judge.content.open import from_bytes
from llm_judge.content.text import from_text
from llm_judge.engines.protocol import limits_for
from llm_judge.errors import ContentError, ContentNotFound, Interrupted
from llm_judge.evals.area_ranking import answer_areas, item_tokens, ranked
from llm_judge.evals.outcome_of import outcome_of
from llm_judge.evals.outcomes import Ask
from llm_judge.evals.recall import Answered, answered_in, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_judge.evals.outcomes import EvalItem, ItemOutcome
    from llm_judge.evals.recall import Asked, Recall
    from llm_judge.judge import Judge
    from llm_judge.record import DecisionRecord

Opener = Callable[[], Content | Answered]


@dataclass(frozen=True, slots=True)
class ItemJudge:
    """Judges labelled items.

    Attributes:
        judge: over the policies of the suite.
        media: gives the bytes of a file by its name; None where all items are texts.
        ask: what each item is asked about.
        recall: finds what was answered before and keeps what is answered now; None to ask always.
    """

    judge: Judge
    media: Callable[[str], bytes] | None
    ask: Ask
    recall: Recall | None = None

    def open(self, item: EvalItem) -> Content | Answered:
        """Return what was answered about an item before, else its content; safe in any thread.

        Raises:
            ContentError: the item cannot be judged.
            PackageError, UsageError: a packaged model is missing, or a file cannot be made.
        """
        data = self._bytes(item)
        if self.recall is not None:
            known = self.recall.find(item, hashlib.sha256(data).hexdigest(), self._asked(item))
            if known is not None:
                return known
        if item.text is not None:
            return from_text(item.text, id=item.id)
        limits = limits_for(self.judge.engine)
        return from_bytes(data, id=item.id, source=item.media, limits=limits)

    def judge_chunk(
        self, chunk: Sequence[EvalItem], openers: Sequence[Opener]
    ) -> tuple[list[ItemOutcome], Interrupted | None]:
        """Judge a chunk whole; a stop that was asked for meanwhile is returned, not raised.

        Args:
            chunk: judged together, as far as nothing is known about them.
            openers: of each item; give what ``open`` gives.

        Raises:
            Interrupted: Ctrl-C or SIGTERM before the chunk was judged whole.
            EngineError, PackageError, UsageError: as the parts raise them.
        """
        asked = [self._asked(item) for item in chunk]
        if self.ask is Ask.AREAS:
            return self._rank(chunk, openers, asked), None
        counted = item_tokens(self.judge.engine)
        turns = [_Turn(self.judge, *each) for each in zip(chunk, openers, asked, strict=True)]
        records: list[DecisionRecord] = []
        stopped = None
        try:
            for record in run_batches(self.judge, [turn.item for turn in turns], batch_items=len(turns)):
                records.append(record)  # a comprehension would lose them on a stop
        except Interrupted as error:
            if len(records) < len(chunk):
                raise
            stopped = error
        judged = sum(turn.known is None for turn in turns)
        tokens = (item_tokens(self.judge.engine) - counted) / max(judged, 1)
        self._keep(
            (turn.of, turn.asked, answered_in(record, tokens))
            for turn, record in zip(turns, records, strict=True)
            if turn.known is None and record.error is None
        )
        return [turn.outcome(record, tokens) for turn, record in zip(turns, records, strict=True)], stopped

    def _rank(
        self, chunk: Sequence[EvalItem], openers: Sequence[Opener], asked: Sequence[Asked]
    ) -> list[ItemOutcome]:
        opened = [_or_error(opener) for opener in openers]
        answered = answer_areas(self.judge, opened, asked)
        found = list(zip(chunk, asked, opened, answered, strict=True))
        self._keep(
            (item, policies, each)
            for item, policies, before, each in found
            if isinstance(before, Content) and isinstance(each, Answered)
        )
        thresholds = self.judge.settings.thresholds
        return [
            ranked(item, each, thresholds, whole=policies is None, cached=isinstance(before, Answered))
            for item, policies, before, each in found
        ]

    def _keep(self, answered: Iterable[tuple[EvalItem, Asked, Answered]]) -> None:
        if self.recall is not None:
            self.recall.keep(answered)

    def _asked(self, item: EvalItem) -> Asked:
        """Policies the item has labels for; None for all, also where only the item as a whole has one."""
        known = {*item.areas, *(rule.partition("#")[0] for rule in item.rules)}
        everything = {policy.policy for policy in self.judge.policies}
        if self.ask is Ask.ALL or not known & everything or known >= everything:
            return None
        return frozenset(known & everything)

    def _bytes(self, item: EvalItem) -> bytes:
        if item.text is not None:
            return item.text.encode("utf-8", "surrogatepass")
        if self.media is None or item.media is None:
            raise ContentNotFound(f"`{item.id}` has no file")
        return self.media(item.media)


@dataclass(slots=True)
class _Turn:
    """One item in a chunk; ``known`` is what was answered before, once it was opened."""

    judge: Judge
    of: EvalItem
    opener: Opener
    asked: Asked
    known: Answered | None = field(default=None, init=False)

    @property
    def item(self) -> Item:
        return Item(self.of.id, self.of.media, self._open, self.asked)

    def outcome(self, record: DecisionRecord, tokens: float) -> ItemOutcome:
        cost = tokens if self.known is None else self.known.tokens
        return outcome_of(self.of, record, cost, whole=self.asked is None, cached=self.known is not None)

    def _open(self) -> Content | DecisionRecord:
        found = self.opener()
        if isinstance(found, Content):
            return found
        self.known = found
        return record_of(self.judge, self.of, found, self.asked)


def _or_error(opener: Opener) -> Content | Answered | ContentError:
    try:
        return opener()
    except ContentError as error:
        return error
