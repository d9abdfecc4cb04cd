"""One writer at a time, whole pieces only, and an older file stays where a newer one cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_judge.durable import AppendFile, replace_file
from llm_judge.errors import OutputError


def test_pieces_are_appended_and_can_be_cut_back(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "a")
    file.append(b"one\n")
    file.append(b"two\n")
    assert file.size == 8
    file.cut(4)
    file.close()
    assert (tmp_path / "a").read_bytes() == b"one\n"


def test_only_one_process_writes(tmp_path: Path) -> None:
    first = AppendFile(tmp_path / "a")
    with pytest.raises(OutputError, match="another process"):
        AppendFile(tmp_path / "a")
    first.close()
    AppendFile(tmp_path / "a").close()


def test_a_full_disk_leaves_no_half_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AppendFile(tmp_path / "a")
    file.append(b"whole\n")
    write = os.write
    pieces = iter([2])

    def full(handle: int, data: bytes) -> int:
        for most in pieces:
            return write(handle, bytes(data)[:most])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="after 1 new record: no space left"):
        file.append(b"broken\n", "after 1 new record")
    monkeypatch.undo()
    file.close()
    assert (tmp_path / "a").read_bytes() == b"whole\n"


def test_a_device_is_neither_locked_nor_cut() -> None:
    first, second = AppendFile(Path("/dev/null")), AppendFile(Path("/dev/null"))
    first.append(b"x")
    first.cut(0)
    assert (first.size, second.regular) == (0, False)
    first.close()
    second.close()


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(OutputError, match="cannot write"):
        replace_file(tmp_path / "a" / "b", "x")
    assert (tmp_path / "a").read_text() == "new"
