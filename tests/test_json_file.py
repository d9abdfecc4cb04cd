"""A file of another command is held to its shape, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from llm_judge.errors import UsageError
from llm_judge.json_file import read_json

SHAPE = TypeAdapter(dict[str, int])


def read(path: Path) -> dict[str, int]:
    return read_json(path, SHAPE, "a list of counts", "count again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"plants": "3"}', "is not a list of counts: `plants`"),
        ("[", "is not a list of counts: as a whole: invalid json"),
        ('{"plants": 3, "pests": 12345}', "is too large for a list of counts"),
    ],
)
def test_a_wrong_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr("llm_judge.json_file._MOST_BYTES", 20)
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as refused:
        read(path)
    assert "\n" not in refused.value.message
    assert refused.value.hint == "count again"


def test_a_right_file_is_data(tmp_path: Path) -> None:
    (tmp_path / "counts.json").write_text('{"plants": 3}')
    assert read(tmp_path / "counts.json") == {"plants": 3}
