"""Decision record → the reply a client reads. Knows nothing about HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_judge.service.judging import Decided
from llm_judge.service.problems import Code, Problem
from llm_judge.verdict import Outcome


def reply_of(decided: Decided, request_id: str, *, everything: bool) -> dict[str, Any]:
    """Return a decision as JSON data, shaped like ``JudgeReply``.

    Args:
        decided: with the record of a decision, not of an error.
        request_id: of the request it answers.
        everything: whether verdicts of clear rules are listed rather than counted.

    Raises:
        Problem: the record holds no decision; a 200 without one does not exist.
    """
    record, way = decided.record, decided.way
    decision = record.decision
    if decision is None:
        raise Problem(Code.INTERNAL, "an answer without a decision", action=record.action.value)
    # Left out before they are turned into plain data: for a hundred clear rules that takes milliseconds.
    shown = tuple(v for v in record.verdicts if everything or v.outcome is not Outcome.CLEAR or v.explanation)
    data = replace(record, verdicts=shown).as_json()
    fail_mode = None
    if decision.on_error is not None:
        determined = not decision.determining_rules
        fail_mode = {"action": decision.on_error.value, "reason": "abstained", "determined": determined}
    return {
        "request_id": request_id,
        "decision_id": record.decision_id,
        "created_at": record.created_at,
        "item": data["item"],
        "action": data["action"],
        "undecided": decision.undecided,
        "fail_mode": fail_mode,
        "decision": data["decision"],
        "verdicts": data["verdicts"],
        "verdicts_clear": len(record.verdicts) - len(shown),
        "areas": data["areas"],
        "overlays": list(way.key.overlays),
        "arm": way.arm.value,
        "revision": way.revision.guidelines.revision,
        "policies": data["policies"],
        "run": data["run"],
        "timings_ms": data["timings_ms"],
    }
