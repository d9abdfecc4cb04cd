"""Runs that are stopped, killed, starved of disk or left by their reader lose and repeat nothing."""

from __future__ import annotations

import os
import pty
import random
import re
import resource
import signal
import subprocess
import time

import pytest
from cli_runs import ended, saved_ids, start, wait_for, write_rows

IDS = [f"r{i}" for i in range(2000)]


@pytest.fixture
def rows(folder):
    return write_rows(folder / "rows.jsonl", [{"id": name, "text": f"This is {name}."} for name in IDS])


def test_ctrl_c_finishes_what_is_in_hand_and_resuming_ends_whole(folder, rows, judge):
    process = start("rows.jsonl", "--out", "records.jsonl")
    wait_for(folder / "records.jsonl", 0, process)
    process.send_signal(signal.SIGINT)
    stopped = ended(process)
    done = saved_ids(folder / "records.jsonl")
    assert stopped.code == 3
    assert "stopping after the items in hand" in stopped.err
    assert f"{len(done)} judged" in stopped.err
    assert stopped.err.splitlines()[-2:] == [
        "error: stopped after the items in hand",
        "  = help: run the same command with --resume to go on",
    ]
    assert done == IDS[: len(done)]
    assert 0 < len(done) < len(IDS)
    resumed = judge("rows.jsonl", "--out", "records.jsonl", "--resume")
    assert resumed.code == 0
    assert saved_ids(folder / "records.jsonl") == IDS


def test_ctrl_c_ends_the_wait_for_standard_input(folder, rows):
    process = start("-", "--out", "records.jsonl", stdin=subprocess.PIPE)
    process.stdin.write(b"".join(rows.read_bytes().splitlines(keepends=True)[:33]))
    process.stdin.flush()
    records = folder / "records.jsonl"
    # Whole lines are counted: a line may be seen while it is being written.
    while not records.exists() or records.read_bytes().count(b"\n") < 32:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert ended(process).code == 3
    assert saved_ids(folder / "records.jsonl") in (IDS[:32], IDS[:33])


def test_kill_9_at_random_moments_and_resuming_ends_whole(folder, rows, judge):
    moments = random.Random()
    for _ in range(3):
        process = start("rows.jsonl", "--out", "records.jsonl", "--resume")
        records = folder / "records.jsonl"
        before = records.stat().st_size if records.exists() else 0
        wait_for(records, before + moments.randrange(300_000), process)
        process.kill()
        ended(process)
    assert judge("rows.jsonl", "--out", "records.jsonl", "--resume").code == 0
    assert sorted(saved_ids(folder / "records.jsonl")) == sorted(IDS)


def test_a_disk_that_fills_up_keeps_whole_records_and_resuming_ends_whole(folder, rows, judge):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    run = ended(start("rows.jsonl", "--out", "records.jsonl", preexec_fn=little_room))
    done = saved_ids(folder / "records.jsonl")
    assert run.code == 2
    assert run.err.splitlines() == [
        f"error: cannot write `records.jsonl` after {len(done)} new records: file too large",
        "  = help: nothing already written is lost; make room and run again with --resume",
    ]
    assert done == IDS[: len(done)]
    judge("rows.jsonl", "--out", "records.jsonl", "--resume")
    assert saved_ids(folder / "records.jsonl") == IDS


def read_all(terminal):
    """Everything shown on a terminal until the other side closes it."""
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how a terminal says that the other side is closed
        pass
    os.close(terminal)
    return shown.decode()


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_a_reader_that_goes_away_is_no_error(rows, options):
    process = start("rows.jsonl", *options)
    assert process.stdout.readline()
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (2, b"")
    process.stderr.close()


def test_results_for_a_file_do_not_end_up_on_the_terminal(folder, rows):
    ours, theirs = pty.openpty()
    process = start("rows.jsonl", stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
    os.close(theirs)
    out = process.stdout.read()
    shown = read_all(ours)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "judging" in shown
    assert "│ r1999" in out.decode()
    assert "│ r1999" not in shown
    assert b"judging" not in out


def test_on_a_terminal_results_stand_above_the_bar_not_behind_it(folder, rows):
    ours, theirs = pty.openpty()
    process = start("rows.jsonl", stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = read_all(ours)
    assert process.wait(timeout=60) == 0
    assert "judging" in shown
    assert re.search(r"judging[^\r\n]*┏", shown) is None
