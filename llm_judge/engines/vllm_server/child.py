"""One run of a server as a child process: started behind its guardian, its last words kept, stopped for sure.

Knows nothing about what the server is.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llm_judge.durable import reason_of
from llm_judge.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GUARDIAN = Path(__file__).with_name("guardian.py")
_KEPT_LINES = 400
_LINE_BYTES = 2000
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_SHELL_SIGNAL = 128


class Child:
    """A started process; ``stop`` it.

    Args:
        command: program and words.
        environment: all of it; nothing of ours is added.
        secrets: never to be seen in what is kept of its output.
        grace_s: seconds it has to end after SIGTERM.

    Raises:
        EngineUnavailable: no process can be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        secrets: Sequence[str] = (),
        grace_s: float = 10.0,
    ) -> None:
        self._secrets = tuple(secrets)
        self._grace_s = grace_s
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._group: int | None = None
        self._stopping = threading.Lock()
        life, self._life = os.pipe()
        status, told = os.pipe()
        words = [sys.executable, "-I", "-S", str(_GUARDIAN), str(life), str(told), str(grace_s), *command]
        try:
            self._guardian = subprocess.Popen(
                words,
                env=dict(environment),
                cwd="/",  # what lies where we were started must not become its modules
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(life, told),
                start_new_session=True,  # Ctrl-C reaches us, and we stop it when we are done
            )
        except OSError as error:
            os.close(self._life)
            os.close(status)
            raise EngineUnavailable(f"no process can be started: {reason_of(error)}") from None
        finally:
            os.close(life)
            os.close(told)
        with os.fdopen(status) as reading:
            self._group = int(reading.readline().strip() or 0) or None
        assert self._guardian.stdout is not None  # noqa: S101  # a pipe was asked for
        self._reader = threading.Thread(target=self._read, args=(self._guardian.stdout,), daemon=True)
        self._reader.start()

    @property
    def group(self) -> int | None:
        """Number of the process group, which is its first process too; None where nothing was started."""
        return self._group

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        code = self._guardian.poll()
        if code is not None and code > _SHELL_SIGNAL:
            return _SHELL_SIGNAL - code
        return code

    def last_lines(self) -> list[str]:
        """Return the end of what it wrote, without secrets and control characters."""
        return [line for line in list(self._lines) if line.strip()]

    def stop(self) -> None:
        """End the whole group: gently, then for sure. May be called again, and by several threads."""
        with self._stopping:
            if self._life >= 0:  # once only: the number of its group may be another's by now
                os.close(self._life)
                self._life = -1
                self._end()

    def _end(self) -> None:
        try:
            self._guardian.wait(self._grace_s + 5)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
        if self._group is not None:  # also where the guardian was killed and could not do it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
        self._reader.join(5)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LINE_BYTES):
                self._lines.append(self._clean(line.decode("utf-8", "replace")))

    def _clean(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return _CONTROL.sub("", line).rstrip()
