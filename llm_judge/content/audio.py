"""Sound file → Content: lines of speech with seconds, and the language spoken.

Knows nothing about policies or prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_judge.content.content import Content, Coverage, Modality, Segment, SegmentKind
from llm_judge.content.files import named, read_file
from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.content.sandbox import require_media, shared_sandbox
from llm_judge.content.sniff import Kind, missing_bytes, sniff
from llm_judge.content.speech import Speech, transcribe
from llm_judge.errors import ContentDamaged, ContentUnperceived, ContentUnsupported

SENSE = "speech recognition"
NOT_HEARD = "sounds other than speech were not judged"
MEDIA_PACKAGES = ("av", "numpy", "faster_whisper", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Track:
    """A sound track that was listened to: its playing time, its speech, and what was left out."""

    seconds: float
    speech: Speech
    notes: tuple[str, ...]


def from_audio(
    path_or_bytes: Path | str | bytes,
    id: str | None = None,
    *,
    source: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Content:
    """Return a WAV, MP3, OGG, FLAC or M4A file as content: one transcript segment a line of speech.

    Raises:
        ContentNotFound, ContentEmpty, ContentTooLarge, ContentUnsupported, ContentDamaged
        ContentUnperceived: no speech in it, or none that can be made out.
        PackageError: the packaged speech model is missing.
    """
    data, source = read_file(path_or_bytes, source, limits.audio_bytes)
    name = named(source, "the sound")
    kind = sniff(data[:64])
    if kind is None or kind.modality not in (Modality.AUDIO, Modality.VIDEO):
        raise ContentUnsupported(
            f"{name} holds {f'{kind.name} data' if kind else 'no known format'}, no sound"
        )
    require_media(*MEDIA_PACKAGES)
    track = listen(data, name, kind, limits, limits.audio_seconds)
    if not track.speech.lines:
        lost = (
            f"the speech in {name} could not be made out"
            if track.speech.dropped
            else f"no speech found in {name}"
        )
        raise ContentUnperceived(f"{lost} ({track.seconds:.1f} s)")
    segments = tuple(
        Segment(number, SegmentKind.TRANSCRIPT, line.text, start_s=line.start_s, end_s=line.end_s)
        for number, line in enumerate(track.speech.lines, start=1)
    )
    seconds = round(track.seconds, 2)
    digest = hashlib.sha256(data).hexdigest()
    return Content(
        id=id or source or digest[:12],
        sha256=digest,
        modality=Modality.AUDIO,
        segments=segments,
        coverage=Coverage("seconds", seconds, seconds, (SENSE,), (NOT_HEARD, *track.notes)),
        language=track.speech.language,
        source=source,
        facts=(f"{track.speech.voice_s:.1f} of {track.seconds:.1f} s hold speech",),
    )


def listen(data: bytes, name: str, kind: Kind, limits: Limits, max_seconds: int) -> Track:
    """Decode the first sound track of ``data`` and return its speech.

    Raises:
        ContentDamaged, ContentTooLarge: as the decoder says.
        ContentUnperceived: there is no sound track.
    """
    import numpy as np

    assert kind.decoder is not None  # noqa: S101  # callers pass supported kinds only
    if missing := missing_bytes(kind.decoder, data):
        raise ContentDamaged(f"{name} is cut short: {missing} bytes are missing")
    options = {"format": kind.decoder, "max_seconds": max_seconds}
    header, raw = shared_sandbox().run("sound", name, data, options, limits)
    speech = transcribe(np.frombuffer(raw, np.int16))
    return Track(float(header["seconds"]), speech, tuple(_notes(header, speech)))


def _notes(header: Mapping[str, Any], speech: Speech) -> list[str]:
    notes = []
    seconds, claimed = float(header["seconds"]), header["header_seconds"]
    if claimed is not None and abs(claimed - seconds) > max(1.0, 0.05 * seconds):
        notes.append(f"the header claims {claimed:.1f} s of sound, {seconds:.1f} s are there")
    if header["tracks"] > 1:
        notes.append(f"{header['tracks'] - 1} more sound track(s) were not listened to")
    if header["pictures"]:
        notes.append("the cover picture was not looked at")
    if header["bad_packets"]:
        notes.append(f"{header['bad_packets']} damaged stretches of sound were skipped")
    if header["one_channel"]:
        notes.append("the two channels cancel each other out, so one was listened to")
    if speech.dropped:
        notes.append(f"{speech.dropped} stretches that could not be made out were left out")
    return notes
