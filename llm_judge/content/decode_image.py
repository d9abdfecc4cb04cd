"""Hostile picture bytes → plain RGB pixels; runs in the decoding process only.

Knows nothing about text recognition or models.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_judge.content.framing import Buffer, RefusedError
from llm_judge.content.limits import evenly

if TYPE_CHECKING:
    from PIL import Image

_MAX_PICTURE = 4_000_000  # pixels handed on; larger pictures are shrunk to this
_MAX_SCANNED = 20_000  # frames walked through to reach the ones that are looked at
_MAX_SCANNED_PIXELS = 2_000_000_000  # the same in pixels, about ten seconds of decoding


def decode(options: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], Sequence[Buffer]]:
    """Return facts about a picture and its frames as packed 8-bit RGB rows.

    Args:
        options: ``format`` (Pillow's name), ``max_pixels``, ``max_frames``.

    The header holds ``width`` and ``height`` as shown (after EXIF rotation), ``frames``,
    ``frames_reached``, ``frames_seen`` and ``pictures``: for each picture in the body its ``frame``,
    ``start_s``, ``width``, ``height`` and ``ground`` (``black`` or ``white`` under transparent parts,
    else null).
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the cap below is stricter and says so in our own words
    try:
        image = Image.open(io.BytesIO(body), formats=[options["format"]])
    except (OSError, SyntaxError, ValueError) as error:
        raise RefusedError("damaged", f"is damaged: its {options['format']} header cannot be read") from error
    width, height = image.size
    if width * height > options["max_pixels"]:
        raise RefusedError(
            "too_large",
            f"is {width}x{height}, {width * height / 1e6:.1f} megapixels; "
            f"the cap is {options['max_pixels'] / 1e6:g}",
        )
    total = _gif_frames(body) if options["format"] == "GIF" else int(getattr(image, "n_frames", 1))
    reached = max(1, min(total, _MAX_SCANNED, _MAX_SCANNED_PIXELS // max(1, width * height)))
    wanted = evenly(reached, options["max_frames"])
    try:
        shown, pictures, pieces = _read_frames(image, wanted)
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise RefusedError("damaged", f"is damaged or cut short: {_reason(error)}") from error
    header = {"width": shown[0], "height": shown[1], "frames": total, "frames_reached": reached}
    header["frames_seen"] = len(wanted)
    return {**header, "pictures": pictures}, pieces


def _read_frames(
    image: Image.Image, wanted: Sequence[int]
) -> tuple[tuple[int, int], list[dict[str, Any]], list[bytes]]:
    pictures: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    seen: set[bytes] = set()
    shown, start_s = image.size, 0.0
    for index in range(wanted[-1] + 1):
        if index:
            image.seek(index)
        if index in wanted:
            upright = _upright(image)
            shown = upright.size
            for ground, flat in _flatten(_shrink(upright)):
                data = flat.tobytes()
                if data in seen:  # a still moment, or transparency that shows nothing
                    continue
                seen.add(data)
                place = {"frame": index, "start_s": round(start_s, 3), "ground": ground}
                pictures.append({**place, "width": flat.width, "height": flat.height})
                pieces.append(data)
        start_s += float(image.info.get("duration", 0) or 0) / 1000
    return shown, pictures, pieces


def _upright(image: Image.Image) -> Image.Image:
    """Return the current frame turned as its EXIF orientation says, in a plain mode."""
    from PIL import ImageOps

    image.load()
    try:
        frame = ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # broken EXIF is no reason not to look at the picture
        frame = image
    if frame.mode == "F" or frame.mode.startswith("I"):
        frame = _eight_bit(frame)
    has_alpha = "A" in frame.getbands() or "a" in frame.getbands() or "transparency" in frame.info
    plain: Image.Image = frame.convert("RGBA" if has_alpha else "RGB")
    return plain


def _eight_bit(frame: Image.Image) -> Image.Image:
    """Return a grey picture of deeper samples scaled to 0..255; a plain convert would clip it to white."""
    import numpy as np
    from PIL import Image

    samples = np.nan_to_num(np.asarray(frame, dtype=np.float32))
    highest = float(samples.max(initial=0))
    full = 65535 if highest > 255 else 1 if frame.mode == "F" and highest <= 1 else 255
    return Image.fromarray(np.clip(samples * (255 / full), 0, 255).astype(np.uint8))


def _shrink(image: Image.Image) -> Image.Image:
    from PIL import Image

    pixels = image.width * image.height
    if pixels <= _MAX_PICTURE:
        return image
    scale = (_MAX_PICTURE / pixels) ** 0.5
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)


def _flatten(image: Image.Image) -> list[tuple[str | None, Image.Image]]:
    """Return the picture as it looks, on black and on white where it lets the ground shine through."""
    from PIL import Image

    if image.mode != "RGBA":
        return [(None, image)]
    lowest = image.getchannel("A").getextrema()[0]
    if lowest == 255:
        return [(None, image.convert("RGB"))]
    flat: list[tuple[str | None, Image.Image]] = []
    for name in ("white", "black"):
        ground = Image.new("RGBA", image.size, name)
        flat.append((name, Image.alpha_composite(ground, image).convert("RGB")))
    return flat


def _gif_frames(data: bytes) -> int:
    """Count the frames of a GIF by walking its blocks; no pixel is decoded, so time is linear.

    Block layout from the GIF89a specification, sections 18 to 27.
    """
    place, frames = 13 + _table_size(data[10:11]), 0
    while place < len(data):
        block = data[place]
        if block == 0x3B:  # trailer
            break
        if block == 0x21:  # extension: introducer, label
            place = _after_sub_blocks(data, place + 2)
        elif block == 0x2C:  # image: descriptor, local colour table, code size
            place += 10 + _table_size(data[place + 9 : place + 10]) + 1
            place = _after_sub_blocks(data, place)
            frames += 1
        else:
            place += 1  # stray bytes between blocks are skipped, as viewers do
    if frames == 0:
        raise RefusedError("damaged", "is damaged: it holds no frame")
    return frames


def _table_size(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _after_sub_blocks(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += data[place] + 1
    if place >= len(data):
        raise RefusedError("damaged", "is cut short: it ends in the middle of a frame")
    return place + 1


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, OSError) else "its pixels cannot be read"
