"""One revision of what judges: guidelines compiled for an engine, and the engine's thread.

Whoever uses a revision holds it; an engine that is out of force ends with the last one who lets go of it.
Knows nothing about HTTP, or which revision is in force.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from llm_judge.engines.protocol import Engine
from llm_judge.service.engine_queue import EngineQueue
from llm_judge.service.guidelines import Guidelines
from llm_judge.service.judges import Judges


class RunningEngine:
    """An engine and its started queue; counts who holds it.

    Args:
        engine: used by the queue's thread alone.
        queue: started; ends, and closes the engine, when nobody holds it any more.
    """

    def __init__(self, engine: Engine, queue: EngineQueue) -> None:
        self.engine = engine
        self.queue = queue
        self._holders = 0
        self._lock = threading.Lock()

    def hold(self) -> RunningEngine:
        """Keep it running; from any thread."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go; the last one ends it, after what it is doing."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self.queue.stop(0, self.engine.close)


@dataclass(frozen=True, slots=True)
class Revision:
    """Guidelines, settings and an engine: everything that a decision depends on beside the content."""

    judges: Judges
    running: RunningEngine

    @property
    def guidelines(self) -> Guidelines:
        """What is judged by."""
        return self.judges.guidelines

    @property
    def queue(self) -> EngineQueue:
        """Where its tickets go."""
        return self.running.queue

    def identity(self) -> dict[str, str | None]:
        """Every digest that names it, as records do."""
        run = self.judges.plain.run
        return {
            "revision": self.guidelines.revision,
            "policy_digest": run.policy_digest,
            "prompt_digest": run.prompt_digest,
            "calibration_digest": run.calibration_digest,
            "engine": run.engine.engine,
            "model": run.engine.model,
            "model_digest": run.engine.model_digest,
            "adapter_digest": run.engine.adapter_digest,
        }
