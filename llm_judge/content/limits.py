"""How much of one item is read: every cap in one place, with its default.

Knows nothing about what is done with the item; the modules beside it enforce these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_TEXT_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one item; going over one is ``ContentTooLarge`` unless it says otherwise.

    Attributes:
        text_bytes: UTF-8 bytes of a text.
        image_bytes, audio_bytes, video_bytes: bytes of a file.
        image_pixels: width times height, read from the header before decoding; also for video frames.
        image_frames: frames of an animated picture that are looked at; more are sampled, not refused.
        audio_seconds, video_seconds: playing time, counted while decoding, not taken from a header.
        video_frames: frames of a video that are looked at; more are sampled, not refused.
        pictures_shown: pictures or frames that are handed on for a model that sees; 0 for one that does not.
        shown_side: longest side of these in pixels; larger ones are shrunk.
        decode_seconds: wall-clock and processor seconds for decoding one item.
        decode_bytes: address space of the decoding process, beside the item itself.
    """

    text_bytes: int = MAX_TEXT_BYTES
    image_bytes: int = 20 * 1024 * 1024
    image_pixels: int = 40_000_000
    image_frames: int = 8
    audio_bytes: int = 100 * 1024 * 1024
    audio_seconds: int = 600
    video_bytes: int = 200 * 1024 * 1024
    video_seconds: int = 600
    video_frames: int = 16
    pictures_shown: int = 0
    shown_side: int = 640
    decode_seconds: int = 60
    decode_bytes: int = 2 * 1024 * 1024 * 1024


DEFAULT_LIMITS = Limits()


def evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` indices spread evenly over ``range(count)``, first and last included."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [0]
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def megabytes(count: int) -> str:
    """Return a byte count as people write it: ``1.5 MiB``, or bytes below a hundredth of one."""
    mib = count / (1024 * 1024)
    return f"{mib:.4g} MiB" if mib >= 0.01 else f"{count} bytes"
