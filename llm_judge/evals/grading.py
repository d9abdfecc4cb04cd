"""Record + expectation → pass, fail or undecided, and what was got instead.

The verdict, the rule and the exemption must all be right; "could not tell" is neither right nor wrong.
Knows nothing about where expectations are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from llm_judge.record import DecisionRecord
    from llm_judge.verdict import Verdict

UNSURE = (Outcome.ABSTAIN, Outcome.UNREADABLE)


class Mark(StrEnum):
    """How an answer compares with what was expected."""

    PASS = "pass"  # noqa: S105  # not a password
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the right answer is.

    Attributes:
        policy: id of the policy it is about.
        verdict: ``violates``, ``clear`` or ``exempt``.
        rule: id of the rule that must say so; None with ``clear``: no rule at all may fire.
        exemption: id of the exemption that must be found, for ``exempt``.
    """

    policy: str
    verdict: str
    rule: str | None = None
    exemption: str | None = None

    @property
    def key(self) -> str | None:
        """``<policy>#<rule>``, None where no rule is named."""
        return f"{self.policy}#{self.rule}" if self.rule else None

    def __str__(self) -> str:
        """``violates by HS1``, ``exempt from HS1: counter_speech``, ``clear of HS1``, ``nothing fires``."""
        if self.rule is None:
            return "nothing fires"
        link = {"violates": "by", "exempt": "from"}.get(self.verdict, "of")
        ending = f": {self.exemption}" if self.exemption else ""
        return f"{self.verdict} {link} {self.rule}{ending}"


@dataclass(frozen=True, slots=True)
class Grade:
    """The comparison.

    Attributes:
        mark: pass, fail or undecided.
        got: what was answered, in the words of the expectation; empty for a pass.
        verdict: the verdict that settled it, None where there is none.
    """

    mark: Mark
    got: str
    verdict: Verdict | None = None

    @property
    def probability(self) -> float | None:
        """P(violates) of the verdict that settled it."""
        return self.verdict.probability if self.verdict else None


def grade(expected: Expectation, record: DecisionRecord) -> Grade:
    """Compare one record with what was expected of it."""
    if record.error is not None:
        return Grade(Mark.UNDECIDED, f"could not be judged: {record.error['message']}")
    fired = [v for v in record.verdicts if v.outcome is Outcome.VIOLATES]
    if expected.key is None:
        return _grade_nothing_fires(expected, record, fired)
    verdict = next((v for v in record.verdicts if v.rule == expected.key), None)
    if verdict is None:
        return Grade(Mark.FAIL, f"rule {expected.rule} is not asked of {record.item['modality']}")
    if verdict.outcome in UNSURE:
        reason = f": {verdict.reason}" if verdict.reason else ""
        return Grade(Mark.UNDECIDED, f"could not tell{reason}", verdict)
    if verdict.outcome.value == expected.verdict and verdict.exemption == expected.exemption:
        return Grade(Mark.PASS, "", verdict)
    return Grade(Mark.FAIL, _got(expected, verdict, fired), verdict)


def _grade_nothing_fires(expected: Expectation, record: DecisionRecord, fired: list[Verdict]) -> Grade:
    if fired:
        worst = max(fired, key=lambda v: v.probability or 0.0)
        return Grade(Mark.FAIL, f"violates by {_names(fired, expected.policy)}", worst)
    unsure = [v for v in record.verdicts if v.outcome in UNSURE]
    if unsure:
        worst = max(unsure, key=lambda v: v.probability or 0.0)
        return Grade(Mark.UNDECIDED, f"could not tell for {_names(unsure, expected.policy)}", worst)
    return Grade(Mark.PASS, "")


def _got(expected: Expectation, verdict: Verdict, fired: list[Verdict]) -> str:
    others = [v for v in fired if v.rule != verdict.rule]
    if expected.verdict == Outcome.VIOLATES and others:
        return f"violates by {_names(others, expected.policy)}: right label, wrong rule"
    outcome = verdict.outcome.value
    exemption = verdict.exemption if verdict.outcome is Outcome.EXEMPT else None
    return str(Expectation(expected.policy, outcome, expected.rule, exemption))


def _names(verdicts: list[Verdict], policy: str, limit: int = 3) -> str:
    """Rule ids, with the policy where it is another one; at most ``limit`` and a count."""
    names = [v.rule.removeprefix(f"{policy}#") for v in verdicts]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
