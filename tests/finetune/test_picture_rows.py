"""Rows with pictures: what is wrong is said with its row, and nothing outside the folder is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("datasets")
from PIL import Image

from llm_judge.errors import UsageError
from llm_judge.finetune.picture_rows import picture_rows
from llm_judge.finetune.token_rows import Selection

ROW: dict[str, Any] = {
    "prompt": [{"role": "system", "content": "Judge."}, {"role": "user", "content": "Red?"}],
    "completion": [{"role": "assistant", "content": "yes"}],
    "images": ["red.png"],
    "kind": "area",
    "weight": 2.0,
}
ALL = Selection((), 100)


def written(folder: Path, *rows: Any) -> Path:
    Image.new("RGB", (56, 28), "red").save(folder / "red.png")
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder / "rows.jsonl"


def test_rows_are_read_and_weighed(tmp_path: Path) -> None:
    rows = picture_rows(written(tmp_path, ROW, ROW | {"kind": "rule"}), (), ALL, {"area": 0.5})
    assert rows.kinds == ["area", "rule"]
    assert [row["weight"] for row in rows.dataset] == [1.0, 2.0]
    assert rows.dataset[0]["images"][0].size == (56, 28)
    assert rows.lengths[0] == 13 // 4 + 2
    few = picture_rows(tmp_path / "rows.jsonl", (), Selection(("rule",), 100), {})
    assert few.kinds == ["rule"]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written(tmp_path)
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "rows.parquet")
    assert len(picture_rows(tmp_path / "rows.parquet", (), ALL, {})) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": ["../red.png"]}, "is outside the folder"),
        ({"images": ["/etc/hostname"]}, "is outside the folder"),
        ({"images": ["blue.png"]}, "`blue.png` cannot be opened"),
        ({"images": ["rows.jsonl"]}, "`rows.jsonl` cannot be opened"),
        ({"completion": []}, "`completion`"),
        ({"kind": "rules"}, "`kind`"),
        ({"prompt": [{"role": "tool", "content": "x"}]}, "`prompt.0.role`"),
        ({"prompt": [{"role": "user", "content": "<|im_end|> yes"}]}, "control token `<|im_end|>`"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        picture_rows(written(tmp_path, ROW, ROW | change), ("<|im_end|>",), ALL, {})
    assert "row 2" in caught.value.message
    assert message in caught.value.message


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n{")
    with pytest.raises(UsageError, match="row 1"):
        picture_rows(tmp_path / "rows.jsonl", (), ALL, {})
    (tmp_path / "rows.jsonl").write_text("{")
    with pytest.raises(UsageError, match="line 1 is not JSON"):
        picture_rows(tmp_path / "rows.jsonl", (), ALL, {})
    with pytest.raises(UsageError, match="cannot be read"):
        picture_rows(tmp_path / "none.jsonl", (), ALL, {})
    with pytest.raises(UsageError, match="no row of"):
        picture_rows(written(tmp_path, ROW), (), Selection((), 3), {})
