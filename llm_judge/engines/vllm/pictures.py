"""Pictures as parts of a chat turn: data that we encoded, between the content and the question.

Never an address, an id or a name of a caller. Knows nothing about servers.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

from llm_judge.engines.tokens import BETWEEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.content.content import Picture


def turn_parts(body: str, pictures: Sequence[Picture], question: str) -> list[dict[str, Any]]:
    """The user's turn: the content, each picture behind the number of its segment, then the question."""
    parts = [_text(body)]
    for picture in pictures:
        parts += [_text(f"[{picture.segment}]"), picture_part(picture.png)]
    return [*parts, _text(f"{BETWEEN}{question}")]


def picture_part(png: bytes) -> dict[str, Any]:
    """One picture as data."""
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png).decode()}"},
    }


def plain_png(side: int, red: int, green: int, blue: int) -> bytes:
    """A square of one colour as PNG; chunks as in the PNG specification (ISO/IEC 15948), section 5."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits, RGB, no interlacing
    rows = (b"\x00" + bytes((red, green, blue)) * side) * side
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
