"""What is counted by arm and of reloads, comparisons and rollbacks, for Prometheus; few labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_judge.content.content import Content
from llm_judge.record import DecisionRecord
from llm_judge.service.arms import Arm, ArmsInForce
from llm_judge.service.judging import Decided
from llm_judge.service.orders import Order, Way
from llm_judge.service.problems import Problem

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHOWN = 12  # digits of a digest


class RolloutMetrics:
    """The metrics of one service's rollout.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._items = Counter(
            "judge_arm_items",
            "Items by arm: decided, undecided or failed.",
            ("arm", "outcome"),
            registry=registry,
        )
        self._actions = Counter(
            "judge_arm_decisions", "Answers by arm and action.", ("arm", "action"), registry=registry
        )
        self._seconds = Histogram(
            "judge_arm_item_seconds", "Seconds an item by arm.", ("arm",), buckets=_SECONDS, registry=registry
        )
        self._share = Gauge(
            "judge_candidate_share", "Percent of items that the candidate answers.", registry=registry
        )
        self._revisions = Gauge(
            "judge_revision_info",
            "Revisions in force; always 1.",
            ("arm", "revision", "policy_digest", "model", "adapter_digest"),
            registry=registry,
        )
        self._shadow = Counter(
            "judge_shadow_items",
            "Contents for the other revision: same or other action, failed, dropped, unlike, not_kept.",
            ("result",),
            registry=registry,
        )
        self._reloads = Counter(
            "judge_reloads", "Reloads by arm: in_force or refused.", ("arm", "result"), registry=registry
        )
        self._rollbacks = Counter(
            "judge_rollbacks", "Automatic rollbacks by the limit passed.", ("limit",), registry=registry
        )

    def watch(self, arms: ArmsInForce) -> None:
        """Show the share in force from now on, and the revisions."""
        self._share.set_function(lambda: arms.now.share)
        self.in_force(arms)

    def in_force(self, arms: ArmsInForce) -> None:
        """Say which revisions are in force, and no others."""
        self._revisions.clear()
        now = arms.now
        for arm in Arm:
            if (revision := now.revision(arm)) is not None:
                named = revision.identity()
                policies, adapter = str(named["policy_digest"])[:_SHOWN], named["adapter_digest"] or ""
                words = (str(named["revision"]), policies, str(named["model"]), adapter[:_SHOWN])
                self._revisions.labels(arm.value, *words).set(1)

    def answered(self, way: Way, result: DecisionRecord | Problem, seconds: float) -> None:
        """Count what a revision made of an item."""
        self._seconds.labels(way.arm.value).observe(seconds)
        if isinstance(result, Problem):
            outcome = "failed"
        else:
            unsure = result.decision is None or result.decision.undecided
            outcome = "undecided" if unsure else "decided"
        self._items.labels(way.arm.value, outcome).inc()

    def offer(self, _order: Order, decided: Decided, _content: Content) -> None:
        """Count an answer that is given."""
        self._actions.labels(decided.way.arm.value, decided.record.action.value).inc()

    def shadow(self, result: str) -> None:
        """Count a content that was offered to the other revision."""
        self._shadow.labels(result).inc()

    def reloaded(self, arm: Arm, *, refused: bool) -> None:
        """Count a reload of an arm."""
        self._reloads.labels(arm.value, "refused" if refused else "in_force").inc()

    def rolled_back(self, limit: str) -> None:
        """Count an automatic rollback."""
        self._rollbacks.labels(limit).inc()
