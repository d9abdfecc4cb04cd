"""Runs decoders in a child process, so that a hostile file can hurt only that process.

The child (``decoder.py``) has caps on memory, processor time and open files and cannot write files;
it is reused for many items, because starting it costs more than most decodes, and started afresh
when it dies. Knows nothing about what is decoded.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_judge.content.framing import read_message, write_message
from llm_judge.content.limits import DEFAULT_LIMITS, Limits, megabytes
from llm_judge.content.normalise import clean
from llm_judge.errors import (
    ContentDamaged,
    ContentError,
    ContentTooLarge,
    ContentUnperceived,
    ContentUnsupported,
)

# -P keeps a hostile `PIL.py` in the current folder from being imported.
_COMMAND = (sys.executable, "-P", "-m", "llm_judge.content.decoder")
_ITEMS_PER_CHILD = 500  # a fresh child now and then, so that leaks in decoders cannot add up
_MAX_REPLY = 512 * 1024 * 1024
_ERRORS: dict[str, type[ContentError]] = {
    "damaged": ContentDamaged,
    "too_large": ContentTooLarge,
    "unsupported": ContentUnsupported,
    "unperceived": ContentUnperceived,
}


class Sandbox:
    """One decoding child, started on first use; calls from several threads take turns."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = tuple(command)
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._lock = threading.Lock()

    def run(
        self,
        job: str,
        name: str,
        body: bytes,
        options: Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> tuple[dict[str, Any], bytes]:
        """Return the header and raw bytes the decoder ``job`` answers for ``body``.

        Args:
            job: ``image``, ``sound``, ``video`` or ``streams``.
            name: how the item is called in messages, back-ticks included.

        Raises:
            ContentDamaged: the decoder refused the item, or died of it.
            ContentTooLarge: over a cap, out of memory, or out of time.
            ContentUnsupported, ContentUnperceived: as the decoder says.
        """
        request = {"job": job, "cpu_s": limits.decode_seconds, "memory": limits.decode_bytes + len(body)}
        with self._lock:
            reply, status = self._exchange({**request, "options": dict(options or {})}, body, limits)
        if reply is None:
            raise _death(name, status, limits)
        header, data = reply
        if "refused" in header:
            message = clean(str(header.get("message", "")))[0][:200]
            raise _ERRORS.get(str(header["refused"]), ContentDamaged)(f"{name} {message}")
        return header, data

    def close(self) -> None:
        """Stop the child; a later call starts a fresh one."""
        with self._lock:
            self._stop()

    def _exchange(
        self, request: Mapping[str, Any], body: bytes, limits: Limits
    ) -> tuple[tuple[dict[str, Any], bytes] | None, str]:
        """Return the reply, or None and how the child ended."""
        child = self._running_child()
        assert child.stdin is not None and child.stdout is not None  # noqa: S101  # pipes were asked for
        late = threading.Event()

        def stop_late_child() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(limits.decode_seconds, stop_late_child)
        timer.start()
        reply = None
        try:
            write_message(child.stdin, request, [body])
            reply = read_message(child.stdout, _MAX_REPLY)
        except (OSError, ValueError):
            pass  # a dead or talkative child: both end below
        finally:
            timer.cancel()
        if reply is not None:
            return reply, ""
        self._stop()
        return None, "late" if late.is_set() else _ending(child.returncode)

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is not None and (self._child.poll() is not None or self._served >= _ITEMS_PER_CHILD):
            self._stop()
        if self._child is None:
            root = str(Path(__file__).resolve().parents[2])
            # An own session: Ctrl-C at the terminal drains the parent and must not cut a decode short.
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": root, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
            self._served = 0
        self._served += 1
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # unsent bytes for a child that is gone
        child.wait()


def require_media(*modules: str) -> None:
    """Raise ``ContentUnsupported`` unless the optional packages ``modules`` are installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ContentUnsupported(
            f"pictures, sound and video need packages that are not installed: {', '.join(missing)}",
            hint="pip install 'llm-judge[media]'",
        )


def shared_sandbox() -> Sandbox:
    """Return the sandbox of this process; a forked process gets its own."""
    return _sandbox_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _sandbox_of(_pid: int) -> Sandbox:
    sandbox = Sandbox()
    atexit.register(sandbox.close)
    return sandbox


def _ending(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"signal {-returncode}"
    return f"exit code {returncode}"


def _death(name: str, status: str, limits: Limits) -> ContentError:
    if status in ("late", "signal 24"):  # SIGXCPU
        return ContentTooLarge(f"{name} took more than {limits.decode_seconds} s to decode")
    return ContentDamaged(
        f"{name} stopped the decoder ({status}, cap {megabytes(limits.decode_bytes)} of memory)",
        hint="nothing else is affected; the decoder was started afresh",
    )
