"""Calls ahead of their turn: the same results in the same order, bounded, and none after the end."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.batch.ahead import Ahead


@given(st.integers(0, 40), st.integers(1, 4), st.integers(0, 9))
def test_results_and_errors_come_where_they_belong(count: int, workers: int, bound: int) -> None:
    def call(number: int) -> int:
        if number % 5 == 3:
            raise ValueError(number)
        return number * number

    found: list[int] = []
    with Ahead(call, count, workers=workers, bound=bound) as ahead:
        for number in range(count):
            try:
                found.append(ahead.result(number))
            except ValueError as error:
                found.append(-error.args[0])
    assert found == [-n if n % 5 == 3 else n * n for n in range(count)]


def test_calls_run_while_nobody_waits_for_them_but_not_too_far_ahead() -> None:
    begun: list[int] = []
    fifth = threading.Event()

    def call(number: int) -> threading.Thread:
        begun.append(number)
        if number == 4:
            fifth.set()
        return threading.current_thread()

    with Ahead(call, 100, workers=2, bound=4) as ahead:
        assert ahead.result(0) is not threading.main_thread()
        assert fifth.wait(30)
    assert sorted(begun) == [0, 1, 2, 3, 4]


def test_one_worker_is_no_thread_and_calls_nothing_early() -> None:
    begun: list[int] = []
    with Ahead(begun.append, 9, bound=4) as ahead:
        ahead.result(0)
    assert begun == [0]


def test_leaving_early_waits_for_what_has_begun_and_begins_no_more() -> None:
    go, begun, ended = threading.Event(), threading.Event(), []

    def call(number: int) -> None:
        if number > 0:
            begun.set()
            go.wait(30)
            ended.append(number)

    with pytest.raises(KeyboardInterrupt), Ahead(call, 100, workers=2, bound=50) as ahead:
        ahead.result(0)
        assert begun.wait(30)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert 1 <= len(ended) <= 4
