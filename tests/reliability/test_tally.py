"""What must never happen is seen when it does: every count is fed one case of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_judge.reliability.connection import Answer
from llm_judge.reliability.known import CANNOT_TELL, FIRES, HARMLESS, Known
from llm_judge.reliability.tally import Kept, Tally, tally
from llm_judge.reliability.traffic import Sent
from llm_judge.store.lookups import item_key

FAIL_MODE = {"action": "review", "reason": "abstained", "determined": True}


def sent(id: str, known: Known, status: int = 200, body: Any = None, **changes: Any) -> Sent:
    answer = Answer(status, {}, json.dumps(body).encode(), 0.0, 1.0)
    return Sent(id, known, 0.0, answer if body is not None else None, **changes)


def decision(id: str, known: Known, **changes: Any) -> dict[str, Any]:
    """A reply as the service would give it."""
    empty: dict[str, Any] = {"item": {}, "decision": {}, "policies": {}, "run": {}, "timings_ms": {}}
    lists: dict[str, Any] = {"verdicts": [], "areas": [], "overlays": []}
    run = {"arm": "stable", "revision": "1.0.0"}
    said = {
        "request_id": "r",
        "decision_id": id,
        "created_at": "",
        "action": known.action,
        "verdicts_clear": 0,
    }
    fail_mode = FAIL_MODE if known.undecided else None
    return {**empty, **lists, **run, **said, "undecided": known.undecided, "fail_mode": fail_mode, **changes}


def error(fail_mode: Any = FAIL_MODE) -> dict[str, Any]:
    said = {"code": "record_not_kept", "message": "m", "hint": None, "request_id": "r"}
    return {"error": {**said, "fail_mode": fail_mode}}


def kept(decision_id: str, item: str) -> Kept:
    return Kept(decision_id, item_key(item))


def counts(found: Tally) -> tuple[int, int, int]:
    return found.lost, found.duplicated, found.wrong_typed


def test_a_good_run_counts_nothing_wrong() -> None:
    asked = [
        sent("a", FIRES, body=decision("1", FIRES)),
        sent("b", CANNOT_TELL, body=decision("2", CANNOT_TELL)),
        sent("c", HARMLESS, 503, error()),
        sent("d", HARMLESS),
        sent("e", HARMLESS, left=True),
    ]
    found = tally(asked, [kept("1", "a"), kept("2", "b"), kept("3", "e")])
    assert found.good and (found.sent, found.decided, found.kept) == (5, 2, 3)
    assert (found.unanswered, found.left, found.fail_modes) == (1, 1, 2)
    assert found.errors == {"record_not_kept": 1}


def test_an_answer_without_a_record_is_lost() -> None:
    assert counts(tally([sent("a", FIRES, body=decision("1", FIRES))], [])) == (1, 0, 0)


def test_a_decision_given_for_two_items_is_a_duplicate() -> None:
    asked = [sent(id, FIRES, body=decision("1", FIRES)) for id in "ab"]
    assert counts(tally(asked, [kept("1", "a")])) == (0, 1, 0)


def test_a_second_record_is_a_duplicate_unless_it_was_asked_for() -> None:
    twice = [kept("1", "a"), kept("2", "a")]
    one = sent("a", FIRES, body=decision("1", FIRES))
    assert counts(tally([one], twice)) == (0, 1, 0)
    assert counts(tally([one, sent("a", FIRES, body=decision("2", FIRES))], twice)) == (0, 0, 0)
    again = sent("a", FIRES, body=decision("2", FIRES), again=True)
    assert counts(tally([one, again], twice)) == (0, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        sent("a", FIRES, body=decision("1", HARMLESS)),  # allowed what was to be removed
        sent("a", HARMLESS, body=decision("1", HARMLESS, fail_mode=FAIL_MODE)),
        sent("a", CANNOT_TELL, body=decision("1", CANNOT_TELL, fail_mode=None)),
        sent("a", FIRES, body={"ok": True}),
        sent("a", FIRES, 503, error(fail_mode=None)),
        sent("a", FIRES, 500, "Internal Server Error"),
    ],
    ids=[
        "allowed",
        "fail mode for nothing",
        "silent fail mode",
        "no decision",
        "silent error",
        "no typed error",
    ],
)
def test_what_is_not_a_right_answer_is_wrong_typed(wrong: Sent) -> None:
    found = tally([wrong], [kept("1", "a")])
    assert counts(found) == (0, 0, 1) and not found.good and found.wrong
