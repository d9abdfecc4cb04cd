"""Stands between us and a server we start, so that no server is left behind, however either of us ends.

Run as a program: ``guardian.py LIFE STATUS GRACE COMMAND…``. It starts the command in a process group of its
own, writes the number of that group to the descriptor STATUS, and ends the group, first gently, when it is
told to (SIGTERM, SIGINT), when the other end of the descriptor LIFE is closed, as the kernel does where its
owner was killed, or when the command has ended and left others of the group behind. Where the guardian itself
is killed, the kernel kills the command. Its exit code is the command's, or 128 and the signal.

Imports nothing of the package, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Stop:
    asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def main(words: list[str]) -> int:
    """Guard one command to its end.

    Args:
        words: LIFE and STATUS (descriptors), GRACE (seconds between SIGTERM and SIGKILL), then the command.

    Returns:
        Exit code of the command; 127 where it cannot be started.
    """
    life, status, grace = int(words[0]), int(words[1]), float(words[2])
    stop = _Stop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        child = subprocess.Popen(
            words[3:],
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_killed_with_us(),  # noqa: PLW1509  # there are no other threads here
        )
    except OSError as error:
        print(f"cannot start {words[3]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 127
    os.write(status, b"%d\n" % child.pid)
    os.close(status)
    while child.poll() is None and not stop.asked:
        if select.select([life], [], [], _LOOK_S)[0] and not os.read(life, 1):
            break
    code = _end(child, grace)
    return code if code >= 0 else 128 - code


def _killed_with_us() -> Callable[[], None]:
    """What the new process does before it becomes the command."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the guardian was killed in between
            os._exit(1)

    return prepare


def _end(child: subprocess.Popen[bytes], grace: float) -> int:
    """End the group, and return the exit code of its first process."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        ends = time.monotonic() + grace
        while child.poll() is None and time.monotonic() < ends:
            time.sleep(_LOOK_S / 5)
    _signal_group(child.pid, signal.SIGKILL)
    return child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    # Nobody is left, or, as some systems say it, only the dead are.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
