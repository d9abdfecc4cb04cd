"""What changed in the cases is one note, and never a change of meaning."""

from __future__ import annotations

import pytest

from llm_judge.policy.case_diff import case_change, with_cases
from llm_judge.policy.diff import Change, PolicyDiff

HEAD = "schema: 1\npolicy: demo/refund\ncases:\n"
ONE = '  - {content: "They never came.", expect: violates, rule: RA1}\n'
TWO = '  - {id: b, content: "I waited.", expect: clear}\n'


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (ONE + TWO, None),
        ("  # a comment\n" + TWO + ONE, None),
        (ONE, "cases: 0 changed, 0 added, 1 removed"),
        (ONE + TWO.replace("I waited", "I wait"), "cases: 1 changed, 0 added, 0 removed"),
        (
            ONE.replace("RA1", "RA2") + TWO + TWO.replace("id: b, ", ""),
            "cases: 1 changed, 1 added, 0 removed",
        ),
        ("  - {content: [}", None),
        ("  - {expct: clear}", None),
    ],
)
def test_cases_are_counted(new: str, said: str | None) -> None:
    assert case_change(HEAD + ONE + TWO, HEAD + new) == said


def test_a_note_is_added_to_what_else_changed() -> None:
    old, new = (
        {"a/b": HEAD + ONE, "c/d": HEAD + ONE},
        {"a/b": HEAD + TWO, "c/d": HEAD + TWO, "e/f": HEAD + ONE},
    )
    changed = PolicyDiff("c/d", "changed", (Change(None, "severity 3 → 4"),))
    one, two = with_cases([changed], old, new)
    note = Change(None, "cases: 0 changed, 1 added, 1 removed", meaning=False)
    assert (one.policy, one.state, one.changes, one.meaning) == ("a/b", "changed", (note,), False)
    assert two.changes == (*changed.changes, note)
