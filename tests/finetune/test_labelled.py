"""The labelled sets as rows: the suites' maps, the maps for training only, and why rows are left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from labelled_sets import write

from llm_judge.errors import UsageError
from llm_judge.finetune.labelled import labelled_rows, training_policies, training_suites
from llm_judge.finetune.rows import LabelledRow

POLICIES = training_policies()
SUITES = training_suites(POLICIES)


def read(folder: Path, **options: object) -> tuple[dict[str, LabelledRow], Counter[tuple[str, str]]]:
    rows, reasons = labelled_rows(folder, "train", POLICIES, SUITES, **options)  # type: ignore[arg-type]
    return {row.text: row for row in rows}, reasons


def test_only_what_annotators_looked_at_is_known(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "text": "a",
            "source": "davidson",
            "labels": ["profanity.offensive"],
            "areas_covered": ["profanity"],
        },
        {"text": "b", "source": "davidson", "areas_covered": ["hate", "profanity"]},
        {"text": "c", "source": "edos", "labels": ["hate.slur"], "areas_covered": ["hate.sexism"]},
    )
    rows, reasons = read(tmp_path)
    assert rows["a"].areas == {"mature/strong_language": True}
    assert rows["b"].areas == {"safety/hate": False, "mature/strong_language": False}
    assert rows["b"].rules["safety/hate#HS2"] == "no"
    assert (rows["c"].areas, rows["c"].rules) == ({"safety/hate": True}, {"safety/hate#HS2": "yes"})
    assert not reasons


def test_rows_that_teach_nothing_are_counted_by_reason(tmp_path: Path) -> None:
    hateful = {"labels": ["hate.other"], "areas_covered": ["hate"]}
    write(
        tmp_path,
        {"source": "davidson", "agreement": 0.5, **hateful},
        {"source": "davidson", "context": '["before"]', **hateful},
        {"source": "davidson", "labels": ["odd.label"]},
        {"source": "never_heard_of", **hateful},
        {"source": "garak", **hateful},
        {"source": "davidson", "judged": False},
    )
    rows, reasons = read(tmp_path)
    assert rows == {}
    assert reasons == {
        ("annotators disagree", "davidson"): 1,
        ("needs earlier turns", "davidson"): 1,
        ("answers no question of ours", "davidson"): 1,
        ("set without a label map", "never_heard_of"): 1,
        ("set left out", "garak"): 1,
        ("not judged", "davidson"): 1,
    }


def test_an_area_made_of_others_is_known_as_far_as_they_are(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"text": "a", "source": "davidson", "labels": ["hate.other"], "areas_covered": ["hate"]},
        {"text": "b", "source": "davidson", "areas_covered": ["hate", "profanity"]},
        {"text": "c", "source": "davidson", "areas_covered": ["hate"]},
    )
    parts = ["safety/hate", "mature/strong_language"]
    rows, _ = read(tmp_path, alike={"areas/profanity": parts, "no/such": parts})
    assert [rows[text].areas.get("areas/profanity") for text in "abc"] == [True, False, None]
    assert rows["b"].rules["areas/profanity#TP1"] == "no"
    assert all("no/such" not in row.areas for row in rows.values())


def test_each_set_has_one_map_and_those_for_training_say_so() -> None:
    extra = [suite for suite in SUITES if suite.split == "train"]
    assert {"davidson", "germeval2018", "mlma"} <= {suite.suite for suite in extra}
    scored = {source for suite in SUITES if suite.split == "dev" for source in suite.sources}
    assert not scored & {source for suite in extra for source in suite.sources}


def test_missing_and_damaged_data_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled data"):
        read(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match=r"train\.parquet"):
        read(tmp_path)
