"""What to judge: texts, files, folders and JSONL rows, one lazy item each.

An item is opened only when its turn comes, so a million rows cost no memory, and an item that cannot
be opened is that item's error and nobody else's. Knows nothing about policies or engines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llm_judge.content.content import Content
from llm_judge.content.files import read_head
from llm_judge.content.open import Limits, iter_files, open_content
from llm_judge.content.text import from_text
from llm_judge.errors import ContentDamaged, ContentError, ContentNotFound, ContentTooLarge, UsageError
from llm_judge.record import DecisionRecord

MAX_ROW_BYTES = 16 * 1024 * 1024
MAX_ID_CHARACTERS = 500
# Words that end like this are a forgotten file rather than a text, even with spaces in them.
_FILE_SUFFIXES = frozenset(
    {".txt", ".md", ".jsonl", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".wav", ".mp3"}
)
_FILE_SUFFIXES |= {".ogg", ".opus", ".flac", ".m4a", ".mp4", ".mov", ".webm", ".mkv", ".avi"}


@dataclass(frozen=True, slots=True)
class Item:
    """Something to judge.

    Attributes:
        id: names its record; unique within a run.
        source: file name shown to people, None for text.
        open: returns the content, or its record where one is there already, or raises ``ContentError``.
        asked: ids of the policies to ask about; None for all.
    """

    id: str
    source: str | None
    open: Callable[[], Content | DecisionRecord]
    asked: frozenset[str] | None = None


def items_from_arguments(inputs: Sequence[str], stdin: BinaryIO, limits: Limits) -> Iterator[Item]:
    """Yield an item for each text, file, folder entry and JSONL row.

    ``-`` reads JSONL rows from ``stdin``; a path ending in ``.jsonl`` is read as rows; any other
    existing path is one item; what is neither is a text.
    """
    seen: set[str] = set()
    for text in inputs:
        for item in _expand(text, stdin, limits):
            yield _unique(item, seen)


def check_arguments(inputs: Sequence[str]) -> None:
    """Find out before anything is judged, or a model loaded, what cannot be read.

    Raises:
        ContentNotFound: an argument looks like a path and is not there, or cannot be read.
        UsageError: a folder holds nothing that can be judged.
    """
    for text in inputs:
        path = _existing(text)
        if path is not None:
            _check_readable(path)
        elif text != "-" and _looks_like_path(text):
            raise ContentNotFound(
                f"no file `{text}`",
                'check the path; to judge these words as text, send {"text": "…"} to `llm-judge judge -`',
            )


def count_items(inputs: Sequence[str]) -> int | None:
    """How many items the arguments stand for, or None when only reading a stream can tell."""
    total = 0
    for text in inputs:
        path = _existing(text)
        if text == "-" or (path is not None and _is_rows(path) and not path.is_file()):
            return None
        if path is not None and path.is_dir():
            total += sum(1 for _ in iter_files(path))
        elif path is not None and _is_rows(path):
            with path.open("rb") as handle:
                total += sum(1 for line in _lines(handle) if line.strip())
        else:
            total += 1
    return total


def rows(lines: Iterable[bytes], folder: Path, name: str, limits: Limits) -> Iterator[Item]:
    """Yield an item for each JSONL row; a bad row is an item that fails when opened.

    A row is an object with ``text`` or ``file`` (relative to ``folder``), and optionally ``id``;
    other keys are left alone. Without an id the row is named ``name:line``.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _row_item(line, number, folder, name, limits)


def _expand(text: str, stdin: BinaryIO, limits: Limits) -> Iterator[Item]:
    if text == "-":
        yield from rows(_lines(stdin), Path(), "stdin", limits)
        return
    path = _existing(text)
    if path is None:
        name = _text_id(text)
        yield Item(name, None, lambda: from_text(text, id=name, max_bytes=limits.text_bytes))
    elif path.is_dir():
        for file in iter_files(path):
            yield _file_item(file, limits)
    elif _is_rows(path):
        try:
            with path.open("rb") as handle:
                yield from rows(_lines(handle), path.parent, path.name, limits)
        except OSError as error:
            raise ContentNotFound(f"cannot read `{text}`: {(error.strerror or '').lower()}") from error
    else:
        yield _file_item(path, limits)


def _lines(handle: BinaryIO) -> Iterator[bytes]:
    """Lines of a stream, an endless one cut at the row cap so that it cannot fill the memory."""
    while line := handle.readline(MAX_ROW_BYTES + 1):
        if len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            while (rest := handle.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line


def _row_item(line: bytes, number: int, folder: Path, name: str, limits: Limits) -> Item:
    place = f"{name}:{number}"
    fallback = place
    try:
        row = _parse_row(line, place)
    except ContentError as error:
        return Item(fallback, place, _raiser(error))
    item_id = row.get("id", fallback)
    if not isinstance(item_id, str | int) or isinstance(item_id, bool) or item_id == "":
        wrong = ContentDamaged(f"{place}: `id` must be a text or a whole number")
        return Item(fallback, place, _raiser(wrong))
    if len(str(item_id)) > MAX_ID_CHARACTERS:
        wrong = ContentDamaged(f"{place}: `id` is over {MAX_ID_CHARACTERS} characters")
        return Item(fallback, place, _raiser(wrong))
    text, file = row.get("text"), row.get("file")
    if isinstance(text, str) and file is None:
        return Item(str(item_id), None, lambda: from_text(text, id=str(item_id), max_bytes=limits.text_bytes))
    if isinstance(file, str) and text is None:
        return Item(str(item_id), file, lambda: open_content(folder / file, id=str(item_id), limits=limits))
    wrong = ContentDamaged(f"{place}: a row needs either `text` or `file`, as a text")
    return Item(str(item_id), place, _raiser(wrong))


def _parse_row(line: bytes, place: str) -> dict[str, object]:
    if len(line) > MAX_ROW_BYTES:
        raise ContentTooLarge(f"{place}: the row is over {MAX_ROW_BYTES // 2**20} MiB", "send it as a `file`")
    try:
        row = json.loads(line.decode("utf-8-sig"))  # given bytes, json would guess at UTF-16
    except UnicodeDecodeError as error:
        raise ContentDamaged(f"{place}: not valid UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        message = f"{place}: not valid JSON: {error.msg.lower()} at column {error.colno}"
        raise ContentDamaged(message) from error
    except RecursionError as error:
        raise ContentDamaged(f"{place}: not valid JSON: nested too deeply") from error
    except ValueError as error:
        raise ContentDamaged(f"{place}: not valid JSON: a number is too long") from error
    if not isinstance(row, dict):
        raise ContentDamaged(f"{place}: the row is not an object", 'write {"text": "…"} or {"file": "…"}')
    return row


def _file_item(path: Path, limits: Limits) -> Item:
    return Item(str(path), path.name, lambda: open_content(path, id=str(path), limits=limits))


def _unique(item: Item, seen: set[str]) -> Item:
    if item.id not in seen:
        seen.add(item.id)
        return item
    number = 2
    while f"{item.id}#{number}" in seen:
        number += 1
    name = f"{item.id}#{number}"
    seen.add(name)
    error = ContentDamaged(f"the id `{item.id}` was used before", "ids name records and must be unique")
    return Item(name, item.source, _raiser(error))


def _raiser(error: ContentError) -> Callable[[], Content]:
    def raise_it() -> Content:
        raise error

    return raise_it


def _existing(text: str) -> Path | None:
    try:
        path = Path(text)
        return path if text.strip() and path.exists() else None
    except (OSError, ValueError):  # too long for a file name, or holds a NUL: surely a text
        return None


def _is_rows(path: Path) -> bool:
    return path.suffix.lower() == ".jsonl"


def _check_readable(path: Path) -> None:
    if path.is_dir():
        if next(iter_files(path), None) is None:
            raise UsageError(f"the folder `{path}` holds no file that can be judged")
    elif not (_is_rows(path) and path.is_fifo()):  # rows may come through a named pipe
        read_head(path)


def _looks_like_path(text: str) -> bool:
    if not text or "\0" in text or "\n" in text or "://" in text:
        return False
    suffix = Path(text).suffix
    if any(character.isspace() for character in text):
        return suffix.lower() in _FILE_SUFFIXES
    has_suffix = 1 < len(suffix) <= 6 and suffix[1:].isalnum()
    return has_suffix or text.startswith(("/", "./", "../", "~"))


def _text_id(text: str) -> str:
    """Name a text after its digest: a record must not hold content that nobody asked to keep."""
    return "text-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
