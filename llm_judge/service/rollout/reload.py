"""Reload: a new revision is read, verified and compiled, judges its canaries, and only then answers.

Whatever goes wrong before that, the old revision goes on. Requests in hand finish by the revision they began
with. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from llm_judge.engines.protocol import Engine
from llm_judge.errors import EngineError, JudgeError, UsageError
from llm_judge.service.arms import Arm, ArmsInForce
from llm_judge.service.engine_queue import log_error, log_fault
from llm_judge.service.health import Canary, canaries_wrong
from llm_judge.service.judges import Judges
from llm_judge.service.revision import Revision, RunningEngine
from llm_judge.service.rollout.source import Source

_COMPILING_S = 120.0
_log = logging.getLogger("llm_judge.service")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of one arm.

    Attributes:
        before, after: what was in force and what is, as ``Revision.identity`` says it.
        error: why the new revision was refused, None where it is in force.
    """

    arm: Arm
    before: dict[str, str | None]
    after: dict[str, str | None]
    error: JudgeError | None = None


class Reloader:
    """Puts new revisions in force, one reload at a time.

    Args:
        arms: what is in force.
        sources: arm → where its revision comes from.
        start: starts the queue of a new engine.
        canaries: must come out right.
        done: told what became of each arm.
    """

    def __init__(
        self,
        arms: ArmsInForce,
        sources: Mapping[Arm, Source],
        start: Callable[[Engine], RunningEngine],
        canaries: Sequence[Canary],
        done: Callable[[Reloaded], None] = lambda _: None,
    ) -> None:
        self._arms = arms
        self._sources = dict(sources)
        self._start = start
        self._canaries = tuple(canaries)
        self._done = done
        self._lock = threading.Lock()

    def reload(self) -> list[Reloaded]:
        """Load every arm anew; waits. A candidate that follows the stable engine is loaded after it.

        Raises:
            UsageError: the service does not know where its guidelines came from.
        """
        if not self._sources:
            raise UsageError("this service cannot reload: it was not told where its guidelines are")
        with self._lock:
            return [self._reload(arm) for arm in Arm if arm in self._sources]

    def _reload(self, arm: Arm) -> Reloaded:
        with self._arms.in_hand() as arms:
            before = arms.revision(arm)
            assert before is not None  # noqa: S101  # an arm with a source has a revision
            error: JudgeError | None = None
            after = before
            try:
                after = self._load(self._sources[arm], before, arms.stable)
                self._arms.put_in_force(arm, after)
                after.running.release()  # held by what is in force from now on
            except JudgeError as refused:
                error = refused
            except Exception as fault:  # noqa: BLE001  # the old revision goes on, whatever it was
                log_fault(fault)
                error = EngineError(f"a fault of llm-judge ({type(fault).__name__})", "the log has its place")
            result = Reloaded(arm, before.identity(), (before if error else after).identity(), error)
        _tell(result)
        self._done(result)
        return result

    def _load(self, source: Source, before: Revision, stable: Revision) -> Revision:
        """Return a new revision that is fit to judge, and held."""
        guidelines, settings = source.guidelines(), source.settings()
        engine = source.reopen(before.judges.engine, stable.judges.engine)
        running = next((r.running for r in (before, stable) if r.judges.engine is engine), None)
        running = self._start(engine).hold() if running is None else running.hold()
        try:
            compiling = running.queue.call(lambda: Judges(guidelines, engine, settings))
            revision = Revision(_waited_for(compiling), running)
            if wrong := canaries_wrong(revision, self._canaries):
                raise EngineError(f"it is not fit to judge: {wrong}", "look at the engine, or at --canary")
        except BaseException:
            running.release()
            raise
        return revision


def _waited_for(compiling: Future[Judges]) -> Judges:
    """Return what was compiled, unless the engine is stuck: then later reloads must not be."""
    try:
        return compiling.result(_COMPILING_S)
    except TimeoutError:
        compiling.cancel()
        told = f"the engine did not take up the guidelines within {_COMPILING_S:g} s"
        raise EngineError(told, "look at the engine") from None


def _tell(result: Reloaded) -> None:
    if result.error is not None:
        log_error(f"reload of {result.arm.value} refused", result.error)
        return
    fields = {"arm": result.arm.value, **result.after}
    _log.info("reloaded", extra={"fields": fields})
