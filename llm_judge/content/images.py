"""Picture file → Content: the lines of text in it, a nudity score, and the picture for models that see.

What a text model is told is only what was read and measured here, and the coverage says so. Knows
nothing about policies or prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.content.content import Content, Coverage, Modality, Picture, Segment, SegmentKind
from llm_judge.content.files import named, read_file
from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.content.nudity import nudity_fact, nudity_score
from llm_judge.content.ocr import Line, key_of, read_lines
from llm_judge.content.sandbox import require_media, shared_sandbox
from llm_judge.content.shown import SENSE, not_shown_note, shown
from llm_judge.content.sniff import missing_bytes, sniff
from llm_judge.errors import ContentDamaged, ContentUnsupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.content.shown import Placed

SENSES = ("ocr", "nudity score")
NOT_SEEN = "the picture itself was not seen by the model, only its text and scores"


def from_image(
    path_or_bytes: Path | str | bytes,
    id: str | None = None,
    *,
    source: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Content:
    """Return a PNG, JPEG, WebP or GIF picture as content.

    Segments are the pictures shown to the model, if any, then the lines read, each once, with the box in
    pixels of the upright picture and, where the picture moves, frame and seconds; one signal segment where
    there is nothing else. Transparent parts are read, and shown, on white and on black.

    Raises:
        ContentNotFound, ContentEmpty, ContentTooLarge, ContentUnsupported, ContentDamaged
        PackageError: the packaged nudity model is missing.
    """
    data, source = read_file(path_or_bytes, source, limits.image_bytes)
    name = named(source, "the picture")
    kind = sniff(data[:64])
    if kind is None or kind.modality is not Modality.IMAGE or kind.decoder is None:
        raise ContentUnsupported(
            f"{name} holds {f'{kind.name} data' if kind else 'no known format'}, no picture"
        )
    require_media("PIL", "numpy", "rapidocr", "onnxruntime")
    if missing := missing_bytes(kind.decoder, data):
        raise ContentDamaged(f"{name} is cut short: {missing} bytes are missing")
    options = {"format": kind.decoder, "max_pixels": limits.image_pixels, "max_frames": limits.image_frames}
    header, raw = shared_sandbox().run("image", name, data, options, limits)
    looked_at = pictures(header, raw)
    seen = shown(looked_at, limits)
    lines, score, notes = _perceive(header, looked_at)
    digest = hashlib.sha256(data).hexdigest()
    return Content(
        id=id or source or digest[:12],
        sha256=digest,
        modality=Modality.IMAGE,
        segments=(*_frames(seen, header), *_segments(lines, header, len(seen))),
        coverage=_coverage(header, notes, len(seen)),
        source=source,
        facts=_facts(header, score),
        pictures=tuple(Picture(number, png) for number, (_, png) in enumerate(seen, start=1)),
    )


def pictures(header: Mapping[str, Any], raw: bytes) -> list[tuple[Mapping[str, Any], NDArray[np.uint8]]]:
    """Return each picture the decoder sent with its place, as arrays of shape (height, width, 3).

    Raises:
        ContentDamaged: what the decoder says does not fit what it sent.
    """
    import numpy as np

    found, offset = [], 0
    for place in header["pictures"]:
        height, width = int(place["height"]), int(place["width"])
        size = height * width * 3
        if height < 1 or width < 1 or offset + size > len(raw):
            raise ContentDamaged("the decoder sent a picture that is not all there")
        pixels = np.frombuffer(raw, np.uint8, size, offset).reshape(height, width, 3)
        found.append((place, pixels))
        offset += size
    return found


def _perceive(
    header: Mapping[str, Any], looked_at: Sequence[Placed]
) -> tuple[list[tuple[Mapping[str, Any], Line]], float, list[str]]:
    """Return each distinct line with the place it was first read, and the highest nudity score."""
    lines: dict[str, tuple[Mapping[str, Any], Line]] = {}
    highest = 0.0
    notes: list[str] = []
    for place, pixels in looked_at:
        scale = int(header["width"]) / pixels.shape[1]
        for line in read_lines(pixels):
            left, top, right, bottom = (round(edge * scale) for edge in line.box)
            lines.setdefault(key_of(line.text), (place, replace(line, box=(left, top, right, bottom))))
        highest = max(highest, nudity_score(pixels))
        if scale > 2 and not notes:
            notes.append(f"read at {100 / scale:.0f} % of its size; small print may be lost")
    return list(lines.values()), highest, notes


def _frames(
    seen: Sequence[tuple[Mapping[str, Any], bytes]], header: Mapping[str, Any]
) -> tuple[Segment, ...]:
    moving = header["frames"] > 1
    return tuple(
        Segment(
            number,
            SegmentKind.FRAME,
            _words(place, header),
            start_s=place["start_s"] if moving else None,
            frame=place["frame"] if moving else None,
        )
        for number, (place, _) in enumerate(seen, start=1)
    )


def _words(place: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    ground = f", its transparent parts on {place['ground']}" if place["ground"] else ""
    if header["frames"] > 1:
        return f"frame at {place['start_s']:.1f} s{ground}"
    return f"picture {header['width']}x{header['height']}{ground}"


def _segments(
    lines: list[tuple[Mapping[str, Any], Line]], header: Mapping[str, Any], frames: int
) -> tuple[Segment, ...]:
    if not lines and not frames:
        words = f"picture {header['width']}x{header['height']}, no text found"
        return (Segment(1, SegmentKind.SIGNAL, words),)
    moving = header["frames"] > 1
    return tuple(
        Segment(
            number,
            SegmentKind.OCR,
            line.text,
            start_s=place["start_s"] if moving else None,
            frame=place["frame"] if moving else None,
            box=line.box,
        )
        for number, (place, line) in enumerate(lines, start=frames + 1)
    )


def _coverage(header: Mapping[str, Any], notes: list[str], shown_to_model: int) -> Coverage:
    total, seen = int(header["frames"]), int(header["frames_seen"])
    if seen < total:
        notes.append(f"{seen} of {total} frames were looked at")
    if header["frames_reached"] < total:
        notes.append(f"frames after number {header['frames_reached']} were not looked at")
    if not shown_to_model:
        return Coverage("frames", seen, total, SENSES, (NOT_SEEN, *notes))
    told = not_shown_note(shown_to_model, len(header["pictures"]))
    return Coverage("frames", seen, total, (SENSE, *SENSES), (*told, *notes))


def _facts(header: Mapping[str, Any], score: float) -> tuple[str, ...]:
    facts = [nudity_fact(score)]
    if any(place["ground"] == "black" for place in header["pictures"]):
        facts.append("has transparent parts; read on white and on black")
    return tuple(facts)
