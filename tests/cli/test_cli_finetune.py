"""`llm-judge finetune data` as a person uses it: one good run, and every wrong argument as one clear line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Run

pytest.importorskip("sklearn")
pa = pytest.importorskip("pyarrow")

RECIPE = "schema: 1\nstage: data\nown_rows: 6\ndeals: 1\n"


def sets(folder: Path) -> Path:
    """One mild row in each split."""
    import pyarrow.parquet as pq

    for split, source in (("train", "davidson"), ("dev", "told_br")):
        row = {"id": split, "source": source, "lang": "en", "text": f"Roses in {split}.", "violates": False}
        schema = pa.schema(
            [
                *((name, pa.string()) for name in ("id", "source", "lang", "text")),
                *((name, pa.list_(pa.string())) for name in ("labels", "areas_covered")),
                ("violates", pa.bool_()),
            ]
        )
        table = pa.Table.from_pylist([{**row, "labels": [], "areas_covered": ["hate"]}], schema=schema)
        pq.write_table(table, folder / f"{split}.parquet")
    return folder


def test_data_writes_a_folder_and_says_what_is_in_it(folder: Path, llm_judge: Callable[..., Run]) -> None:
    (folder / "my.yaml").write_text(RECIPE)
    words = ("finetune", "data", "my.yaml", "--data", sets(folder), "--out", "out")
    done = llm_judge(*words)
    assert done.code == 0
    assert "reads.parquet" in done.out
    assert "held-out rows, in out" in done.err
    assert {path.name for path in Path("out").iterdir()} >= {
        "manifest.json",
        "statistics.html",
        "pairs.parquet",
    }
    again = llm_judge(*words)
    assert (again.code, again.out) == (2, "")
    assert "`out` already holds training data" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "sets"), "there is no folder to write"),
        (("--out", "out"), "there are no labelled sets"),
        (("--data", "nowhere", "--out", "out"), "not a folder"),
        (("--data", "empty", "--out", "out"), "no labelled data at"),
        (("wrong.yaml", "--data", "sets", "--out", "out"), "wrong.yaml:3:1"),
        (("none.yaml", "--data", "sets", "--out", "out"), "none.yaml"),
        (("my.yaml", "--data", "sets", "--out", "my.yaml"), "cannot write `my.yaml`"),
        (("my.yaml", "--data", "sets", "--out", "out", "--misses", "empty"), "is no eval run"),
        (("my.yaml", "--data", "sets", "--out", "out", "--overrides", "my.yaml"), "line 1 is not JSON"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(
    folder: Path,
    llm_judge: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.delenv("LLM_JUDGE_DATA", raising=False)
    for name in ("sets", "empty"):
        (folder / name).mkdir()
    sets(folder / "sets")
    (folder / "my.yaml").write_text(RECIPE)
    (folder / "wrong.yaml").write_text(f"{RECIPE}sead: 1\n".replace("own_rows: 6", "own_row: 6"))
    done = llm_judge("finetune", "data", *words)
    assert done.code == 2
    assert message in done.err
    assert not (folder / "out" / "manifest.json").exists()


def test_a_missing_extra_is_named(
    folder: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    done = llm_judge("finetune", "data")
    assert done.code == 2
    assert "fine-tuning needs" in done.err
