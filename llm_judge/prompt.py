"""CompiledPolicy + Content → Prompt: stable prefix first, content next, question last.

Content is hostile: each segment becomes one line, control tokens are neutralised, and the fence is a
mark that does not occur in the content. Knows nothing about engines or chat templates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm_judge.compile import CompiledPolicy, Question
from llm_judge.content.content import Content, Picture, Segment, SegmentKind
from llm_judge.content.normalise import clean, neutralise

__all__ = ["Prompt", "Question", "build_prompt", "segment_line"]

_KIND_WORD = {
    SegmentKind.OCR: "written: ",
    SegmentKind.TRANSCRIPT: "spoken: ",
    SegmentKind.SENTENCE: "",
    SegmentKind.SIGNAL: "measured: ",
    SegmentKind.FRAME: "shown: ",
}
_MARK_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stays the same for all questions about one content.

    Attributes:
        prefix: the system message: the role and the policies; the same for every content.
        body: the first part of the user message: the content, fenced and numbered.
        pictures: come after the body and before the question, for models that see.
    """

    prefix: str
    body: str
    pictures: tuple[Picture, ...] = ()


def build_prompt(compiled: CompiledPolicy, content: Content, special_tokens: Sequence[str]) -> Prompt:
    """Fence one window of content behind the policy prefix.

    Args:
        compiled: the policies; their prefix is shared by every content.
        content: the item, or one window of it (segment ids are kept).
        special_tokens: control strings of the tokenizer in use.
    """
    lines = [segment_line(segment, neutralise(segment.text, special_tokens)) for segment in content.segments]
    facts = [neutralise(fact, special_tokens) for fact in _facts(content)]
    mark = _mark("\n".join([*lines, *facts]))
    body = [f"{content.modality.value} {mark}", *lines, mark]
    if facts:
        body.append("Measured: " + "; ".join(facts) + ".")
    here = {segment.id for segment in content.segments}
    pictures = tuple(picture for picture in content.pictures if picture.segment in here)
    return Prompt(compiled.prefix, "\n".join(body), pictures)


def segment_line(segment: Segment, text: str) -> str:
    """One numbered line; a line break inside content is already a space, so numbers cannot be forged."""
    return f"[{segment.id}] {_KIND_WORD[segment.kind]}{text}"


def _facts(content: Content) -> list[str]:
    """What was measured about the item, then what cleaning takes out of it where that is not said yet."""
    _, notes = clean("\n".join(segment.text for segment in content.segments))
    said = {_kind_of(fact) for fact in content.facts}
    return [*content.facts, *(note for note in notes if _kind_of(note) not in said)]


def _kind_of(fact: str) -> str:
    """The same for ``contains 1 invisible character`` and ``contains 4 invisible characters``."""
    return re.sub(r"\d+|s\b", "", fact)


def _mark(fenced: str) -> str:
    """Return a fence mark that does not occur in what it fences.

    Derived from the content, so the same item always gives the same prompt; it cannot be forged
    because a candidate that occurs in the content is skipped.
    """
    counter = 0
    while True:
        digest = hashlib.sha256(f"{counter}\x00{fenced}".encode("utf-8", "surrogatepass")).hexdigest()
        mark = digest[:_MARK_CHARACTERS]
        if mark not in fenced:
            return mark
        counter += 1
        if counter % 4096 == 0:  # every short mark occurs: a content made to exhaust them
            return digest
