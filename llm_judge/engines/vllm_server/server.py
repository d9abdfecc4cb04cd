"""A vLLM server kept running: started, waited for, watched, started again after a crash or a hang, stopped.

Its address stays the same over restarts, so whoever calls it only sees some calls fail. A server that keeps
failing is given up, with its last words.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

from llm_judge.engines.vllm_server.child import Child
from llm_judge.engines.vllm_server.last_words import bare, error_kind, telling_line
from llm_judge.engines.vllm_server.liveness import HOST, Liveness, is_healthy
from llm_judge.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger("llm_judge.service.vllm")
_LOOK_S = 0.2
_PORT_TRIES = 3
_TAKEN = "address already in use"
_SHOWN = 100
_LAST_LINES = 10


class State(Enum):
    """What the server is doing."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    GIVEN_UP = "given up"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what; all in seconds but ``tries``.

    Attributes:
        start_s: until a started server must be ready.
        check_s: between two looks at a running one.
        hang_s: without a sign of life until it is replaced.
        first_wait_s, longest_wait_s: before a restart; doubled from one to the next.
        tries: restarts in a row before it is given up.
        steady_s: after so long in good health, earlier failures are forgotten.
        stop_s: to end by itself when told to.
        tell_s: between two lines about a start that takes long.
    """

    start_s: float = 600.0
    check_s: float = 5.0
    hang_s: float = 60.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    tries: int = 5
    steady_s: float = 300.0
    stop_s: float = 10.0
    tell_s: float = 10.0


class VllmServer:
    """One server; ``start`` it, and close it.

    Args:
        command: gives the words that start it on a port.
        environment: gives its environment for an API key.
        model: the name it serves.
        patience: how long to wait for what.
        say: told in one line what goes on while it starts.

    Attributes:
        key: its API key, made up here.
        restarts: how often it was started again.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        environment: Callable[[str], Mapping[str, str]],
        model: str,
        patience: Patience | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.key = secrets.token_urlsafe(32)
        self.restarts = 0
        self._command = command
        self._environment = environment
        self._model = model
        self._patience = patience or Patience()
        self._say = say
        self._port = 0
        self._state = State.STARTING
        self._told = ""
        self._child: Child | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="vllm", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers, from ``start`` on."""
        return f"http://{HOST}:{self._port}"

    @property
    def state(self) -> State:
        """What it is doing."""
        return self._state

    @property
    def told(self) -> str:
        """Why it was last restarted or given up; empty where it never was."""
        return self._told

    @property
    def group(self) -> int | None:
        """Number of its process group, None while there is none."""
        return self._child.group if self._child else None

    def start(self) -> None:
        """Start it, and wait until it is ready; from then on it is watched.

        Raises:
            EngineUnavailable: it ended or took too long; a second try would end the same way.
        """
        try:
            wrong = self._first_run()
        except BaseException:  # Ctrl-C while it starts
            self.close()
            raise
        if wrong is None:
            self._state = State.READY
            self._watcher.start()
            return
        lines = bare(self._lines())[-_LAST_LINES:]
        self.close()
        for line in lines:
            self._say(f"  vllm: {line[:300]}")
        raise EngineUnavailable(f"vLLM did not start: {wrong}", "the lines above are the last it wrote")

    def close(self) -> None:
        """Stop it with everything it started. May be called again."""
        self._stopping.set()
        self._end_child()  # first: the watcher may be waiting for its answer
        if self._watcher.is_alive():
            self._watcher.join()
            self._end_child()  # another one may have been started meanwhile
        self._state = State.STOPPED

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()

    def _first_run(self) -> str | None:
        """Start it on a free port; somebody may take the port before it does."""
        wrong = None
        for _ in range(_PORT_TRIES):
            self._port = _free_port()
            wrong = self._run(self._say)
            if wrong is None or _TAKEN not in " ".join(self._lines()).lower():
                break
        return wrong

    def _lines(self) -> list[str]:
        return self._child.last_lines() if self._child else []

    def _run(self, say: Callable[[str], None]) -> str | None:
        """Start a child and wait until it is ready; return what went wrong, None where nothing did."""
        self._end_child()
        environment = self._environment(self.key)
        command = self._command(self._port)
        child = self._child = Child(command, environment, (self.key,), self._patience.stop_s)
        started = told = time.monotonic()
        liveness = Liveness(self._port, self.key, self._model, self._patience.hang_s)
        # The first answer takes longer than all others, so it is part of the start.
        while not (is_healthy(self._port) and liveness.answers_a_token(self._patience.hang_s)):
            now = time.monotonic()
            if child.exit_code is not None:
                child.stop()  # so that its last words are there
                return f"{_ended(child.exit_code)}: {telling_line(child.last_lines())}"[:500]
            if now - started > self._patience.start_s:
                return f"it was not ready within {self._patience.start_s:g} s"
            if now - told > self._patience.tell_s:
                told = now
                last = "".join(bare(child.last_lines())[-1:])[:_SHOWN]
                say(f"vLLM has been starting for {now - started:.0f} s: {last}")
            if self._stopping.wait(_LOOK_S):
                return "it was stopped"
        return None

    def _watch(self) -> None:
        """Look at it until it is stopped or given up."""
        failures = 0
        while True:
            since = time.monotonic()
            wrong = self._wait_until_wrong()
            if wrong is None:
                return
            if time.monotonic() - since > self._patience.steady_s:
                failures = 0
            while wrong is not None:
                if failures >= self._patience.tries:
                    self._give_up(wrong)
                    return
                wait = min(self._patience.first_wait_s * 2**failures, self._patience.longest_wait_s)
                failures += 1
                wrong = self._restart(wrong, wait)
                if self._stopping.is_set():
                    return

    def _wait_until_wrong(self) -> str | None:
        """Wait, and return why the server must be replaced; None when it is time to stop."""
        child = self._child
        assert child is not None  # noqa: S101  # it is watched from its start on
        liveness = Liveness(self._port, self.key, self._model, self._patience.hang_s)
        while not self._stopping.wait(self._patience.check_s):
            code = child.exit_code
            if self._stopping.is_set():  # it is we who ended it
                return None
            # Contents were sent by now, and the words of an error may hold some: its name must do.
            if code is not None:
                return f"{_ended(code)} {error_kind(child.last_lines())}".strip()
            if wrong := liveness.look():
                return wrong
        return None

    def _restart(self, wrong: str, wait: float) -> str | None:
        """Start it again after a while; return what went wrong this time."""
        self._state, self._told = State.RESTARTING, wrong
        self.restarts += 1
        fields = {"reason": wrong, "restart": self.restarts, "wait_s": wait}
        _log.warning("vLLM is started again", extra={"fields": fields})
        self._end_child()
        if self._stopping.wait(wait):
            return "it was stopped"
        again = self._run(lambda _: None)
        if again is None:
            self._state = State.READY
            _log.info("vLLM is ready again", extra={"fields": {"restart": self.restarts}})
        return again

    def _give_up(self, wrong: str) -> None:
        self._told = f"vLLM failed {self._patience.tries + 1} times in a row and was given up: {wrong}"
        self._end_child()
        self._state = State.GIVEN_UP
        _log.error(self._told)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.stop()


def _ended(code: int) -> str:
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
