"""A calibration file: it gives back what was written, and is refused where it does not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from samples import compiled, make_calibration, make_entry, make_policy

from llm_judge.calibration import (
    Calibration,
    Entry,
    Identity,
    Method,
    identity_of,
    read_calibration,
    write_calibration,
)
from llm_judge.engines.protocol import EngineInfo
from llm_judge.errors import OutputError, UsageError

AREA = "safety/hate"
HELD = {
    Method.TEMPERATURE: make_entry(AREA, (0.3, 0.8), precision_95=0.9, recall_90=None),
    Method.ISOTONIC: Entry(
        key=AREA, method=Method.ISOTONIC, knots=(0.2, 0.6), values=(0.1, 0.9), n=9, positives=4, thresholds={}
    ),
}
FITTED = {method: make_calibration(entry, shared={"recall_90": 0.4}) for method, entry in HELD.items()}
MINE = FITTED[Method.ISOTONIC].identity


@pytest.mark.parametrize("method", Method)
def test_a_file_gives_back_what_was_written(tmp_path: Path, method: Method) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(FITTED[method], path)
    again = read_calibration(path)
    assert again == FITTED[method]
    assert again.digest == FITTED[method].digest
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.json"]


def test_the_digest_is_of_what_it_says() -> None:
    assert FITTED[Method.TEMPERATURE].digest != FITTED[Method.ISOTONIC].digest
    data = FITTED[Method.TEMPERATURE].model_dump(mode="json", by_alias=True)
    assert (
        Calibration.model_validate_json(json.dumps(data, indent=4)).digest
        == FITTED[Method.TEMPERATURE].digest
    )


@pytest.mark.parametrize(("read", "mended"), [(0.0, 0.1), (0.2, 0.1), (0.4, 0.5), (0.6, 0.9), (1.0, 0.9)])
def test_steps_by_hand(read: float, mended: float) -> None:
    assert HELD[Method.ISOTONIC].probability(read) == pytest.approx(mended)
    assert HELD[Method.TEMPERATURE].probability(read) == pytest.approx(read, abs=1e-5)  # a temperature of 1


def test_a_policy_without_thresholds_of_its_own_takes_those_over_all_areas() -> None:
    calibration = make_calibration(
        HELD[Method.TEMPERATURE], shared={"precision_95": 0.5, "recall_90": 0.4}, left_out={"a/b": "too few"}
    )

    def at(policy: str, name: str) -> float | None:
        found = calibration.threshold(policy, name)
        return found.at if found else -1.0

    assert (at(AREA, "precision_95"), at("a/b", "precision_95")) == (0.9, 0.5)
    assert (at(AREA, "recall_90"), at("a/b", "recall_90")) == (None, 0.4)  # its own, though not reached
    assert at("a/b", "nosuch") == -1.0
    assert (calibration.why_not_own("a/b"), calibration.why_not_own("c/d")) == (
        "too few",
        "it was not calibrated",
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"policy": "q" * 64}, "made for another policy: policy `pppppppppppp`, not `qqqqqqqqqqqq`"),
        ({"prompt": "q"}, "made for another prompt"),
        ({"model": "q"}, "made for another model"),
        ({"adapter": "a" * 64}, "made for another adapter: adapter none, not `aaaaaaaaaaaa`"),
        ({"data": "q"}, "made for another data"),
        ({"policy": "q", "model": "q"}, "made for another policy and model: policy"),
    ],
)
def test_a_calibration_of_something_else_is_refused(other: dict[str, str], message: str) -> None:
    calibration = FITTED[Method.TEMPERATURE]
    calibration.refuse_other(MINE)
    with pytest.raises(UsageError, match=message) as refused:
        calibration.refuse_other(MINE.model_copy(update=other))
    assert "calibrate again" in (refused.value.hint or "")


def test_what_a_judge_is_made_of_says_what_it_belongs_to() -> None:
    policies = compiled(make_policy())
    engine = EngineInfo("local", "name", "m", "a", "bfloat16", 8192)
    assert identity_of(policies, engine) == Identity(
        policy=policies.digest, prompt=policies.prompt_digest, model="m", adapter="a"
    )


def broken(change: dict[str, Any]) -> str:
    data = FITTED[Method.ISOTONIC].model_dump(mode="json", by_alias=True)
    data["entries"][0].update(change)
    return json.dumps(data)


def doubled() -> str:
    data = FITTED[Method.ISOTONIC].model_dump(mode="json", by_alias=True)
    return json.dumps(data | {"entries": data["entries"] * 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a calibration: as a whole: invalid json"),
        ("[]", "is not a calibration: as a whole"),
        ("[" * 100_000, "is not a calibration: as a whole"),
        ('{"schema": 2}', "is not a calibration: `schema`"),
        (broken({"thresholds": {"recall_90": {"at": 1.5}}}), r"thresholds.recall_90.at"),
        (broken({"knots": [0.5, 0.5], "values": [0.1, 0.2]}), "knots must rise"),
        (broken({"method": "temperature", "temperature": None}), "a temperature is missing"),
        (broken({"band": {"clear_below": 0.9, "fires_at": 0.1}}), "clear_below must not be above fires_at"),
        (broken({"extra": 1}), "entries.0.extra"),
        (doubled(), "`safety/hate` has two entries"),
    ],
    ids=range(10),
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as refused:
        read_calibration(path)
    assert "\n" not in refused.value.message


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        read_calibration(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        read_calibration(tmp_path)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="is not a calibration: as a whole"):
        read_calibration(tmp_path / "binary")
    with pytest.raises(OutputError, match=r"cannot write .*: no such file"):
        write_calibration(FITTED[Method.TEMPERATURE], tmp_path / "none" / "calibration.json")
