"""Records for tests of the store: one that fires, with words in it, and as many as wanted that are clear."""

from __future__ import annotations

from dataclasses import replace

from samples import compiled, make_content, make_policy, make_rule, opened, record

from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord

TEXT = "Please drown it 4417."
_ANSWER = {
    "evidence": [1],
    "exemption": "none",
    "severity": 2,
    "rationale": "It says 4417.",
    "verdict": "violates",
}
_ENGINE = opened(
    ("R1", "drown", {"yes": 0.95, "no": 0.05}), ("*", "", {"no": 0.98}), completions=[("drown", _ANSWER)]
)
_POLICY = make_policy(rules=(make_rule("R1"), make_rule("R2", ("satire",))))
FIRING_JUDGE = Judge(compiled(_POLICY), _ENGINE)


def firing(id: str = "fires", text: str = TEXT) -> DecisionRecord:
    """A record whose rule R1 fires, with a quote and a rationale; its content is ``text``."""
    return FIRING_JUDGE.judge(make_content(text, id=id))


def clear(number: int, when: str = "2026-05-01T00:00:00+00:00") -> DecisionRecord:
    """A record that allows; its ids come from the number."""
    return replace(record(f"item-{number}"), decision_id=f"d{number}", created_at=when)
