"""The decoding process: ``python -m llm_judge.content.decoder``, started by ``sandbox.py`` only.

Reads one request at a time from standard input, answers on standard output, ends when the pipe
closes. Everything that touches hostile bytes with a C library runs here. Knows nothing about
models, and never sees a file name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge.content.framing import Buffer, RefusedError, read_message, write_message

_MAX_REQUEST = 1 << 31


def main() -> None:
    """Answer requests until the pipe closes."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):  # a C library that prints must not garble the answers
        os.dup2(nowhere, number)
    _limit_for_good()
    while (request := read_message(incoming, _MAX_REQUEST)) is not None:
        header, pieces = _answer(*request)
        write_message(outgoing, header, pieces)


def _answer(request: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], Sequence[Buffer]]:
    _limit_for_item(int(request["cpu_s"]), int(request["memory"]))
    try:
        return _decode(str(request["job"]), request["options"], body)
    except RefusedError as refusal:
        return {"refused": refusal.code, "message": refusal.message}, ()
    except MemoryError:
        return {"refused": "too_large", "message": "needs too much memory to decode"}, ()
    except Exception as error:  # noqa: BLE001  # decoders raise almost anything on hostile bytes
        return {"refused": "damaged", "message": f"cannot be decoded ({type(error).__name__})"}, ()


def _decode(job: str, options: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], Sequence[Buffer]]:
    if job == "image":
        from llm_judge.content import decode_image

        return decode_image.decode(options, body)
    if job == "video":
        from llm_judge.content import decode_video

        return decode_video.decode(options, body)
    from llm_judge.content import decode_sound

    if job == "streams":
        return decode_sound.streams(options, body), ()
    return decode_sound.decode(options, body)


def _limit_for_good() -> None:
    """No core dumps, no file writes, few open files."""
    try:
        import resource
    except ImportError:  # not a POSIX system: the wall clock is the only limit there
        return
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def _limit_for_item(cpu_s: int, memory: int) -> None:
    """Processor seconds from now, and bytes of address space."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    for limit, value in ((resource.RLIMIT_CPU, used + cpu_s + 1), (resource.RLIMIT_AS, memory)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


if __name__ == "__main__":
    main()
