"""Verification: whatever is changed, taken, put in or swapped, it shows."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_records import TEXT, clear, firing

from llm_judge.errors import StoreError
from llm_judge.store.chain import link, new_part
from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.erasure import Scope, purge
from llm_judge.store.lookups import Filter
from llm_judge.store.reviews import Review, add_review
from llm_judge.store.verification import verify
from llm_judge.verdict import Outcome

FIRES = firing()
RULE = "garden/plants#R1"


def fill(store: DecisionStore) -> None:
    """Every kind of entry, and each way of being erased."""
    store.put_many([(clear(number), None) for number in range(3)])
    store.put(FIRES, TEXT.encode())
    store.put(firing("other"), TEXT.encode())
    for note in ("a note", None):
        add_review(store.database, Review(FIRES.decision_id, RULE, Outcome.CLEAR, "ana", note=note))
    purge(store.database, Filter(decision="d1"), Scope.ALL, "asked")
    purge(store.database, Filter(item="other"), Scope.CONTENT, "age")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "records.sqlite3"
    with DecisionStore(path, store_content=True) as store:
        fill(store)
    return path


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path / "copy.sqlite3"))


def problems(path: Path) -> list[str]:
    with DecisionStore(path) as store:
        return [problem.what for problem in verify(store.database).problems]


def change(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        assert database.execute(statement, values).rowcount != 0, "the test changes nothing"
    database.close()


def test_a_store_that_nobody_touched_is_good(keeping: DecisionStore) -> None:
    fill(keeping)
    found = verify(keeping.database)
    assert found.problems == []
    assert found.kinds == {"decision": 5, "review": 2, "erasure": 2}
    assert (found.erased, found.contents, found.sequence) == (1, 1, 9)


def test_an_empty_store_is_good(store: DecisionStore) -> None:
    assert verify(store.database).good
    assert verify(store.database, (1, "0" * 64)).problems


def cells(path: Path) -> list[tuple[str, int, str]]:
    """Every cell of our tables that holds something."""
    database = sqlite3.connect(path)
    found = []
    for table in ("chain_head", "entries", "decisions", "findings", "reviews", "contents"):
        rows = database.execute(f"SELECT rowid, * FROM {table}")  # noqa: S608  # names from the line above
        names = [column[0] for column in rows.description][1:]
        found += [
            (table, row[0], name)
            for row in rows
            for name, value in zip(names, row[1:], strict=True)
            if value is not None
        ]
    database.close()
    return found


def test_a_changed_character_shows_in_every_cell(filled: Path, tmp_path: Path) -> None:
    """One copy a table and column, the cell in turn; numbers move by one."""
    seen = set()
    for table, row, column in cells(filled):
        if (table, column) in seen or (table, column) == ("chain_head", "id"):
            continue
        seen.add((table, column))
        path = Path(shutil.copy(filled, tmp_path / "changed.sqlite3"))
        database = sqlite3.connect(path)
        (value,) = database.execute(
            f"SELECT {column} FROM {table} WHERE rowid = ?",  # noqa: S608
            (row,),
        ).fetchone()
        middle = len(value) // 2 if isinstance(value, str | bytes) else 0
        if isinstance(value, str):
            value = value[:middle] + ("b" if value[middle] == "a" else "a") + value[middle + 1 :]
        elif isinstance(value, bytes):
            value = value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
        else:
            value += 100
        with database:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))  # noqa: S608
        database.close()
        assert problems(path), f"{table}.{column}"
    assert len(seen) > 25


def test_an_index_that_says_other_than_its_table_shows(filled: Path, tmp_path: Path) -> None:
    """Look-ups go by indexes: a review that its index does not know is not shown to anybody."""
    with closing(sqlite3.connect(filled)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        named = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_reviews_decision_id'"
        (page,) = database.execute(named).fetchone()
    data = bytearray(filled.read_bytes())
    data[data.index(FIRES.decision_id.encode(), (page - 1) * size, page * size)] ^= 1
    path = tmp_path / "a"
    path.write_bytes(data)
    assert "the file is damaged" in " ".join(problems(path))


def everything(path: Path) -> list[tuple[object, ...]]:
    """All that a reader is told."""
    with DecisionStore(path) as store:
        shown = [store.get(id) for id in ("d0", "d1", "d2", FIRES.decision_id)]
        return [
            *((s.record, s.reviews, s.erased, s.hash, s.sequence) for s in shown if s),
            *map(repr, store.latest()),
        ]


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_file_shows_or_is_nowhere_read(
    place: float, bit: int, filled: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(filled.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path = tmp_path_factory.mktemp("flipped") / "a"
    path.write_bytes(data)
    try:
        found = problems(path)
    except StoreError:
        return
    if not found:
        assert everything(path) == everything(filled)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM entries WHERE sequence = 3", "entry 3 is missing"),
        ("DELETE FROM entries WHERE sequence = 9", "the chain ends at entry 8 and should at 9"),
        ("DELETE FROM entries WHERE sequence = 1", "entry 1 is missing"),
        ("UPDATE entries SET payload = NULL, payload_salt = NULL WHERE sequence = 3", "no erasure says why"),
        ("UPDATE entries SET private = NULL, private_salt = NULL WHERE sequence = 4", "no erasure says why"),
        ("UPDATE entries SET payload = NULL WHERE sequence = 3", "the salt is not"),
        (
            "UPDATE entries SET payload = NULL, payload_salt = NULL WHERE kind = 'erasure'",
            "no erasure says why",
        ),
        ("UPDATE entries SET erased_by = 9 WHERE sequence = 3", "an erasure that does not name it"),
        ("UPDATE entries SET erased_by = NULL WHERE sequence = 2", "another erasure"),
        ("UPDATE entries SET payload = 'no json' WHERE sequence = 3", "payload was changed"),
        ("UPDATE entries SET payload = '{}', payload_salt = '00' WHERE sequence = 2", "it is still there"),
        ("UPDATE entries SET kind = 'erasure' WHERE sequence = 3", "its hash is not that of what it holds"),
        (
            "UPDATE entries SET hash = zeroblob(32) WHERE sequence = 3",
            "its hash is not that of what it holds",
        ),
        ("UPDATE entries SET recorded_at = X'ff00' WHERE sequence = 3", "it cannot be read"),
        ("DELETE FROM decisions WHERE sequence = 3", "its row in `decisions` does not follow from it"),
        ("DELETE FROM findings", "its row in `findings` does not follow from it"),
        ("DELETE FROM reviews", "its row in `reviews` does not follow from it"),
        ("UPDATE decisions SET created_at = 'soon' WHERE sequence = 3", "it cannot be read"),
        ("INSERT INTO findings VALUES (77, 'a#b', 'a', 'violates')", "has 3 rows and should have 2"),
        ("INSERT INTO contents VALUES ('abc', X'00')", "belongs to no decision"),
        ("DELETE FROM contents", "is missing"),
    ],
)
def test_what_is_taken_put_in_or_rewritten_is_named(copy: Path, statement: str, what: str) -> None:
    change(copy, statement)
    assert any(what in problem for problem in problems(copy)), problems(copy)


def test_two_swapped_payloads_show(copy: Path) -> None:
    columns = "payload, payload_salt, payload_digest"
    statement = f"""UPDATE entries SET ({columns}) =
        (SELECT {columns} FROM entries e WHERE e.sequence = 4 - entries.sequence) WHERE sequence IN (1, 3)"""  # noqa: S608
    change(copy, statement)
    assert "its hash is not that of what it holds" in problems(copy)


def test_a_forged_entry_is_not_followed_by_the_next(copy: Path) -> None:
    """Its payload, salt, digest and hash fit each other; only the entry after it knows better."""
    forged = new_part({**clear(2).as_json(), "policies": {}})
    database = sqlite3.connect(copy)
    place = "previous_hash, sequence, kind, id, recorded_at"
    row = database.execute(f"SELECT {place} FROM entries WHERE sequence = 3").fetchone()  # noqa: S608
    database.close()
    columns = "payload = ?, payload_salt = ?, payload_digest = ?, hash = ?"
    values = (forged.text, forged.salt, forged.digest, link(*row, forged.digest, None))
    change(copy, f"UPDATE entries SET {columns} WHERE sequence = 3", *values)  # noqa: S608
    assert problems(copy) == ["it does not follow the entry before it"]


def test_the_lost_end_is_an_error(copy: Path) -> None:
    change(copy, "DELETE FROM chain_head")
    with pytest.raises(StoreError, match="lost the end of its chain"):
        problems(copy)


def test_an_anchor_that_was_kept_elsewhere_holds_or_shows(file_store: Callable[..., DecisionStore]) -> None:
    store = file_store()
    store.put(clear(1))
    noted = verify(store.database)
    store.put(clear(2))
    assert verify(store.database, (noted.sequence, noted.hash)).good
    assert verify(store.database, (noted.sequence, "0" * 64)).problems
    assert verify(store.database, (3, noted.hash)).problems


def test_only_the_first_hundred_problems_are_kept(
    file_store: Callable[..., DecisionStore], tmp_path: Path
) -> None:
    store = file_store("many")
    store.put_many([(clear(number), None) for number in range(700)])
    change(tmp_path / "many", "UPDATE entries SET payload = '1'")
    found = verify(store.database)
    assert (len(found.problems), found.sequence) == (100, 700)
