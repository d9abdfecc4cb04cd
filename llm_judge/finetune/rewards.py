"""What an answer that a model drew is worth, by the label of its row.

The label is the reward: no model judges the model. Knows nothing about trainers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.compile import EXCEPT, MAX_RATIONALE_CHARACTERS, NO, YES
from llm_judge.finetune.training_rows import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELDS = ("evidence", "exemption", "severity", "rationale", "verdict")
_HIT, _CLEAR = "violates", ("clear", "exempt")
# Of an explanation: what each part that is right adds.
_VERDICT, _EXEMPTION, _EVIDENCE, _SEVERITY = 0.5, 0.2, 0.2, 0.1
_SEVERITIES = 4  # the furthest that two severities are apart


@dataclass(frozen=True, slots=True)
class Rewards:
    """How answers are rewarded.

    Attributes:
        missed_cost: of saying that a rule is not met where it is; a false alarm costs 1, and so does a wrong
            exemption. What cannot be read costs the most of all.
    """

    missed_cost: float

    def of(self, text: str, right: str, kind: str) -> float:
        """What one answer is worth: 1 for the right one, less than 0 for a wrong one.

        Args:
            text: what the model said, control tokens left out.
            right: the label, or the JSON of a right explanation.
            kind: a value of ``Kind``.
        """
        return self._explanation(text, right) if kind == Kind.EXPLANATION else self._read(text, right)

    def _read(self, text: str, right: str) -> float:
        if text not in (YES, NO, EXCEPT):
            return self._worst
        if text == right:
            return 1.0
        return -self.missed_cost if right == YES else -1.0

    def _explanation(self, text: str, right: str) -> float:
        found, wanted = _object(text), json.loads(right)
        if found is None:
            return self._worst
        if found["verdict"] != wanted["verdict"]:
            return -self.missed_cost if wanted["verdict"] == _HIT else -1.0
        apart = min(abs(found["severity"] - wanted["severity"]), _SEVERITIES) / _SEVERITIES
        value: float = _VERDICT + _EXEMPTION * (found["exemption"] == wanted["exemption"])
        value += _EVIDENCE * _overlap(found["evidence"], wanted["evidence"])
        value += _SEVERITY * (1 - apart)
        return value

    @property
    def _worst(self) -> float:
        return -max(self.missed_cost, 1.0) - 0.5


def _object(text: str) -> dict[str, Any] | None:
    """The reply, or None where it is not what the judge's schema asks for."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or tuple(found) != _FIELDS:
        return None
    evidence, rationale = found["evidence"], found["rationale"]
    whole = isinstance(evidence, list) and bool(evidence) and all(type(each) is int for each in evidence)
    said = isinstance(rationale, str) and 0 < len(rationale) <= MAX_RATIONALE_CHARACTERS
    graded = type(found["severity"]) is int and isinstance(found["exemption"], str)
    known = found["verdict"] in (_HIT, *_CLEAR)
    return found if whole and said and graded and known else None


def _overlap(found: Sequence[int], wanted: Sequence[int]) -> float:
    """F1 of the lines that are cited."""
    shared = len(set(found) & set(wanted))
    return 2 * shared / (len(set(found)) + len(set(wanted)))
