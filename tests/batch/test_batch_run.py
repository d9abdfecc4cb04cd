"""The loop yields one record an item, in order, and stops without losing any."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from samples import compiled, make_content

from llm_judge.batch.items import Item
from llm_judge.batch.run import run_batches
from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.errors import ContentDamaged, EngineError, Interrupted, PackageError, UsageError
from llm_judge.judge import Judge
from llm_judge.policy.model import Policy
from llm_judge.record import RecordFile


@pytest.fixture
def judge(policies: tuple[Policy, ...]) -> Judge:
    return Judge(compiled(*policies), ScriptedEngine(failures=[("unplugged", "the engine was unplugged")]))


def good(name: str, text: str = "Fine.") -> Item:
    return Item(name, None, lambda: make_content(text, id=name))


def failing(name: str, error: Exception) -> Item:
    def open_it():
        raise error

    return Item(name, None, open_it)


def pressing(name: str, number: int = signal.SIGINT) -> Item:
    """An item during whose opening somebody presses Ctrl-C."""

    def open_it():
        signal.raise_signal(number)
        return make_content("Fine.", id=name)

    return Item(name, None, open_it)


def collect(ids, run):
    """Add the ids of a run to a list, so that those before an error are known."""
    for record in run:
        ids.append(record.item["id"])


@pytest.fixture
def ids():
    return []


def test_every_item_has_one_record_in_order(judge, ids):
    items = [good(f"r{i}") if i % 3 else failing(f"r{i}", ContentDamaged("broken")) for i in range(10)]
    records = list(run_batches(judge, items, batch_items=4))
    assert [record.item["id"] for record in records] == [item.id for item in items]
    assert [record.error is not None for record in records] == [i % 3 == 0 for i in range(10)]


def test_items_already_recorded_are_passed_over(judge, tmp_path):
    items = [good(f"r{i}") for i in range(7)]
    skips = []
    with RecordFile(tmp_path / "out.jsonl", judge.run) as out:
        list(run_batches(judge, items[2:5], out))
    with RecordFile(tmp_path / "out.jsonl", judge.run, resume=True) as out:
        records = list(run_batches(judge, items, out, on_skip=lambda: skips.append(1), batch_items=2))
    assert [record.item["id"] for record in records] == ["r0", "r1", "r5", "r6"]
    assert len(skips) == 3


def test_records_are_written_before_they_are_shown(judge, tmp_path):
    path = tmp_path / "out.jsonl"
    with RecordFile(path, judge.run) as out:
        for shown, _ in enumerate(run_batches(judge, [good(f"r{i}") for i in range(6)], out, batch_items=2)):
            assert len(path.read_text().splitlines()) > shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_the_items_in_hand(judge, ids, number):
    items = iter([good("r0"), pressing("r1", number), good("r2"), good("r3"), good("r4")])
    said = []
    with pytest.raises(Interrupted, match="stopped after the items in hand"):
        collect(ids, run_batches(judge, items, batch_items=3, on_stop=lambda: said.append("stopping")))
    assert (ids, said) == (["r0", "r1", "r2"], ["stopping"])
    assert next(items).id == "r3"


def test_a_second_stop_is_at_once(judge, ids):
    items = [good("r0"), pressing("r1"), pressing("r2")]
    with pytest.raises(KeyboardInterrupt):
        collect(ids, run_batches(judge, items))
    assert ids == []


def test_a_stop_ends_the_wait_for_the_next_item(judge, ids):
    never = threading.Event()

    def slow_items():
        yield good("r0")
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        never.wait(30)
        yield good("r1")

    with pytest.raises(Interrupted):
        collect(ids, run_batches(judge, slow_items()))
    assert ids == ["r0"]


def test_only_a_run_with_a_record_file_can_be_resumed(judge, ids, tmp_path):
    with pytest.raises(Interrupted) as stopped:
        collect(ids, run_batches(judge, [pressing("r0")]))
    assert stopped.value.hint is None
    with RecordFile(tmp_path / "out.jsonl", judge.run) as out, pytest.raises(Interrupted) as stopped:
        collect(ids, run_batches(judge, [pressing("r0")], out))
    assert "--resume" in stopped.value.hint


def test_signals_are_given_back(judge):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run = run_batches(judge, [good("r0"), good("r1")], batch_items=1)
    next(run)
    assert signal.getsignal(signal.SIGINT) is not before[0]
    run.close()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_thread_leaves_signals_alone(judge, ids):
    thread = threading.Thread(target=collect, args=(ids, run_batches(judge, [good("r0")])))
    thread.start()
    thread.join()
    assert ids == ["r0"]


def test_a_missing_model_ends_the_run_after_the_items_before(judge, ids):
    items = [good("r0"), failing("r1", PackageError("no such model")), good("r2")]
    with pytest.raises(PackageError, match="no such model"):
        collect(ids, run_batches(judge, items))
    assert ids == ["r0"]


def test_items_that_cannot_be_listed_end_the_run_after_those_listed(judge, ids):
    def items():
        yield good("r0")
        raise UsageError("nothing more")

    with pytest.raises(UsageError, match="nothing more"):
        collect(ids, run_batches(judge, items()))
    assert ids == ["r0"]


def test_a_dead_engine_keeps_earlier_batches(judge, ids):
    with pytest.raises(EngineError, match="unplugged"):
        collect(ids, run_batches(judge, [good("r0"), good("r1", "unplugged")], batch_items=1))
    assert ids == ["r0"]


def test_no_items_are_no_records(judge):
    assert list(run_batches(judge, [])) == []
