"""A row → a content as the judge meets it: alone or among harmless lines, as a text or another medium.

Knows nothing about questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.content.text import from_text
from llm_judge.content.windows import windows
from llm_judge.finetune.framings import framed, wordless
from llm_judge.finetune.rows import OWN

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from llm_judge.content.content import Content
    from llm_judge.finetune.rows import LabelledRow

AMONG_OTHERS_SHARE = 0.15
WORDLESS_SHARE = 0.1  # of our own harmless rows: a picture that says nothing breaks no rule we can see
_LINE_TOKENS = 4  # the number of a line and its break

Presented = tuple["Content", list[int]]


class Presenter:
    """Turns rows into contents; one source of chance gives one series.

    Args:
        draw: the source of chance.
        count: tokens of a text.
        harmless: rows that break nothing, to stand around others.
        reframed: share of contents shown as another medium.
    """

    def __init__(
        self,
        draw: random.Random,
        count: Callable[[str], int],
        harmless: Sequence[LabelledRow],
        reframed: float,
    ) -> None:
        self._draw, self._count, self._harmless, self._reframed = draw, count, harmless, reframed

    def present(self, row: LabelledRow, tokens: int, *, cut: bool = False) -> Presented | None:
        """Return a content, and the ids of the segments that hold the row itself.

        Args:
            row: what is judged.
            tokens: the longest content.
            cut: take the first window of a longer one; else there is None.

        Raises:
            ContentEmpty, ContentTooLarge: the row cannot be judged.
        """
        around = row.source == OWN and self._draw.random() < AMONG_OTHERS_SHARE
        found = self._among(row, tokens, cut) if around else self.alone(row, tokens, cut=cut)
        if found is None:
            return None
        content, cited = found
        if row.source == OWN and row.harmless and self._draw.random() < WORDLESS_SHARE:
            return wordless(content, self._draw), [1]
        return framed(content, cited, self._draw, self._reframed)

    def among_others(self, row: LabelledRow, tokens: int) -> Presented | None:
        """Return a text with harmless lines around the row; None where they end up in one segment with it."""
        found = self._among(row, tokens, cut=False)
        return found if found and len(found[1]) < len(found[0].segments) else None

    def alone(self, row: LabelledRow, tokens: int, *, cut: bool = False) -> Presented | None:
        """Return the row as a text and nothing else, as ``present`` does."""
        return self._windowed(row.text, (0, len(row.text)), tokens, cut)

    def _among(self, row: LabelledRow, tokens: int, cut: bool) -> Presented | None:
        before: list[str] = []
        after: list[str] = []
        count = min(self._draw.randint(1, 2), len(self._harmless))
        for other in self._draw.sample(list(self._harmless), count):
            (before if self._draw.random() < 0.5 else after).append(other.text)
        start = sum(len(line) + 1 for line in before)
        text = "\n".join([*before, row.text, *after])
        return self._windowed(text, (start, start + len(row.text)), tokens, cut)

    def _windowed(self, text: str, span: tuple[int, int], tokens: int, cut: bool) -> Presented | None:
        whole = from_text(text)
        parts = windows(whole, tokens, lambda segment: self._count(segment.text) + _LINE_TOKENS)
        if len(parts) > 1 and not cut:
            return None
        content = parts[0]
        cited = [
            segment.id
            for segment in content.segments
            if segment.start is not None and segment.end is not None
            if segment.start < span[1] and segment.end > span[0]
        ]
        return content, cited or [content.segments[0].id]
