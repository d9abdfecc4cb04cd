"""What the service counts, for Prometheus: few labels, none of them from a client's words.

Knows nothing about how requests are answered.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from llm_judge.policy.model import Policy
    from llm_judge.record import DecisionRecord
    from llm_judge.service.problems import Problem

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nothing reads
_WATCHED = ("abstained", "record_not_kept", "records_unavailable", "engine_failed", "internal")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_MASSES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = kept = CollectorRegistry()
        self.requests = Counter(
            "judge_requests",
            "Requests by route, status and code of the answer.",
            ("route", "status", "code"),
            registry=kept,
        )
        self.seconds = Histogram(
            "judge_request_duration_seconds",
            "From the first byte to the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=kept,
        )
        self.in_flight = Gauge("judge_inflight_requests", "Requests being answered.", registry=kept)
        self._queued = Gauge("judge_queue_items", "Items that wait for the engine.", registry=kept)
        self._actions = Counter("judge_decisions", "Decisions by action.", ("action",), registry=kept)
        self._verdicts = Counter(
            "judge_verdicts", "Verdicts of rules.", ("policy", "rule", "verdict"), registry=kept
        )
        # Since they were last read: a decision has a hundred of them, and Prometheus's counters take locks.
        self._of_verdicts: Tally[tuple[str, Outcome]] = Tally()
        self._abstentions = Counter(
            "judge_abstentions", "Rules that could not be decided.", ("policy", "reason"), registry=kept
        )
        self._fail_modes = Counter(
            "judge_fail_mode", "Answers that `on_error` had a say in.", ("mode", "reason"), registry=kept
        )
        self._masses = Histogram(
            "judge_label_mass", "Label mass of rules that were asked.", buckets=_MASSES, registry=kept
        )
        self._errors = Counter("judge_backend_errors", "Calls the engine failed.", ("kind",), registry=kept)
        self._fetches = Counter(
            "judge_media_fetches", "Media fetched from URLs, by outcome.", ("outcome",), registry=kept
        )
        self._policies = Gauge(
            "judge_policy_info", "Policies in force; always 1.", ("policy", "revision"), registry=kept
        )
        self._ready = Gauge(
            "judge_ready", "1 while it is fit to judge and nothing is stopping.", registry=kept
        )

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus; from the event loop, as everything here."""
        for (rule, outcome), count in self._of_verdicts.items():
            policy, _, name = rule.partition("#")
            self._verdicts.labels(policy, name, outcome.value).inc(count)
        self._of_verdicts.clear()
        return generate_latest(self.registry)

    def waiting(self, depth: Callable[[], float]) -> None:
        """Show how many items wait for the engine, from now on."""
        self._queued.set_function(depth)

    def in_force(self, policies: tuple[Policy, ...]) -> None:
        """Say which policies are in force, and no others, and begin at 0 what alerts watch."""
        self._policies.clear()
        for mode in {policy.on_error.value for policy in policies}:
            for reason in _WATCHED:
                self._fail_modes.labels(mode, reason)
        for policy in policies:
            self._policies.labels(policy.policy, policy.version_in_force).set(1)

    def ready(self, is_ready: bool) -> None:
        """Say whether the service is ready."""
        self._ready.set(is_ready)

    def engine_failed(self, kind: str) -> None:
        """Count a failed call of the engine, by the name of the error."""
        self._errors.labels(kind).inc()

    def fetched(self, outcome: str) -> None:
        """Count a fetch, by ``ok``, the code of its problem, or ``gone`` where nobody waited for it."""
        self._fetches.labels(outcome).inc()

    def failed(self, problem: Problem) -> None:
        """Count an item that got no decision; once, also where it is told again as the answer as a whole."""
        if problem.action is not None and not problem.counted:
            problem.counted = True
            self._fail_modes.labels(problem.action, problem.code.word).inc()

    def decided(self, record: DecisionRecord) -> None:
        """Count a decision and its verdicts."""
        self._actions.labels(record.action.value).inc()
        for verdict in record.verdicts:
            self._of_verdicts[verdict.rule, verdict.outcome] += 1
            if verdict.asked:
                self._masses.observe(verdict.label_mass)
            if verdict.outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE):
                policy = verdict.rule.partition("#")[0]
                self._abstentions.labels(policy, verdict.outcome.value).inc()
        if record.decision is not None and record.decision.on_error is not None:
            self._fail_modes.labels(record.decision.on_error.value, "abstained").inc()
