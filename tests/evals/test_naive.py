"""The naive judge reads its own free text: what is not a verdict is not one."""

from __future__ import annotations

import pytest

from llm_judge.evals.naive import _read


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ('{"violates": true, "reason": "a"}', True),
        ('Sure! {"violates": false}', False),
        ('{"violates": "yes"}', None),
        ('{"verdict": true}', None),
        ("true", None),
        ("", None),
        ('{"violates": true', None),
    ],
)
def test_only_a_boolean_in_json_counts(answer: str, verdict: bool | None) -> None:
    assert _read(answer) is verdict
