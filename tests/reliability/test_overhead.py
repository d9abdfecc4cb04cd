"""Overhead is what is left when the engine's time is taken out, be it for this request or for another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_judge.reliability.connection import Answer
from llm_judge.reliability.known import HARMLESS
from llm_judge.reliability.overhead import Call, calls_in, quantile, spent
from llm_judge.reliability.traffic import Sent


def asked(id: str, began: float, ended: float, status: int = 200) -> Sent:
    return Sent(id, HARMLESS, began, Answer(status, {}, b"", began, ended))


def test_waiting_for_a_busy_engine_is_not_overhead() -> None:
    calls = [
        Call(0, 10, frozenset({"a-1"})),
        Call(11, 20, frozenset({"b-1"})),
        Call(21, 30, frozenset({"b-1"})),
    ]
    (found,) = spent([asked("b-1", 5, 32)], calls)
    # 5 s for the call before, 18 s for its own two; two gaps and the way back are left.
    assert (found.whole, found.overhead) == (27, 4)


def test_what_the_engine_does_after_its_own_last_call_is_no_excuse() -> None:
    calls = [Call(0, 10, frozenset({"a-1"})), Call(10, 20, frozenset({"b-1"}))]
    (found,) = spent([asked("a-1", 0, 17)], calls)
    assert found.overhead == 7


def test_requests_without_a_decision_or_a_call_are_left_out() -> None:
    calls = [Call(0, 1, frozenset({"a-1"}))]
    assert spent([asked("a-1", 0, 2, 503), asked("b-1", 0, 2), Sent("a-1", HARMLESS, 0)], calls) == []


def test_calls_are_read_from_the_log_of_the_engine(tmp_path: Path) -> None:
    line = json.dumps({"began": 2.0, "ended": 3.0, "bodies": ["[1] A walk. asked-000007", "asked-000008"]})
    (tmp_path / "calls").write_text(f"{line}\n{line[:20]}")
    assert calls_in(tmp_path / "calls") == [Call(2.0, 3.0, frozenset({"asked-000007", "asked-000008"}))]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_quantile(share: float, value: int) -> None:
    assert quantile(list(range(1, 101)), share) == value
