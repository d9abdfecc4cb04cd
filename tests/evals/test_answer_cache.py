"""Answers come back as they were kept, whoever is killed meanwhile, and a bad file stops nobody."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.errors import UsageError
from llm_judge.evals.answer_cache import FORGET_DAYS, AnswerCache, Row, clear_answers

JUDGE, CONTENT = b"j" * 32, b"c" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers" / "answers-1.sqlite3"


@pytest.fixture
def said() -> list[str]:
    return []


def row(policy: str = "p", answer: str = "{}", rules: bool = True, content: bytes = CONTENT) -> Row:
    return Row(JUDGE, content, policy, rules, answer)


def test_answers_come_back_by_judge_and_content(path: Path) -> None:
    with AnswerCache(path) as cache:
        cache.keep([row("p", "1"), row("q", "2"), row("p", "3", content=b"d")])
    with AnswerCache(path) as cache:
        assert cache.find(JUDGE, CONTENT) == {"p": "1", "q": "2"}
        assert cache.find(b"k" * 32, CONTENT) == {}
        size = cache.size()
        assert (size.contents, size.answers, size.judges) == (2, 3, 1)
        assert size.bytes > 0


ROWS = st.lists(st.tuples(st.sampled_from("pq"), st.booleans(), st.integers()), max_size=12)


@settings(max_examples=25)
@given(ROWS)
def test_the_first_answer_stays_unless_one_with_rules_follows(rows: list[tuple[str, bool, int]]) -> None:
    expected: dict[str, tuple[bool, int]] = {}
    for policy, rules, answer in rows:
        if policy not in expected or (rules and not expected[policy][0]):
            expected[policy] = (rules, answer)
    with tempfile.TemporaryDirectory() as folder, AnswerCache(Path(folder) / "answers") as cache:
        for policy, rules, answer in rows:
            cache.keep([row(policy, str(answer), rules)])
        assert cache.find(JUDGE, CONTENT) == {policy: str(kept[1]) for policy, kept in expected.items()}


# Keeps pairs of answers, one pair a transaction, until it is killed or all are kept.
WRITER = """
import sys
from pathlib import Path
from llm_judge.evals.answer_cache import AnswerCache, Row
path, name, count = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
with AnswerCache(path, print) as cache:
    print("ready", flush=True)
    for number in range(count):
        content = name + number.to_bytes(4, "big")
        cache.keep([Row(b"j" * 32, content, policy, True, str(number)) for policy in "pq"])
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def kept(cache: AnswerCache, name: bytes) -> int:
    """How many contents of a writer are there, each of them whole."""
    number = 0
    while found := cache.find(JUDGE, name + number.to_bytes(4, "big")):
        assert found == {"p": str(number), "q": str(number)}
        number += 1
    return number


def test_kill_9_leaves_whole_answers_and_a_file_that_goes_on(path: Path, said: list[str]) -> None:
    with writer(path, "x", 10**6) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not path.exists() or path.with_name(path.name + "-wal").stat().st_size < 100_000:
            assert process.poll() is None
        process.kill()
    with AnswerCache(path, said.append) as cache:
        count = kept(cache, b"x")
        assert count > 0
        assert cache.size().answers == 2 * count
        cache.keep([row()])
        assert cache.find(JUDGE, CONTENT) == {"p": "{}"}
    assert said == []


def test_two_runs_at_once_keep_all_answers_of_both(path: Path) -> None:
    with writer(path, "x", 150) as one, writer(path, "y", 150) as other:
        told = [process.communicate(timeout=60)[0] for process in (one, other)]
    assert told == [b"ready\n", b"ready\n"]
    with AnswerCache(path) as cache:
        assert (kept(cache, b"x"), kept(cache, b"y")) == (150, 150)


def test_threads_of_one_run_may_look_up_while_it_keeps(path: Path) -> None:
    with AnswerCache(path, pytest.fail) as cache:
        cache.keep([row()])
        found: list[dict[str, str]] = []
        threads = [
            threading.Thread(target=lambda: found.extend(cache.find(JUDGE, CONTENT) for _ in range(50)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for number in range(50):
            cache.keep([row(content=bytes([number]))])
        for thread in threads:
            thread.join()
        assert found == [{"p": "{}"}] * 200


@pytest.mark.parametrize("damage", ["noise", "cut", "another application"])
def test_a_damaged_file_is_moved_aside(path: Path, said: list[str], damage: str) -> None:
    with AnswerCache(path) as cache:
        cache.keep([row(answer="x" * 20_000)])
    whole = path.read_bytes()
    if damage == "another application":
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
    else:
        path.write_bytes(b"no database" * 1000 if damage == "noise" else whole[:5000])
    before = path.read_bytes()
    with AnswerCache(path, said.append) as cache:
        assert cache.find(JUDGE, CONTENT) == {}
        cache.keep([row()])
        assert cache.find(JUDGE, CONTENT) == {"p": "{}"}
    (line,) = said
    assert "is damaged: it is now `answers-1.damaged`" in line
    assert path.with_suffix(".damaged").read_bytes() == before


def test_a_damaged_file_is_not_moved_while_a_run_has_caches_open(path: Path, said: list[str]) -> None:
    with AnswerCache(path.with_name("answers-0.sqlite3")):
        path.write_bytes(b"no database" * 1000)
        with AnswerCache(path, said.append) as cache:
            cache.keep([row()])
            assert cache.find(JUDGE, CONTENT) == {}
    assert len(said) == 1
    assert "is left alone: file is not a database" in said[0]


def test_a_place_that_cannot_be_used_is_said_once(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with AnswerCache(tmp_path / "file" / "answers", said.append) as cache:
        cache.keep([row()])
        assert cache.find(JUDGE, CONTENT) == {}
    assert len(said) == 1
    assert "is left alone" in said[0]


def test_a_full_disk_is_said_once_and_earlier_answers_stay(path: Path, said: list[str]) -> None:
    with AnswerCache(path) as cache:
        cache.keep([row()])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with AnswerCache(path, said.append) as cache:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            cache.keep([row("q", "x" * 200_000)])
            cache.keep([row("r")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(said) == 1
    assert "the run goes on without it" in said[0]
    with AnswerCache(path) as cache:
        assert cache.find(JUDGE, CONTENT) == {"p": "{}"}


def test_judges_that_no_run_used_for_long_are_forgotten(path: Path) -> None:
    with AnswerCache(path) as cache:
        cache.keep([row(), row()._replace(judge=b"k" * 32)])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE judges SET used = date('now', ?)", (f"-{FORGET_DAYS} days",))
    database.close()
    with AnswerCache(path) as cache:
        assert cache.find(JUDGE, CONTENT)  # used again, just in time
    with sqlite3.connect(path) as database:
        old = (f"-{FORGET_DAYS + 1} days", b"k" * 32)
        database.execute("UPDATE judges SET used = date('now', ?) WHERE digest = ?", old)
    database.close()
    with AnswerCache(path) as cache:
        assert (cache.size().answers, cache.size().judges) == (1, 1)


def test_clearing_deletes_all_versions_but_not_under_a_run(path: Path) -> None:
    assert clear_answers(path) == 0
    with AnswerCache(path) as cache:
        cache.keep([row()])
        with pytest.raises(UsageError, match="a run is using the answer cache"):
            clear_answers(path)
    path.with_name("answers-0.sqlite3").write_bytes(b"old")
    assert clear_answers(path) > 4096
    assert [each.name for each in path.parent.iterdir()] == ["lock"]
