"""Whether rules still say what they said over a good time: gauges of the last answers against a reference.

Of rules in the reference only, so the number of series is known. Knows nothing about HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llm_judge.content.content import Content
from llm_judge.drift.reference import Reference, seen_in
from llm_judge.drift.sights import RuleCounts, Window
from llm_judge.drift.stability import stability_index
from llm_judge.record import DecisionRecord
from llm_judge.service.arms import Arm

if TYPE_CHECKING:
    from llm_judge.service.judging import Decided
    from llm_judge.service.orders import Order, Way
    from llm_judge.service.problems import Problem

_FEWEST = 100  # items of a rule before its rates mean anything
_LABELS = ("policy", "rule")


class DriftWatch(Collector):
    """Counts the answers of the stable revision, and exports their drift.

    Args:
        reference: what to compare with.
        registry: where the gauges are registered.
        size: last answers that are looked at.
    """

    def __init__(self, reference: Reference, registry: CollectorRegistry, size: int = 5000) -> None:
        self._reference = {rule: each.counts() for rule, each in reference.rules.items()}
        self._size = size
        self._lock = threading.Lock()
        self._window = Window(self._reference, size)
        registry.register(self)

    def start_again(self) -> None:
        """Forget what was seen: another revision answers."""
        with self._lock:
            self._window = Window(self._reference, self._size)

    def answered(self, _way: Way, _result: DecisionRecord | Problem, _seconds: float) -> None:
        """Nothing: only answers count."""

    def offer(self, _order: Order, decided: Decided, _content: Content) -> None:
        """Count an answer."""
        if decided.way.arm is Arm.STABLE:
            with self._lock:
                self._window.add(seen_in(decided.record))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges, as Prometheus asks for them."""
        with self._lock:
            records, counts = self._window.records, self._window.counts()
        items = GaugeMetricFamily("judge_drift_items", "Answers in the window of drift.")
        items.add_metric((), records)
        yield items
        flagged, abstained, before_flagged, before_abstained, scores = (
            GaugeMetricFamily(f"judge_drift_{name}", told, labels=_LABELS)
            for name, told in (
                ("flag_rate", "Share of items on which a rule fired, in the window."),
                ("abstain_rate", "Share of items on which it could not be told, in the window."),
                ("reference_flag_rate", "Share of items on which a rule fired, in the reference."),
                ("reference_abstain_rate", "Share on which it could not be told, in the reference."),
                ("score_psi", "Population stability index of its scores against the reference."),
            )
        )
        for rule, before in self._reference.items():
            labels = tuple(rule.split("#", 1))
            after = counts.get(rule)
            if after is None or after.items < _FEWEST or not before.items:
                continue
            _add(flagged, before_flagged, labels, after.flagged, before.flagged, after, before)
            _add(abstained, before_abstained, labels, after.abstained, before.abstained, after, before)
            scores.add_metric(labels, stability_index(before.scores, after.scores) or 0.0)
        yield from (flagged, abstained, before_flagged, before_abstained, scores)


def _add(
    now: GaugeMetricFamily,
    then: GaugeMetricFamily,
    labels: tuple[str, ...],
    count: int,
    old_count: int,
    after: RuleCounts,
    before: RuleCounts,
) -> None:
    now.add_metric(labels, count / after.items)
    then.add_metric(labels, old_count / before.items)
