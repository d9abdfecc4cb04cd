"""The reference: what each rule said over a time that people found good, kept in a small JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from llm_judge.drift.sights import BINS, RuleCounts, Seen, Window
from llm_judge.durable import reason_of
from llm_judge.errors import UsageError
from llm_judge.json_file import read_json
from llm_judge.record import DecisionRecord, now
from llm_judge.verdict import Outcome

_AGAIN = "make one: llm-judge drift reference RECORDS --out FILE"
_MOST_LINE_BYTES = 16 * 1024 * 1024
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleReference(_Strict):
    """What one rule said; see ``RuleCounts``."""

    flagged: Count
    abstained: Count
    scores: tuple[Count, ...]

    @model_validator(mode="after")
    def _adds_up(self) -> RuleReference:
        if len(self.scores) != len(BINS) or self.flagged + self.abstained > sum(self.scores):
            raise ValueError("the counts do not add up")
        return self

    def counts(self) -> RuleCounts:
        """The same as counts."""
        return RuleCounts(self.flagged, self.abstained, self.scores)


class Reference(_Strict):
    """Counts over many records.

    Attributes:
        made_at: when.
        records: decisions counted.
        judged_by: digests of policies, model and adapter → decisions; several where overlays were used.
        rules: rule → what it said.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    made_at: str
    records: Count
    judged_by: dict[str, Count]
    rules: dict[str, RuleReference]


_SHAPE = TypeAdapter(Reference)


def read_reference(path: Path) -> Reference:
    """Read a reference; raises ``UsageError`` where it cannot be read or is none."""
    return read_json(path, _SHAPE, "a reference of drift", _AGAIN)


def reference_of(records: Iterable[Mapping[str, Any]]) -> Reference:
    """Count records; items that got no decision are left out.

    Args:
        records: as JSON, such as ``records_in`` yields.

    Raises:
        UsageError: there is no decision among them, or one is no record.
    """
    rules: dict[str, None] = {}
    lines: list[list[Seen]] = []
    judged_by: Counter[str] = Counter()
    for record in records:
        seen = seen_in_json(record)
        if seen is None:
            continue
        rules.update(dict.fromkeys(rule for rule, *_ in seen))
        lines.append(seen)
        judged_by[_judged_by(record["run"])] += 1
    if not lines:
        raise UsageError("there is no decision among the records", "give records of `judge --out` or a store")
    window = Window(rules)
    for seen in lines:
        window.add(seen)
    return Reference(
        schema=1,
        made_at=now(),
        records=window.records,
        judged_by=dict(judged_by),
        rules={
            rule: RuleReference(flagged=each.flagged, abstained=each.abstained, scores=each.scores)
            for rule, each in window.counts().items()
        },
    )


def seen_in(record: DecisionRecord) -> list[Seen]:
    """Return what a record says of each rule."""
    return [(each.rule, each.outcome, each.probability, each.asked) for each in record.verdicts]


def seen_in_json(record: Mapping[str, Any]) -> list[Seen] | None:
    """Return the same of a record as JSON; None where it holds no decision. Raises ``UsageError``."""
    try:
        if record["decision"] is None:
            return None
        return [
            (str(each["rule"]), Outcome(each["outcome"]), each["probability"], bool(each["asked"]))
            for each in record["verdicts"]
        ]
    except (KeyError, TypeError, ValueError):
        raise UsageError("a line is no decision record", "give records of `judge --out` or a store") from None


def records_in(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSONL file; half a line at its end is what a killed process left.

    Raises:
        UsageError: it cannot be read, or a line is no record, and which.
    """
    try:
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(_MOST_LINE_BYTES):
                number += 1
                data = _parsed(line)
                if data is not None:
                    yield data
                elif line.endswith(b"\n") or len(line) == _MOST_LINE_BYTES:
                    raise UsageError(f"{path}:{number}: this is no decision record", _AGAIN)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = reason_of(error) if isinstance(error, OSError) else "not a usable name"
        raise UsageError(f"cannot read `{path}`: {reason}", _AGAIN) from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(data, dict) and isinstance(data.get("run"), dict) and "decision" in data
    return data if whole else None


def _judged_by(run: Mapping[str, Any]) -> str:
    names = ("policy_digest", "model_digest", "adapter_digest")
    return " ".join(f"{name.removesuffix('_digest')}:{str(run.get(name) or 'none')[:12]}" for name in names)
