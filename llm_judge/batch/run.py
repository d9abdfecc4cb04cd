"""The loop: open a batch of items, judge it, hand out the records, stop cleanly when asked.

Every item yields exactly one record, an error record where it cannot be judged. Knows nothing about
terminals; progress is reported through a callback.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType

from llm_judge.batch.items import Item
from llm_judge.content.content import Content
from llm_judge.errors import ContentError, Interrupted
from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord, RecordFile

BATCH_ITEMS = 32


def run_batches(
    judge: Judge,
    items: Iterable[Item],
    out: RecordFile | None = None,
    *,
    on_skip: Callable[[int], None] = lambda _: None,
    batch_items: int = BATCH_ITEMS,
) -> Iterator[DecisionRecord]:
    """Judge items and yield their records in order, written to ``out`` first where it is given.

    Items whose id ``out`` already holds are passed over and reported to ``on_skip``.

    Raises:
        Interrupted: Ctrl-C was pressed; the batch in hand was judged and written before.
        OutputError: ``out`` cannot be written.
        EngineError: the engine cannot answer; earlier batches are written.
    """
    queue = iter(items)
    with _stop_flag() as stopped:
        while batch := list(islice(queue, batch_items)):
            fresh = [item for item in batch if out is None or item.id not in out.done]
            if len(fresh) < len(batch):
                on_skip(len(batch) - len(fresh))
            records = _judge_batch(judge, fresh)
            if out is not None:
                for record in records:
                    out.append(record)
                out.sync()
            yield from records
            if stopped():
                raise Interrupted("stopped after the batch in hand", "run again with --resume to go on")


def _judge_batch(judge: Judge, items: list[Item]) -> list[DecisionRecord]:
    opened: list[Content | DecisionRecord] = []
    for item in items:
        try:
            opened.append(item.open())
        except ContentError as error:
            opened.append(judge.error_record(item.id, error, item.source))
    contents = [o for o in opened if isinstance(o, Content)]
    judged = iter(judge.judge_batch(contents) if contents else [])
    return [next(judged) if isinstance(o, Content) else o for o in opened]


@contextmanager
def _stop_flag() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a flag; the second one stops at once."""
    asked = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    try:
        previous = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals belong to whoever is
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
