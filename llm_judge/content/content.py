"""What is judged: one item cut into numbered segments that carry where they came from.

Knows nothing about policies, prompts or models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Modality(StrEnum):
    """What kind of thing the item is."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class SegmentKind(StrEnum):
    """Where a segment's words came from."""

    SENTENCE = "sentence"  # a sentence (or a slice of one) of a text
    OCR = "ocr"  # a line read in a picture or frame
    TRANSCRIPT = "transcript"  # a line of speech
    SIGNAL = "signal"  # a fact measured by code, such as a nudity score
    FRAME = "frame"  # a picture or frame that is shown to the model itself


@dataclass(frozen=True, slots=True)
class Segment:
    """One citable piece of an item.

    Attributes:
        id: 1-based number within the item; what the model may cite.
        kind: where the words came from.
        text: the words themselves, exactly as found.
        start, end: character offsets into the original text, for sentences only.
        start_s, end_s: seconds into the sound or video, for transcripts and frames.
        frame: 0-based index of the frame that was read or is shown, in moving pictures.
        box: left, top, right, bottom in pixels of the line that was read, for OCR only.
    """

    id: int
    kind: SegmentKind
    text: str
    start: int | None = None
    end: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    frame: int | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a model is shown it: encoded by us, upright, opaque and without metadata.

    Attributes:
        segment: id of the segment that stands for it; what the model may cite.
        png: the bytes of a PNG file.
    """

    segment: int
    png: bytes


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the item was looked at, so that nothing is cut in silence.

    Attributes:
        unit: ``characters``, ``frames`` or ``seconds``.
        seen, total: amounts in that unit; equal when everything was looked at.
        senses: how it was looked at, such as ``("ocr", "nudity score")``.
        notes: one line for each thing that was not looked at, and why.
    """

    unit: str
    seen: float
    total: float
    senses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """One item, ready to be judged.

    Attributes:
        id: the caller's id, or a name derived from the file or the digest.
        sha256: hex digest of the original bytes (UTF-8 for text); the bytes are not kept.
        modality: kind of item.
        segments: numbered from 1 without gaps, in reading order.
        coverage: how much of the item the segments stand for.
        language: ISO 639-1 code where a perceiver found one, else None.
        source: file name shown to people, None for text given directly.
        facts: measured by code and told to the model beside the segments, such as
            ``contains 14 invisible characters``.
        pictures: for models that see; each belongs to a segment of kind ``frame``.
    """

    id: str
    sha256: str
    modality: Modality
    segments: tuple[Segment, ...]
    coverage: Coverage
    language: str | None = None
    source: str | None = None
    facts: tuple[str, ...] = field(default=())
    pictures: tuple[Picture, ...] = ()
