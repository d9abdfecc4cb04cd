"""Record files of ``judge --out`` into the store; decisions and reviews out of it, as JSONL and Parquet."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Row, Select, select

from llm_judge.durable import reason_of
from llm_judge.errors import OutputError, RecordConflict, UsageError
from llm_judge.store.decision_store import DecisionStore, Put
from llm_judge.store.entries import parsed
from llm_judge.store.lookups import Filter, matching
from llm_judge.store.record_document import checked, joined
from llm_judge.store.reviews import Review, reviews_of
from llm_judge.store.tables import ENTRIES, REVIEWS

_BATCH = 200
_MOST_LINE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file; ``cut`` says that a killed writer left half a line at its end."""

    puts: dict[Put, int] = field(default_factory=lambda: dict.fromkeys(Put, 0))
    conflicts: list[RecordConflict] = field(default_factory=list)
    cut: bool = False


def import_records(
    store: DecisionStore, path: Path, advance: Callable[[int], None] = lambda _: None
) -> Imported:
    """Put every record of a JSONL file; safe to stop and to run again.

    Args:
        advance: told how many lines were dealt with.

    Raises:
        UsageError: the file cannot be read, or a line is no record; names the line. Batches before it stay.
        StoreUnavailable: as ``put``; run it again.
    """
    done = Imported()
    batch: list[Mapping[str, Any]] = []

    def put() -> None:
        for result in store.put_many([(record, None) for record in batch]):
            if isinstance(result, RecordConflict):
                done.conflicts.append(result)
            else:
                done.puts[result] += 1
        advance(len(batch))
        batch.clear()

    for record in _records(path, done):
        batch.append(record)
        if len(batch) == _BATCH:
            put()
    put()
    return done


def _records(path: Path, done: Imported) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as handle:
            number = 0
            while line := handle.readline(_MOST_LINE_BYTES + 1):
                number += 1
                place = f"{path}:{number}"
                if len(line) > _MOST_LINE_BYTES:
                    raise UsageError(f"{place}: the line is over {_MOST_LINE_BYTES // 2**20} MiB", _WHENCE)
                if line.strip() and (data := _parsed(line, place)) is None:
                    done.cut = True
                elif line.strip():
                    yield checked(data, place)
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {reason_of(error)}", "give a JSONL file") from None
    except ValueError:
        raise UsageError(f"cannot read `{path}`: not a usable name", "give a JSONL file") from None


_WHENCE = "records are what `llm-judge judge --out` writes"


def _parsed(line: bytes, place: str) -> Any:
    """One line as data, None for half a line at the end of the file."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        if not line.endswith(b"\n"):
            return None
        raise UsageError(f"{place}: this is not JSON", _WHENCE) from None


@dataclass(frozen=True, slots=True)
class Exported:
    """A decision on its way out."""

    sequence: int
    recorded_at: str
    hash: str
    record: dict[str, Any]


def decisions(store: DecisionStore, wanted: Filter) -> Iterator[Exported]:
    """Every decision that matches, oldest first, without erased ones; a page is held at a time."""
    last = 0
    while True:
        query = matching(wanted).where(ENTRIES.c.sequence > last).order_by(ENTRIES.c.sequence).limit(_BATCH)
        rows = store.database.read(partial(_all, query=query))
        for row in rows:
            last = row.sequence
            yield Exported(
                row.sequence, row.recorded_at, row.hash, joined(parsed(row.payload), parsed(row.private))
            )
        if len(rows) < _BATCH:
            return


def _all(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    return connection.execute(query).all()


def reviews(store: DecisionStore, wanted: Filter) -> Iterator[Review]:
    """Every review of a decision that matches, by decision."""

    def work(connection: Connection) -> list[Review]:
        of = matching(wanted).with_only_columns(ENTRIES.c.id)
        query = select(REVIEWS.c.decision_id).where(REVIEWS.c.decision_id.in_(of)).distinct()
        ids = sorted(connection.execute(query).scalars())
        return [review for id in ids for review in reviews_of(connection, id)]

    yield from store.database.read(work)


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path | None) -> int:
    """Write one object a line, to standard output where there is no path; returns how many.

    Raises:
        OutputError: it cannot be written; an older file stays as it was.
    """
    if path is None:
        return _write_lines(rows, sys.stdout.buffer)
    with _replacing(path) as part, part.open("wb") as handle:
        return _write_lines(rows, handle)


def write_parquet(rows: Iterable[Exported | Review], path: Path) -> int:
    """Write a table, of decisions or of reviews; returns how many rows.

    Raises:
        UsageError: pyarrow is not installed.
        OutputError: it cannot be written; an older file stays as it was.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError("Parquet needs pyarrow", "pip install pyarrow, or name the file .jsonl") from None
    columns = [_columns(row) for row in rows]
    names = columns[0].keys() if columns else ()
    table = pa.table({name: [row[name] for row in columns] for name in names})
    with _replacing(path) as part:
        pq.write_table(table, part, compression="zstd")
    return len(columns)


def _columns(row: Exported | Review) -> dict[str, Any]:
    if isinstance(row, Review):
        return {name: None if value is None else str(value) for name, value in asdict(row).items()}
    record = row.record
    item = record["item"]
    text = {
        "decision_id": record["decision_id"],
        "created_at": record["created_at"],
        "action": record["action"],
        "item_id": item["id"],
        **{name: item.get(name) for name in ("sha256", "modality", "language", "source")},
        "recorded_at": row.recorded_at,
        "hash": row.hash,
        "record": json.dumps(record),
    }
    plain = {name: None if value is None else _utf8(str(value)) for name, value in text.items()}
    return {"sequence": row.sequence, **plain}


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _write_lines(rows: Iterable[Mapping[str, Any]], handle: BinaryIO) -> int:
    number = 0
    for row in rows:
        number += 1
        handle.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
    handle.flush()
    return number


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            yield part
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write `{path}`: {reason_of(error)}", "an older file stays as it was"
        ) from None
