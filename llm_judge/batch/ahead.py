"""Calls made on threads ahead of their turn: pictures and speech are read while the engine reads a batch.

Results come in the order they are asked for, and an error comes where its result would have. Knows nothing
about what is called.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Use as a context manager; leaving it waits for calls that have begun, and makes no more.

    Args:
        call: given a number from 0 up; called from several threads at once with more than one worker.
        count: how many numbers there are.
        workers: threads; with 1 there are none, and each call is made when its result is asked for.
        bound: calls made ahead of the one asked for, at most.
    """

    def __init__(self, call: Callable[[int], T], count: int, *, workers: int = 1, bound: int = 32) -> None:
        self._call = call
        self._count = count
        self._bound = bound
        self._next = 0
        self._begun: dict[int, Future[T]] = {}
        self._threads = ThreadPoolExecutor(workers, "ahead") if workers > 1 else None

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def result(self, number: int) -> T:
        """Return what the call with this number gives, or raise what it raises; once for each number."""
        if self._threads is None:
            return self._call(number)
        self._next = max(self._next, number)
        while self._next < min(number + self._bound + 1, self._count):
            self._begun[self._next] = self._threads.submit(self._call, self._next)
            self._next += 1
        return self._begun.pop(number).result()
