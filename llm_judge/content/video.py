"""Video file → Content: text in sampled frames, speech, a nudity score, and frames for models that see.

Knows nothing about policies or prompts.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.content.audio import MEDIA_PACKAGES, NOT_HEARD, SENSE, Track, listen
from llm_judge.content.content import Content, Coverage, Modality, Picture, Segment, SegmentKind
from llm_judge.content.files import named, read_file
from llm_judge.content.images import SENSES, pictures
from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.content.nudity import nudity_fact, nudity_score
from llm_judge.content.ocr import Line, key_of, read_lines
from llm_judge.content.sandbox import require_media, shared_sandbox
from llm_judge.content.shown import SENSE as PIXELS
from llm_judge.content.shown import not_shown_note, shown
from llm_judge.content.sniff import missing_bytes, sniff
from llm_judge.errors import ContentDamaged, ContentUnsupported

if TYPE_CHECKING:
    from llm_judge.content.shown import Placed

NOT_SEEN = "the frames themselves were not seen by the model, only their text and scores"
_ALIKE = 0.85  # share of equal letters for two readings of one line in neighbouring frames


@dataclass
class _Caption:
    """A line of text on screen: where it was first read, and the last moment it was seen."""

    line: Line
    key: str
    frame: int
    start_s: float
    end_s: float
    last_picture: int


def from_video(
    path_or_bytes: Path | str | bytes,
    id: str | None = None,
    *,
    source: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Content:
    """Return an MP4, WebM, Matroska, AVI or OGG video as content.

    Segments are, in order of time, the frames shown to the model, the lines of text on screen (each once,
    from the first to the last sampled frame it was seen in) and the lines of speech; one signal segment
    where there is none of them.

    Raises:
        ContentNotFound, ContentEmpty, ContentTooLarge, ContentUnsupported, ContentDamaged
        ContentUnperceived: the container has no moving picture.
        PackageError: a packaged model is missing.
    """
    data, source = read_file(path_or_bytes, source, limits.video_bytes)
    name = named(source, "the video")
    kind = sniff(data[:64])
    if kind is None or kind.modality is not Modality.VIDEO or kind.decoder is None:
        raise ContentUnsupported(
            f"{name} holds {f'{kind.name} data' if kind else 'no known format'}, no video"
        )
    require_media("PIL", "rapidocr", *MEDIA_PACKAGES)
    if missing := missing_bytes(kind.decoder, data):
        raise ContentDamaged(f"{name} is cut short: {missing} bytes are missing")
    options = {
        "format": kind.decoder,
        "max_seconds": limits.video_seconds,
        "max_pixels": limits.image_pixels,
        "max_frames": limits.video_frames,
    }
    header, raw = shared_sandbox().run("video", name, data, options, limits)
    looked_at = pictures(header, raw)
    seen = shown(looked_at, limits)
    captions, fact = _look(header, looked_at)
    del raw, looked_at
    track = listen(data, name, kind, limits, limits.video_seconds) if header["sound"] else None
    segments = _segments(captions, track, header, [place for place, _ in seen])
    frames = [segment.id for segment in segments if segment.kind is SegmentKind.FRAME]
    digest = hashlib.sha256(data).hexdigest()
    return Content(
        id=id or source or digest[:12],
        sha256=digest,
        modality=Modality.VIDEO,
        segments=segments,
        coverage=_coverage(header, track, len(seen)),
        language=track.speech.language if track else None,
        source=source,
        facts=(fact,),
        pictures=tuple(Picture(number, png) for number, (_, png) in zip(frames, seen, strict=True)),
    )


def _look(header: Mapping[str, Any], looked_at: Sequence[Placed]) -> tuple[list[_Caption], str]:
    """Return the captions of all frames, and the highest nudity score in words."""
    captions: list[_Caption] = []
    by_key: dict[str, _Caption] = {}
    scores: list[tuple[float, float]] = []
    for number, (place, pixels) in enumerate(looked_at):
        scale = int(header["width"]) / pixels.shape[1]
        scores.append((nudity_score(pixels), -float(place["start_s"])))
        recent = [caption for caption in captions if caption.last_picture == number - 1]
        for line in read_lines(pixels):
            key = key_of(line.text)
            caption = by_key.get(key) or _same_line(key, recent)
            if caption is None:
                left, top, right, bottom = (round(edge * scale) for edge in line.box)
                placed = replace(line, box=(left, top, right, bottom))
                at_s = float(place["start_s"])
                caption = _Caption(placed, key, int(place["frame"]), at_s, at_s, number)
                captions.append(caption)
            by_key[key] = caption
            caption.end_s, caption.last_picture = max(caption.end_s, float(place["end_s"])), number
            if line.score > caption.line.score:  # keep the surest reading of the words
                caption.line = replace(caption.line, text=line.text, score=line.score)
    highest, negative_at = max(scores)
    return captions, nudity_fact(highest, -negative_at)


def _same_line(key: str, recent: list[_Caption]) -> _Caption | None:
    """Return the caption of the frame before that ``key`` is another reading of."""
    for caption in recent:
        matcher = difflib.SequenceMatcher(None, caption.key, key, autojunk=False)
        if (
            matcher.real_quick_ratio() >= _ALIKE
            and matcher.quick_ratio() >= _ALIKE
            and matcher.ratio() >= _ALIKE
        ):
            return caption
    return None


def _segments(
    captions: list[_Caption],
    track: Track | None,
    header: Mapping[str, Any],
    seen: Sequence[Mapping[str, Any]],
) -> tuple[Segment, ...]:
    found = [
        Segment(
            0,
            SegmentKind.FRAME,
            f"frame at {place['start_s']:.1f} s",
            start_s=float(place["start_s"]),
            end_s=float(place["end_s"]),
            frame=int(place["frame"]),
        )
        for place in seen
    ]
    found += [
        Segment(
            0,
            SegmentKind.OCR,
            caption.line.text,
            start_s=caption.start_s,
            end_s=caption.end_s,
            frame=caption.frame,
            box=caption.line.box,
        )
        for caption in captions
    ]
    for heard in track.speech.lines if track else ():
        found.append(Segment(0, SegmentKind.TRANSCRIPT, heard.text, start_s=heard.start_s, end_s=heard.end_s))
    if not found:
        size, seconds = f"{header['width']}x{header['height']}", float(header["seconds"])
        words = f"video {size}, {seconds:.1f} s, no text and no speech found"
        found.append(Segment(0, SegmentKind.SIGNAL, words, start_s=0.0, end_s=round(seconds, 2)))
    found.sort(key=lambda segment: segment.start_s or 0.0)  # stable: lines of one frame keep their order
    return tuple(replace(segment, id=number) for number, segment in enumerate(found, start=1))


def _coverage(header: Mapping[str, Any], track: Track | None, shown_to_model: int) -> Coverage:
    seconds, sampled = round(float(header["seconds"]), 2), len(header["pictures"])
    not_seen = not_shown_note(shown_to_model, sampled) if shown_to_model else (NOT_SEEN,)
    senses = (PIXELS, *SENSES) if shown_to_model else SENSES
    notes = [*not_seen, f"{sampled} of {header['frames']} frames were looked at, all others only compared"]
    if header["key_frames_after"] is not None:
        notes.append(f"after {header['key_frames_after']} s only key frames were looked at")
    if header["tracks"] > 1:
        notes.append(f"{header['tracks'] - 1} more video track(s) were not looked at")
    claimed = header["header_seconds"]
    if claimed is not None and abs(claimed - seconds) > max(1.0, 0.1 * seconds):
        notes.append(f"the header claims {claimed:.1f} s, {seconds:.1f} s of frames are there")
    if track is None:
        return Coverage("seconds", seconds, seconds, senses, (*notes, "there is no sound track"))
    if not track.speech.lines:
        notes.append("no speech was found in the sound track")
    return Coverage("seconds", seconds, seconds, (*senses, SENSE), (*notes, NOT_HEARD, *track.notes))
