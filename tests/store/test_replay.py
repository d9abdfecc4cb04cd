"""Replay: the same decision is the same action for the same reasons, whatever the probabilities do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from samples import JUDGE
from stored_records import FIRING_JUDGE, TEXT, clear, firing

from llm_judge.content.content import Modality
from llm_judge.errors import ContentDamaged, UsageError
from llm_judge.judge import Explain, Judge, JudgeSettings
from llm_judge.store.replay import Replay, content_of, replay

THEN = json.loads(json.dumps(firing().as_json()))
AGAIN = Judge(FIRING_JUDGE.compiled, FIRING_JUDGE.engine, JudgeSettings(explain=Explain.NEVER))


def again(then: dict[str, Any], judge: Judge = AGAIN) -> Replay:
    return replay(judge, then, content_of(then, TEXT.encode()))


def test_the_same_judge_decides_the_same() -> None:
    done = again(THEN)
    assert (done.same, done.run, done.largest_shift) == (True, (), 0.0)
    assert done.record.decision_id == THEN["decision_id"]


def test_a_probability_may_move() -> None:
    then = json.loads(json.dumps(THEN))
    then["verdicts"][0]["probability"] -= 0.25
    done = again(then)
    assert (done.same, done.largest_shift) == (True, pytest.approx(0.25))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"action": "reduce"}, "action"),
        ({"decision": THEN["decision"] | {"determining_rules": []}}, "determining rules"),
        ({"decision": THEN["decision"] | {"on_error": "review"}}, "on_error"),
        ({"verdicts": [THEN["verdicts"][0] | {"outcome": "clear"}, THEN["verdicts"][1]]}, "garden/plants#R1"),
        (
            {"verdicts": [*THEN["verdicts"][:1], THEN["verdicts"][1] | {"exemption": "satire"}]},
            "garden/plants#R2",
        ),
    ],
)
def test_every_reason_counts(change: dict[str, Any], what: str) -> None:
    done = again(THEN | change)
    assert [difference.what for difference in done.differences] == [what]


def test_another_judge_is_named() -> None:
    done = again(THEN, JUDGE)
    assert not done.same
    assert "policy_digest" in {difference.what for difference in done.run}


def test_what_was_not_judged_or_is_something_else_is_refused() -> None:
    error = JUDGE.error_record("a", ContentDamaged("cut off"), "a.png").as_json()
    with pytest.raises(UsageError, match="could not be judged"):
        content_of(error, b"")
    with pytest.raises(UsageError, match="is not what decision"):
        content_of(clear(1).as_json(), TEXT.encode())


def test_a_text_from_a_file_is_opened_as_one() -> None:
    record = firing()
    then = replace(record, item={**record.item, "source": "note.md"}).as_json()
    content = content_of(then, TEXT.encode())
    assert (content.source, content.modality, content.sha256) == (
        "note.md",
        Modality.TEXT,
        record.item["sha256"],
    )
