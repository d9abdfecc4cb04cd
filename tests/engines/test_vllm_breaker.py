"""The circuit breaker, on a clock that is moved by hand."""

from __future__ import annotations

from llm_judge.engines.vllm.breaker import CircuitBreaker


def broken(failures: int = 3) -> tuple[CircuitBreaker, list[float]]:
    now = [100.0]
    breaker = CircuitBreaker(failures, open_s=1.0, clock=lambda: now[0])
    for _ in range(failures):
        assert breaker.claim()
        breaker.failed()
    return breaker, now


def test_it_opens_after_failures_in_a_row_and_no_sooner() -> None:
    breaker = CircuitBreaker(3)
    for _ in range(5):
        for _ in range(2):
            breaker.failed()
        breaker.succeeded()
    assert breaker.closed
    assert not broken()[0].claim()


def test_one_probe_closes_it() -> None:
    breaker, now = broken()
    now[0] += 1.0
    assert breaker.claim() and not breaker.claim() and not breaker.available
    breaker.succeeded()
    assert breaker.closed and breaker.claim() and breaker.claim()


def test_each_failed_probe_doubles_the_wait_up_to_half_a_minute() -> None:
    breaker, now = broken()
    waits = []
    for _ in range(8):
        start = now[0]
        while not breaker.claim():
            now[0] += 0.5
        waits.append(now[0] - start)
        breaker.failed()
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_calls_in_flight_when_it_opened_say_nothing_new() -> None:
    breaker, now = broken()
    breaker.failed()
    now[0] += 1.0
    assert breaker.available


def test_calls_that_broke_together_count_once_and_late_answers_each() -> None:
    now = [100.0]
    breaker = CircuitBreaker(3, clock=lambda: now[0])
    for _ in range(3):
        began, now[0] = now[0], now[0] + 1
        for _ in range(8):
            assert breaker.closed
            breaker.failed(began)
            if not breaker.closed:
                break
    assert not breaker.closed and now[0] == 103
    late = CircuitBreaker(3, clock=lambda: now[0])
    for _ in range(3):
        late.failed()
    assert not late.closed


def test_an_abandoned_probe_leaves_room_for_the_next() -> None:
    breaker, now = broken()
    now[0] += 1.0
    assert breaker.claim()
    breaker.abandoned()
    assert breaker.claim() and not breaker.closed
