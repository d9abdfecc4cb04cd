"""RGB pixels → lines of text, by rapidocr and the models inside its wheel.

Knows nothing about files or segments.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llm_judge.content.normalise import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_THREADS = 2
_TILE = 2000  # pixels: longer sides are shrunk by the reader until small print is lost, so tile instead
_OVERLAP = 120  # pixels two tiles share, so that a line on the seam is whole in one of them
_SMALL = 960  # pixels: a picture smaller than this is enlarged to it, small print reads better
_MAX_ENLARGED = 4
_MIN_SCORE = 0.6  # below this the reader guesses at textures

Box = tuple[int, int, int, int]
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read: ``box`` is left, top, right, bottom in pixels; ``score`` is 0..1."""

    text: str
    box: Box
    score: float


def read_lines(pixels: NDArray[np.uint8]) -> list[Line]:
    """Return the lines in a picture of shape (height, width, 3), RGB, in reading order."""
    height, width = pixels.shape[:2]
    factor = min(_MAX_ENLARGED, max(1.0, _SMALL / max(height, width)))
    if factor > 1:
        pixels = _enlarged(pixels, factor)
        return [replace(line, box=_scaled(line.box, factor)) for line in _read_tile(pixels, 0, 0)]
    lines: list[Line] = []
    for top in _tile_starts(height):
        for left in _tile_starts(width):
            tile = pixels[top : top + _TILE, left : left + _TILE]
            lines.extend(_read_tile(tile, left, top))
    return fold(lines) if max(height, width) > _TILE else lines


def fold(lines: Sequence[Line]) -> list[Line]:
    """Return the lines without those that repeat an earlier one in words, case and spacing apart."""
    first: dict[str, Line] = {}
    for line in lines:
        first.setdefault(key_of(line.text), line)
    return list(first.values())


def key_of(text: str) -> str:
    """Return the letters and digits of a line, for finding it again in another frame."""
    cleaned = clean(text)[0].casefold()
    return "".join(char for char in cleaned if char.isalnum()) or cleaned


def _enlarged(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _scaled(box: Box, factor: float) -> Box:
    left, top, right, bottom = (round(edge / factor) for edge in box)
    return left, top, right, bottom


def _tile_starts(length: int) -> list[int]:
    if length <= _TILE:
        return [0]
    step = _TILE - _OVERLAP
    return list(range(0, length - _OVERLAP, step))


def _read_tile(tile: NDArray[np.uint8], left: int, top: int) -> list[Line]:
    with _lock:  # the reader keeps its settings on itself, so calls must not overlap
        found = _reader()(tile[:, :, ::-1].copy())  # it expects BGR
    if found.txts is None or found.boxes is None:
        return []
    lines = []
    for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True):
        if score < _MIN_SCORE or not text.strip():
            continue
        xs, ys = [int(x) for x, _ in corners], [int(y) for _, y in corners]
        lines.append(Line(text, (left + min(xs), top + min(ys), left + max(xs), top + max(ys)), float(score)))
    return lines


@functools.cache
def _reader() -> Any:
    from rapidocr import RapidOCR

    reader = RapidOCR(
        params={
            "Global.log_level": "critical",
            "Det.limit_type": "max",  # we choose the size; by default a banner is blown up tenfold
            "Det.limit_side_len": _TILE,
            "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    return reader
