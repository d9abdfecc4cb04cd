"""A text → the same words as a picture, a recording or a video would bring them to the judge.

The labelled rows are texts; pictures, sound and videos reach the judge as lines that a reader or a
listener made out, often in capitals, cut short, without punctuation, beside what was measured. A model
that has only seen sentences takes those marks for a sign of something.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from llm_judge.content.content import Content, Modality, Segment, SegmentKind
from llm_judge.content.nudity import nudity_fact

REFRAMED_SHARE = 0.45
WORDS_OF_A_LINE = (3, 8)
PICTURE_CHARACTERS = 240  # longer texts are seldom seen on a picture

Framed = tuple[Content, list[int]]


def framed(content: Content, cited: list[int], draw: random.Random, share: float = REFRAMED_SHARE) -> Framed:
    """Frame a text as it is or as another medium, and follow the cited segments.

    Args:
        content: a text.
        cited: ids of segments that matter.
        draw: one seed gives one framing.
        share: how often it is another medium.

    Returns:
        The content, and the ids the cited segments now have.
    """
    if draw.random() >= share:
        return content, cited
    short = sum(len(segment.text) for segment in content.segments) <= PICTURE_CHARACTERS
    choices: list[Callable[[Content, list[int], random.Random], Framed]] = [_spoken, _filmed]
    return draw.choice([_pictured, *choices] if short else choices)(content, cited, draw)


def wordless(content: Content, draw: random.Random) -> Content:
    """A picture or video in which nothing was read or heard, in place of ``content``."""
    size = f"{draw.randrange(240, 2000, 20)}x{draw.randrange(240, 2000, 20)}"
    if draw.random() < 0.6:
        modality, words = Modality.IMAGE, f"picture {size}, no text found"
    else:
        modality = Modality.VIDEO
        words = f"video {size}, {draw.uniform(1, 60):.1f} s, no text and no speech found"
    segments = (Segment(1, SegmentKind.SIGNAL, words),)
    return replace(content, modality=modality, segments=segments, facts=(_nudity(draw),))


def _pictured(content: Content, cited: list[int], draw: random.Random) -> Framed:
    pieces = [(s.id, SegmentKind.OCR, line) for s in content.segments for line in _lines(s.text, draw)]
    if draw.random() < 0.5:
        pieces = [(origin, kind, line.upper()) for origin, kind, line in pieces]
    return _numbered(content, cited, pieces, Modality.IMAGE, (_nudity(draw),))


def _spoken(content: Content, cited: list[int], draw: random.Random) -> Framed:
    pieces = [(s.id, SegmentKind.TRANSCRIPT, _as_heard(s.text, draw)) for s in content.segments]
    seconds = draw.uniform(1, 30)
    fact = f"{seconds * draw.uniform(0.6, 1):.1f} of {seconds:.1f} s hold speech"
    return _numbered(content, cited, pieces, Modality.AUDIO, (fact,))


def _filmed(content: Content, cited: list[int], draw: random.Random) -> Framed:
    """Each sentence is spoken or written on a frame."""
    pieces: list[tuple[int, SegmentKind, str]] = []
    for segment in content.segments:
        if draw.random() < 0.6:
            pieces.append((segment.id, SegmentKind.TRANSCRIPT, _as_heard(segment.text, draw)))
        else:
            pieces += [(segment.id, SegmentKind.OCR, line) for line in _lines(segment.text, draw)]
    fact = nudity_fact(_low(draw), draw.uniform(0, 10))
    return _numbered(content, cited, pieces, Modality.VIDEO, (fact,))


def _numbered(
    content: Content,
    cited: list[int],
    pieces: list[tuple[int, SegmentKind, str]],
    modality: Modality,
    facts: tuple[str, ...],
) -> Framed:
    segments = tuple(Segment(n, kind, text) for n, (_, kind, text) in enumerate(pieces, start=1))
    now = [n for n, (origin, _, _) in enumerate(pieces, start=1) if origin in cited]
    return replace(content, modality=modality, segments=segments, facts=facts), now


def _lines(text: str, draw: random.Random) -> list[str]:
    """A few words a line, as they stand on a poster."""
    words, lines = text.split(), []
    while words:
        count = draw.randint(*WORDS_OF_A_LINE)
        lines.append(" ".join(words[:count]))
        words = words[count:]
    return lines or [text]


def _as_heard(text: str, draw: random.Random) -> str:
    """Speech is often written down without punctuation and capitals."""
    if draw.random() < 0.5:
        return text
    plain = re.sub(r"[!\"(),.:;?¡¿…]+", "", text).lower().strip()
    return plain or text


def _nudity(draw: random.Random) -> str:
    return nudity_fact(_low(draw))


def _low(draw: random.Random) -> float:
    # The texts say nothing about the picture, so only scores that mean nothing are shown.
    return draw.choice((0.0, 0.0, 0.01, 0.01, 0.02, 0.04, 0.08))
