"""When a candidate is taken back: not before there is enough to say, and then for the limit it passed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from serving import FIRES_ON, UNSURE_ON
from trying import milder, scripted, service_with

from llm_judge.content.text import from_text
from llm_judge.errors import UsageError
from llm_judge.service.arms import Arm
from llm_judge.service.judges import JudgeKey
from llm_judge.service.orders import Way
from llm_judge.service.problems import Code, Problem
from llm_judge.service.rollout.guard import Guard, RollbackLimits, percentile, read_limits
from llm_judge.service.rollout.rollout import RolloutPlan
from llm_judge.service.state import Service


@pytest.fixture
def service():
    built = service_with(scripted(), candidate=milder(), plan=RolloutPlan(share=50.0))
    yield built
    built.close()


def way(service: Service, arm: Arm) -> Way:
    revision = service.arms.now.revision(arm)
    assert revision is not None
    return Way(arm, revision, JudgeKey(), None)


def watched(
    service: Service, limits: RollbackLimits, text: str, seconds: float = 0.1, times: int = 10
) -> float:
    """The share after so many answers of the candidate."""
    guard, candidate = Guard(service.arms, limits), way(service, Arm.CANDIDATE)
    record = candidate.revision.judges.plain.judge(from_text(text))
    for _ in range(times):
        guard.answered(candidate, record, seconds)
    return service.arms.now.share


def test_good_answers_change_nothing(service: Service) -> None:
    limits = RollbackLimits(0.0, 0.0, 0.0, 1000.0, 0.0, minimum=5)
    assert watched(service, limits, FIRES_ON) == 50


def test_too_few_answers_say_nothing(service: Service) -> None:
    assert watched(service, RollbackLimits(undecided=0.5, minimum=5), UNSURE_ON, times=4) == 50
    assert watched(service, RollbackLimits(undecided=0.5, minimum=5), UNSURE_ON, times=5) == 0
    assert service.arms.now.reason == "rolled back: undecided 1.000 over 0.5 in the last 5"


def test_slow_answers_roll_back(service: Service) -> None:
    assert watched(service, RollbackLimits(p95_ms=99.0, minimum=5), FIRES_ON, 0.1) == 0
    assert "p95_ms 100 over 99" in str(service.arms.now.reason)


def test_undecided_may_be_no_more_than_that_of_the_stable_revision_and_so_much(service: Service) -> None:
    guard = Guard(service.arms, RollbackLimits(undecided_over=0.1, minimum=5))
    unsure = {arm: way(service, arm).revision.judges.plain.judge(from_text(UNSURE_ON)) for arm in Arm}
    for _ in range(10):
        for arm in Arm:
            guard.answered(way(service, arm), unsure[arm], 0.1)
    assert service.arms.now.share == 50  # the stable revision cannot tell either


@pytest.mark.parametrize(
    ("code", "share"), [(Code.CONTENT_EMPTY, 50), (Code.OVERLOADED, 50), (Code.ENGINE_FAILED, 0)]
)
def test_only_what_a_revision_can_help_counts_against_it(service: Service, code: Code, share: float) -> None:
    guard = Guard(service.arms, RollbackLimits(minimum=5))
    for _ in range(10):
        guard.answered(way(service, Arm.CANDIDATE), Problem(code, "x"), 0.1)
    assert service.arms.now.share == share


def test_what_went_out_of_force_meanwhile_counts_for_nobody(service: Service) -> None:
    guard = Guard(service.arms, RollbackLimits(minimum=5))
    gone = replace(way(service, Arm.CANDIDATE), revision=service.arms.now.stable)
    for _ in range(10):
        guard.answered(gone, Problem(Code.ENGINE_FAILED, "x"), 0.1)
    assert service.arms.now.share == 50


def test_limits_are_read_by_name() -> None:
    limits = read_limits(["engine_errors=off", "p95_ms=800", "minimum=20", "window=50"])
    assert limits == RollbackLimits(engine_errors=None, p95_ms=800, minimum=20, window=50)
    for wrong in ("undecided=nan", "undecided=1.1", "minimum=off", "minimum=0", "p95", "x=1"):
        with pytest.raises(UsageError):
            read_limits([wrong])


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95
    assert percentile([3.0], 0.95) == 3
