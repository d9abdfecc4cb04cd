"""How the judging process and the decoding process talk: a JSON header, then raw bytes.

Nothing else crosses the pipe, so nothing in a hostile file can become an object on this side.
Knows nothing about pictures or sound.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

_PREFIX = struct.Struct(">4sIQ")  # mark, bytes of header, bytes of body
_MARK = b"LJ01"
_MAX_HEADER = 1024 * 1024

Buffer = bytes | memoryview


class RefusedError(Exception):
    """What the decoding process says when an item cannot be decoded.

    Attributes:
        code: ``damaged``, ``too_large``, ``unsupported`` or ``unperceived``.
        message: the rest of a sentence that begins with the item's name.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def write_message(stream: IO[bytes], header: Mapping[str, Any], body: Sequence[Buffer] = ()) -> None:
    """Write one message; ``body`` is written piece by piece without joining it."""
    data = json.dumps(header).encode()
    stream.write(_PREFIX.pack(_MARK, len(data), sum(memoryview(piece).nbytes for piece in body)))
    stream.write(data)
    for piece in body:
        stream.write(piece)
    stream.flush()


def read_message(stream: IO[bytes], max_body: int) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None where the other side closed the pipe before or during it.

    Raises:
        ValueError: what arrived is not a message, or is longer than allowed.
    """
    prefix = stream.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    mark, header_size, body_size = _PREFIX.unpack(prefix)
    if mark != _MARK or header_size > _MAX_HEADER or body_size > max_body:
        raise ValueError("not a message")
    data = stream.read(header_size)
    body = stream.read(body_size)
    if len(data) < header_size or len(body) < body_size:
        return None
    header = json.loads(data)
    if not isinstance(header, dict):
        raise ValueError("not a message")
    return header, body
