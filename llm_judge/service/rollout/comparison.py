"""What two revisions made of one content: one line of a file, and counts over many.

Holds digests, actions and states of policies; no content, no id of an item, nobody's name. Knows nothing
about engines or HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.policy.model import Action
from llm_judge.record import DecisionRecord, now
from llm_judge.verdict import Outcome

State = Literal["fires", "undecided", "clear"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Strict):
    """Which revision: what records say of a run, without overlays."""

    revision: str
    policy_digest: str
    prompt_digest: str
    calibration_digest: str | None
    engine: str
    model: str
    model_digest: str
    adapter_digest: str | None


class Side(_Strict):
    """What one revision said."""

    identity: Identity
    action: Action
    undecided: bool


class Comparison(_Strict):
    """One content judged by both revisions.

    Attributes:
        decision_id: of the answer that was given.
        answered_by: the arm that gave it.
        sha256: of the content.
        policies: policy → its state by stable and by the candidate, where they differ.
        largest_shift: greatest difference of a rule's probability, None where no rule is in both.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    at: str
    decision_id: str
    answered_by: Literal["stable", "candidate"]
    sha256: str
    stable: Side
    candidate: Side
    policies: dict[str, tuple[State, State]]
    largest_shift: Annotated[float, Field(ge=0, le=1)] | None

    @property
    def same(self) -> bool:
        """Whether both want the same action."""
        return self.stable.action is self.candidate.action

    @property
    def pair(self) -> tuple[Identity, Identity]:
        """Which two revisions."""
        return self.stable.identity, self.candidate.identity


def compared(
    answer: DecisionRecord,
    other: DecisionRecord,
    identities: tuple[Identity, Identity],
    answered_by: Literal["stable", "candidate"],
) -> Comparison:
    """Compare what was answered with what the other revision said.

    Args:
        answer, other: records of the same content.
        identities: of the stable revision and of the candidate.
        answered_by: the arm of ``answer``.
    """
    stable, candidate = (answer, other) if answered_by == "stable" else (other, answer)
    before, after = _states(stable), _states(candidate)
    return Comparison(
        schema=1,
        at=now(),
        decision_id=answer.decision_id,
        answered_by=answered_by,
        sha256=str(answer.item["sha256"]),
        stable=_side(stable, identities[0]),
        candidate=_side(candidate, identities[1]),
        policies={
            name: (before.get(name, "clear"), after.get(name, "clear"))
            for name in sorted({*before, *after})
            if before.get(name, "clear") != after.get(name, "clear")
        },
        largest_shift=_largest_shift(stable, candidate),
    )


def _side(record: DecisionRecord, identity: Identity) -> Side:
    undecided = record.decision is None or record.decision.undecided
    return Side(identity=identity, action=record.action, undecided=undecided)


def _states(record: DecisionRecord) -> dict[str, State]:
    """Policy → its state; those that are clear are left out."""
    found: dict[str, State] = {}
    for verdict in record.verdicts:
        name = verdict.rule.partition("#")[0]
        if verdict.outcome is Outcome.VIOLATES:
            found[name] = "fires"
        elif verdict.outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE):
            found.setdefault(name, "undecided")
    return found


def _largest_shift(one: DecisionRecord, other: DecisionRecord) -> float | None:
    before = {verdict.rule: verdict.probability for verdict in one.verdicts}
    shifts = [
        abs(verdict.probability - old)
        for verdict in other.verdicts
        if verdict.probability is not None and (old := before.get(verdict.rule)) is not None
    ]
    return round(max(shifts), 6) if shifts else None


@dataclass(slots=True)
class Tally:
    """Counts over comparisons of the same two revisions.

    Attributes:
        compared, same: contents, and those with the same action.
        flips: (action of stable, action of the candidate) → contents, where they differ.
        policies: (policy, its state by stable, by the candidate) → contents, where they differ.
        undecided: arm → contents it could not decide.
    """

    compared: int = 0
    same: int = 0
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    policies: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)

    def add(self, each: Comparison) -> None:
        """Count one more."""
        self.compared += 1
        self.same += each.same
        if not each.same:
            self.flips[each.stable.action.value, each.candidate.action.value] += 1
        for name, (before, after) in each.policies.items():
            self.policies[name, before, after] += 1
        self.undecided["stable"] += each.stable.undecided
        self.undecided["candidate"] += each.candidate.undecided

    def as_json(self) -> dict[str, Any]:
        """Plain data, what is most first."""
        return {
            "compared": self.compared,
            "same": self.same,
            "undecided": {arm: self.undecided[arm] for arm in ("stable", "candidate")},
            "flips": [
                {"stable": before, "candidate": after, "count": count}
                for (before, after), count in _most_first(self.flips)
            ],
            "policies": [
                {"policy": name, "stable": before, "candidate": after, "count": count}
                for (name, before, after), count in _most_first(self.policies)
            ],
        }


def tallies(comparisons: Iterable[Comparison]) -> Mapping[tuple[Identity, Identity], Tally]:
    """Count comparisons by the two revisions they are of, in the order in which these first appear."""
    found: dict[tuple[Identity, Identity], Tally] = {}
    for each in comparisons:
        found.setdefault(each.pair, Tally()).add(each)
    return found


def _most_first(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
