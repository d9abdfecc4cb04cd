"""Decoded pixels → the pictures that a model is shown, encoded afresh.

Nothing of the original file is left: no metadata, no colour profile, no transparency. Knows nothing about
files or models.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_judge.content.limits import Limits, evenly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Placed = tuple[Mapping[str, Any], NDArray[np.uint8]]

SENSE = "pixels"


def shown(pictures: Sequence[Placed], limits: Limits) -> list[tuple[Mapping[str, Any], bytes]]:
    """Return at most ``limits.pictures_shown`` of the pictures, spread evenly, as place and PNG.

    A picture with transparent parts comes on white and on black, so it counts twice.

    Args:
        pictures: place and pixels of shape (height, width, 3), RGB.
        limits: how many, and how large.
    """
    if not limits.pictures_shown:
        return []
    chosen = evenly(len(pictures), limits.pictures_shown)
    return [(pictures[index][0], as_png(pictures[index][1], limits.shown_side)) for index in chosen]


def not_shown_note(count: int, total: int) -> tuple[str, ...]:
    """What a coverage says where the model was shown only some of what was looked at."""
    return (f"the model was shown {count} of the {total} pictures looked at",) if count < total else ()


def as_png(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Return pixels of shape (height, width, 3) as a PNG whose longer side is at most ``side``."""
    from PIL import Image

    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
