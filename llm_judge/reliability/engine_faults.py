"""Faults of an engine reached over HTTP: it dies, hangs, comes late, or answers what is no answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from llm_judge.reliability.fault_server import MODEL, write_tokenizer
from llm_judge.reliability.scene import Engine, Fault, Scene
from llm_judge.reliability.service_process import HOST, free_port

_DEADLINE_S = 2.0  # for one question
_LATE_S = 5.0


class _Behind:
    """The engine's server as a process, which can be started again at the same address."""

    def __init__(self, folder: Path, delay_ms: float, late_s: float = 0.0) -> None:
        self.port, self.folder = free_port(), folder
        self._words = [
            sys.executable,
            "-m",
            "llm_judge.reliability.fault_server",
            str(self.port),
            str(folder),
        ]
        self._words += ["--delay-ms", str(delay_ms)]
        self.start(late_s)

    def start(self, late_s: float = 0.0) -> None:
        """Start it; it listens as soon as it can, and not before so many seconds."""
        self.process = subprocess.Popen([*self._words, "--late", str(late_s)])

    def kill(self) -> None:
        """End it without a last word."""
        self.process.kill()
        self.process.wait()


def _engine(late_s: float = 0.0) -> Callable[[Path, float], Engine]:
    def made(folder: Path, delay_ms: float) -> Engine:
        behind = _Behind(folder, delay_ms, late_s)
        options = f"tokenizer={write_tokenizer(folder)}&deadline={_DEADLINE_S:g}&wait=100&pictures=no"
        spec = f"vllm:{MODEL}@http://{HOST}:{behind.port}?{options}"
        return Engine(spec, behind.kill, behind.start)

    return made


@asynccontextmanager
async def engine_killed(scene: Scene) -> AsyncIterator[None]:
    """Kill it in the middle of requests, and start it again."""
    scene.engine.kill()
    yield
    scene.engine.start()


@asynccontextmanager
async def engine_out_of_memory(scene: Scene) -> AsyncIterator[None]:
    """It dies with half an answer out, and is started again."""
    mode = scene.folder / "mode"
    mode.write_text("out-of-memory", "utf-8")
    yield
    mode.unlink()
    scene.engine.kill()
    scene.engine.start()


@asynccontextmanager
async def engine_late(scene: Scene) -> AsyncIterator[None]:
    """It was late already; nothing more happens."""
    scene.notes["seconds until the service answered"] = round(scene.started_s, 1)
    yield


def _mode(name: str) -> Callable[[Scene], AsyncIterator[None]]:
    async def broken(scene: Scene) -> AsyncIterator[None]:
        mode = scene.folder / "mode"
        mode.write_text(name, "utf-8")
        yield
        mode.unlink()

    return broken


_WAYS = {
    "500": "answers every question with a 500",
    "garbage": "answers with bytes that are no JSON",
    "truncated": "answers with JSON that ends too early",
    "wrong-schema": "answers with JSON of another shape, which says `allow`",
    "hang": f"does not answer; a question may take {_DEADLINE_S:g} s",
    "drop": "closes the connection instead of answering",
}

ENGINE_FAULTS = (
    Fault(
        "engine-killed",
        "the engine's server is killed with kill -9 and started again",
        engine_killed,
        engine=_engine(),
    ),
    Fault(
        "engine-out-of-memory",
        "the engine's server dies with half an answer out, as if out of memory",
        engine_out_of_memory,
        engine=_engine(),
    ),
    Fault(
        "engine-late",
        f"the engine's server comes {_LATE_S:g} s after the service was started",
        engine_late,
        hold_s=1.0,
        engine=_engine(_LATE_S),
    ),
    *(
        Fault(
            f"engine-{name}",
            f"the engine's server {what}",
            asynccontextmanager(_mode(name)),
            engine=_engine(),
        )
        for name, what in _WAYS.items()
    ),
)
