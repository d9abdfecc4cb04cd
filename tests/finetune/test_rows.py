"""What is known about a row, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_judge.errors import UsageError
from llm_judge.finetune.rows import labelled_rows, own_rows
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder

pytest.importorskip("pyarrow")


def write(folder: Path, *rows: dict[str, object]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    base = {"source": "made", "lang": "en", "context": "[]", "violates": True, "agreement": None}
    pq.write_table(pa.Table.from_pylist([{**base, **row} for row in rows]), folder / "train.parquet")


def test_only_covered_areas_are_answered(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"text": "a", "labels": ["hate.slur"], "areas_covered": ["hate", "profanity"]},
        {"text": "b", "labels": [], "areas_covered": ["fraud_spam"], "violates": False},
    )
    rows = {row.text: row for row in labelled_rows(tmp_path, "train", 10, seed=1)}
    profanity = {"areas/profanity": False, "mature/strong_language": False}
    assert rows["a"].areas == {"safety/hate": True, **profanity}
    assert rows["a"].rules == {"safety/hate#HS2": "yes"}
    assert rows["b"].areas == {"regulated/fraud": False}
    assert rows["b"].rules == {}


@pytest.mark.parametrize(
    "row",
    [
        {"labels": ["hate.political"], "areas_covered": ["hate"]},  # our policy does not cover it
        {"labels": ["hate.slur"], "areas_covered": ["hate"], "agreement": 0.5},
        {"labels": ["hate.slur"], "areas_covered": ["hate"], "context": '["before"]'},
        {"labels": [], "areas_covered": ["advice"], "violates": False},
    ],
)
def test_rows_that_answer_nothing_are_left_out(tmp_path: Path, row: dict[str, object]) -> None:
    write(tmp_path, {"text": "a", **row})
    assert labelled_rows(tmp_path, "train", 10, seed=1) == []


def test_the_sample_is_balanced_and_repeatable(tmp_path: Path) -> None:
    many = [{"text": f"n{i}", "labels": [], "areas_covered": ["hate"], "violates": False} for i in range(50)]
    write(tmp_path, *many, {"text": "p", "labels": ["hate.slur"], "areas_covered": ["hate"]})
    rows = labelled_rows(tmp_path, "train", 5, seed=3)
    assert sum(row.areas["safety/hate"] for row in rows) == 1
    assert len(rows) == 6
    assert rows == labelled_rows(tmp_path, "train", 5, seed=3)


def test_missing_data_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled data"):
        labelled_rows(tmp_path, "train", 5, seed=1)


def test_own_rows_cite_known_rules_and_their_splits_do_not_meet() -> None:
    policies = (
        *load_policies([content_folder("policies")]),
        *load_policies([content_folder("finetune") / "areas"]),
    )
    keys = {f"{p.policy}#{rule.id}" for p in policies for rule in p.rules}
    train, dev = own_rows(policies, "train"), own_rows(policies, "dev")
    assert len(train) > 800
    assert len(train) / 12 < len(dev) < len(train) / 4
    assert not {row.text for row in train} & {row.text for row in dev}
    for row in [*train, *dev]:
        assert row.about is None or row.about in keys, row.about
        assert set(row.rules) <= keys
    shipped = {
        f"{p.policy}#{rule.id}" for p in policies for rule in p.rules if not p.policy.startswith("areas/")
    }
    hits = {key for row in train for key, answer in row.rules.items() if answer == "yes"}
    assert shipped <= hits


def test_what_an_author_did_not_look_at_is_unknown() -> None:
    policies = load_policies([content_folder("policies")])
    rows = [row for row in own_rows(policies, "train") if row.about == "safety/hate#HS1"]
    assert {row.areas["safety/hate"] for row in rows} == {True, False}
    assert all(not row.areas["regulated/fraud"] for row in rows)
    assert all("safety/violent_extremism" not in row.areas for row in rows)  # a neighbour: may overlap
    everyday = [
        row for row in own_rows(policies, "train") if row.about is None and not any(row.areas.values())
    ]
    assert any(set(row.areas) == {policy.policy for policy in policies} for row in everyday)


def test_demo_and_bench_items_are_not_in_the_training_rows() -> None:
    import json

    known = set()
    for name in ("demo", "bench"):
        path = content_folder("evals") / name / "items.jsonl"
        known |= {json.loads(line).get("text") for line in path.read_text(encoding="utf-8").splitlines()}
    rows = own_rows([], "train") + own_rows([], "dev")
    assert not known & {row.text for row in rows}
