"""The rollout of one service, joined: arms, shadow, guard, reload and what people are told of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm_judge.errors import OutputError, UsageError
from llm_judge.service.arms import Arm, ArmsInForce
from llm_judge.service.engine_queue import log_error
from llm_judge.service.judging import Watcher
from llm_judge.service.rollout.comparison import Comparison, Identity
from llm_judge.service.rollout.comparison_file import ComparisonFile
from llm_judge.service.rollout.guard import Guard, RollbackLimits
from llm_judge.service.rollout.metrics import RolloutMetrics
from llm_judge.service.rollout.reload import Reloaded, Reloader
from llm_judge.service.rollout.shadow import Shadow
from llm_judge.service.rollout.source import Source
from llm_judge.service.rollout.state_file import read_share, write_share

_log = logging.getLogger("llm_judge.service")


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What the command line asks for beside the revision that answers.

    Attributes:
        sources: arm → where its revision comes from, read again for each reload.
        share: percent of items that the candidate answers to begin with.
        salt: decides which ones; the candidate's digests where None.
        limits: what the candidate may do, at most.
        file: keeps every comparison.
        state: keeps the share that was last set; that of the same candidate comes before ``share``.
    """

    sources: Mapping[Arm, Source] = field(default_factory=dict)
    share: float = 0.0
    salt: str | None = None
    limits: RollbackLimits = field(default_factory=RollbackLimits)
    file: ComparisonFile | None = None
    state: Path | None = None


class Rollout:
    """Everything about revisions on trial.

    Args:
        arms: what is in force.
        plan: what was asked for.
        metrics: counts.
        shadow_items: contents that wait for the other revision.
        changed: told that another stable revision is in force.
    """

    def __init__(
        self,
        arms: ArmsInForce,
        plan: RolloutPlan,
        metrics: RolloutMetrics,
        shadow_items: int,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.arms = arms
        self._metrics = metrics
        self._changed = changed
        self._state = plan.state
        self._guard = Guard(arms, plan.limits, self._rolled_back)
        self._shadow = Shadow(arms, shadow_items, plan.file, metrics.shadow, self._compared)
        self._reloader: Reloader | None = None
        metrics.watch(arms)
        self._take_up()

    def reload_with(self, reloader: Callable[[Callable[[Reloaded], None]], Reloader]) -> None:
        """Give it what reloads; it is told where to say what became of it."""
        self._reloader = reloader(self._reloaded)

    def watchers(self) -> Sequence[Watcher]:
        """Who is to be told what became of items."""
        return (self._metrics, self._guard, self._shadow)

    def reload(self) -> list[Reloaded]:
        """Load every arm anew; waits. Raises ``UsageError`` where nobody said from where."""
        assert self._reloader is not None  # noqa: S101  # `build` gave it
        return self._reloader.reload()

    def set_share(self, share: float, reason: str | None) -> None:
        """Let the candidate answer so many percent; raises ``UsageError`` without a candidate."""
        if self.arms.now.candidate is None and share:
            raise UsageError("there is no candidate", "serve with --shadow-policies, -bundle or -engine")
        self.arms.set_share(share, reason)
        self._guard.start_again()
        self._keep()
        _log.info("share set", extra={"fields": {"share": share}})

    def status(self) -> dict[str, Any]:
        """What is in force, and how the candidate does; shaped like ``RolloutReply`` without its id."""
        now = self.arms.now
        return {
            "stable": now.stable.identity(),
            "candidate": None if now.candidate is None else now.candidate.identity(),
            "share": now.share,
            "reason": now.reason,
            "limits": asdict(self._guard.limits),
            "comparisons": self._shadow.tally().as_json(),
        }

    def close(self) -> None:
        """End the threads; the queues must have ended."""
        self._shadow.close()

    def _take_up(self) -> None:
        """Begin with the share that was last set for this candidate, if any."""
        candidate = self.arms.now.candidate
        if self._state is not None and candidate is not None:
            kept = read_share(self._state, Identity.model_validate(candidate.identity()))
            if kept is not None:
                self.arms.set_share(kept.share, kept.reason)

    def _keep(self) -> None:
        now = self.arms.now
        if self._state is None or now.candidate is None:
            return
        try:
            write_share(self._state, Identity.model_validate(now.candidate.identity()), now.share, now.reason)
        except OutputError as error:  # what was set holds all the same, for as long as the process lives
            log_error("share not kept", error)

    def _compared(self, comparison: Comparison) -> None:
        self._guard.compared(comparison)

    def _rolled_back(self, limit: str, told: str) -> None:
        self._metrics.rolled_back(limit)
        self._keep()
        _log.warning("rolled back", extra={"fields": {"limit": limit, "said": told}})

    def _reloaded(self, result: Reloaded) -> None:
        self._metrics.reloaded(result.arm, refused=result.error is not None)
        if result.error is None:
            self._guard.start_again()
            self._metrics.in_force(self.arms)
            if result.arm is Arm.STABLE:
                self._changed()
