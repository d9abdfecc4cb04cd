"""The loop: open a batch of items, judge it, hand out the records, stop cleanly when asked.

Every item yields exactly one record, an error record where it cannot be judged. What ends the run half
way (Ctrl-C, a missing model, a dead engine) ends it after the items already in hand were written.
Knows nothing about terminals; skips and stops are reported through callbacks.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from llm_judge.batch.items import Item
from llm_judge.content.content import Content
from llm_judge.errors import ContentError, Interrupted, JudgeError
from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord, RecordFile

BATCH_ITEMS = 32


def run_batches(
    judge: Judge,
    items: Iterable[Item],
    out: RecordFile | None = None,
    *,
    on_skip: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    batch_items: int = BATCH_ITEMS,
) -> Generator[DecisionRecord, None, None]:
    """Judge items and yield their records in order, written to ``out`` first where it is given.

    Args:
        on_skip: called for each item whose id ``out`` already holds; it is passed over.
        on_stop: called from the signal handler when a stop is first asked for.
        batch_items: items opened and judged together.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the items in hand were judged and written before.
        OutputError: ``out`` cannot be written.
        EngineError: the engine cannot answer; earlier batches are written.
        PackageError, UsageError: an item or the list of items needs something that is not there; the
            items before it are judged and written.
    """
    queue = _fresh(items, out, on_skip)
    with stopping(on_stop) as stop:
        while True:
            batch, trouble = _next_batch(queue, batch_items, stop)
            opened, unopened = _open_batch(judge, batch)
            records = _judge_opened(judge, batch, opened)
            if out is not None:
                for record in records:
                    out.append(record)
                out.sync()
            yield from records
            if trouble := unopened or trouble:
                raise trouble
            if stop.asked:
                hint = "run the same command with --resume to go on" if out is not None else None
                raise Interrupted("stopped after the items in hand", hint)
            if not batch:
                return


class _StopReading(KeyboardInterrupt):
    """Raised out of the wait for the next item, which no flag would end."""


@dataclass(slots=True)
class Stop:
    """Whether a stop was asked for, and whether the loop is waiting for items."""

    asked: bool = False
    reading: bool = False


def _fresh(items: Iterable[Item], out: RecordFile | None, on_skip: Callable[[], None]) -> Iterator[Item]:
    for item in items:
        if out is not None and item.id in out.done:
            on_skip()
        else:
            yield item


def _next_batch(queue: Iterator[Item], size: int, stop: Stop) -> tuple[list[Item], JudgeError | None]:
    """Return the next items, fewer at the end, and what kept the list of items from going on."""
    batch: list[Item] = []
    try:
        stop.reading = not stop.asked
        for item in queue:
            batch.append(item)
            if len(batch) == size:
                break
    except _StopReading:
        pass
    except JudgeError as error:
        return batch, error
    finally:
        stop.reading = False
    return batch, None


def _open_batch(judge: Judge, batch: list[Item]) -> tuple[list[Content | DecisionRecord], JudgeError | None]:
    """Open items up to the first that needs something this machine lacks, such as a model."""
    opened: list[Content | DecisionRecord] = []
    for item in batch:
        try:
            opened.append(item.open())
        except ContentError as error:
            opened.append(judge.error_record(item.id, error, item.source))
        except JudgeError as error:
            return opened, error
    return opened, None


def _judge_opened(
    judge: Judge, batch: list[Item], opened: list[Content | DecisionRecord]
) -> list[DecisionRecord]:
    """Judge what could be opened; ``opened`` may be shorter than its batch."""
    contents = [o for o in opened if isinstance(o, Content)]
    asked = [item.asked for item, o in zip(batch, opened, strict=False) if isinstance(o, Content)]
    judged = iter(judge.judge_batch(contents, asked) if contents else [])
    return [next(judged) if isinstance(o, Content) else o for o in opened]


@contextmanager
def stopping(on_stop: Callable[[], None]) -> Iterator[Stop]:
    """Turn the first Ctrl-C (or SIGTERM) into a wish to stop; the second one stops at once.

    May be nested: the inner one is asked first. In a thread nothing is ever asked, since signals belong to
    the main thread.

    Args:
        on_stop: called from the signal handler when a stop is first asked for.
    """
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        on_stop()
        if stop.reading:
            raise _StopReading

    try:
        previous = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals belong to whoever is
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
