"""A decision record as JSON: held to its shape, and parted into what is kept and what is content.

Quotes and rationales are content in other words. Knows nothing about databases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_judge.content.content import Coverage
from llm_judge.decision import Decision
from llm_judge.engines.protocol import EngineInfo
from llm_judge.errors import UsageError
from llm_judge.policy.model import Action
from llm_judge.record import RECORD_SCHEMA, DecisionRecord, RunIdentity
from llm_judge.store.chain import canonical
from llm_judge.verdict import AreaAnswer, Evidence, Outcome, Verdict

# Two records of one decision differ in these and say the same.
_NOT_THE_DECISION = ("created_at", "timings_ms")


class _Shape(BaseModel):
    # An unknown key could hold content that nobody asked to keep.
    model_config = ConfigDict(extra="forbid", strict=True)


class _Item(_Shape):
    id: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    modality: str | None = None
    source: str | None
    language: str | None = None
    segments: int | None = None
    facts: tuple[str, ...] = ()
    coverage: Coverage | None = None


class _Error(_Shape):
    type: str
    message: str
    hint: str | None


class _Evidence(_Shape):
    segment: int
    kind: str
    quote: str | None  # left out of a record that keeps no content
    start: int | None = None
    end: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    frame: int | None = None
    box: tuple[int, int, int, int] | None = None


class _Verdict(_Shape):
    rule: str = Field(pattern="^[^#]+#[^#]+$", max_length=200)
    outcome: Outcome
    probability: float | None
    exempt_probability: float
    label_mass: float
    asked: bool
    severity: int
    reason: str | None = None
    exemption: str | None = None
    evidence: tuple[_Evidence, ...] = ()
    rationale: str | None = None
    explanation: str | None = None
    assessed_severity: int | None = None

    def read(self) -> Verdict:
        evidence = tuple(
            Evidence(**piece.model_dump() | {"quote": piece.quote or ""}) for piece in self.evidence
        )
        return Verdict(
            **{name: getattr(self, name) for name in type(self).model_fields} | {"evidence": evidence}
        )


class _Run(_Shape):
    policy_digest: str
    prompt_digest: str
    settings_digest: str
    calibration_digest: str | None = None
    engine: str
    model: str
    model_digest: str
    adapter_digest: str | None
    dtype: str
    context_tokens: int


class _Record(_Shape):
    version: Literal[1] = Field(alias="schema")
    decision_id: str = Field(pattern="^[0-9A-Za-z_.:-]{1,64}$")
    created_at: str
    item: _Item
    action: Action
    decision: Decision | None
    areas: tuple[AreaAnswer, ...] = ()
    verdicts: tuple[_Verdict, ...]
    policies: dict[str, str]
    run: _Run
    timings_ms: dict[str, float]
    error: _Error | None


@dataclass(frozen=True, slots=True)
class Document:
    """One record, parted.

    Attributes:
        kept: the record without quotes and rationales.
        private: these, by rule; None where there are none.
    """

    kept: dict[str, Any]
    private: dict[str, Any] | None

    @property
    def decision_id(self) -> str:
        """Names the decision."""
        return str(self.kept["decision_id"])

    @property
    def created_at(self) -> datetime:
        """When it was decided, in UTC."""
        return time_of(self.kept["created_at"])

    def says_the_same(self, other: Mapping[str, Any]) -> bool:
        """Whether another record, without its content, is the same decision: times aside."""
        return canonical(_meaning(self.kept)) == canonical(_meaning(other))


def document_of(record: DecisionRecord | Mapping[str, Any], place: str = "the record") -> Document:
    """Part a record.

    Args:
        record: ours, or JSON that came from somewhere, which is held to the shape first.
        place: for messages, such as ``records.jsonl:3``.

    Raises:
        UsageError: it is no record, and where.
    """
    data = record.as_json() if isinstance(record, DecisionRecord) else checked(record, place)
    kept = {**data, "verdicts": [dict(verdict) for verdict in data["verdicts"]]}
    private = {}
    for verdict in kept["verdicts"]:
        quotes = [piece["quote"] for piece in verdict.get("evidence", ())]
        rationale = verdict.get("rationale")
        verdict["rationale"] = None
        verdict["evidence"] = [{**piece, "quote": None} for piece in verdict.get("evidence", ())]
        if rationale is not None or any(quote is not None for quote in quotes):
            private[verdict["rule"]] = {"rationale": rationale, "quotes": quotes}
    return Document(kept, private or None)


def joined(kept: Mapping[str, Any], private: Mapping[str, Any] | None) -> dict[str, Any]:
    """Put a parted record together again."""
    data = dict(kept)
    if private:
        data["verdicts"] = [
            _with_words(verdict, private.get(verdict["rule"])) for verdict in kept["verdicts"]
        ]
    return data


def found_by(kept: Mapping[str, Any]) -> dict[str, str]:
    """Rules that said anything but clear, and what."""
    clear = Outcome.CLEAR.value
    return {v["rule"]: str(v["outcome"]) for v in kept["verdicts"] if v["outcome"] != clear}


def checked(data: Any, place: str = "the record") -> dict[str, Any]:
    """Return JSON that is a record, as it is; raises ``UsageError`` that says where it is not."""
    _shape_of(data, place)
    try:
        time_of(data["created_at"])
    except ValueError:
        raise UsageError(f"{place}: `created_at` is not a time in ISO 8601", _WHENCE) from None
    return dict(data)


def record_of(data: Mapping[str, Any]) -> DecisionRecord:
    """Read a record back, to show it: quotes that were not kept are empty, half a surrogate pair is a `?`.

    Raises:
        UsageError: it is no record.
    """
    shape = _shape_of(data, "the record")
    run = shape.run.model_dump()
    engine = EngineInfo(**{name: run.pop(name) for name in EngineInfo.__dataclass_fields__})
    return DecisionRecord(
        decision_id=shape.decision_id,
        created_at=shape.created_at,
        item={**shape.item.model_dump(exclude_unset=True)},
        action=shape.action,
        decision=shape.decision,
        verdicts=tuple(verdict.read() for verdict in shape.verdicts),
        policies=shape.policies,
        run=RunIdentity(engine=engine, **run),
        timings_ms=shape.timings_ms,
        error=None if shape.error is None else shape.error.model_dump(),
        areas=shape.areas,
    )


def time_of(text: str) -> datetime:
    """Read ISO 8601, as UTC where it names no zone; raises ``ValueError``."""
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


_WHENCE = "records are what `llm-judge judge --out` writes"


def _shape_of(data: Any, place: str) -> _Record:
    version = data.get("schema") if isinstance(data, Mapping) else None
    if type(version) is int and version > RECORD_SCHEMA:
        raise UsageError(f"{place}: a record of schema {version}", "it was written by a newer llm-judge")
    try:
        # Half a surrogate pair is a text in Python and in our files, and none to Pydantic.
        text = json.dumps(data, ensure_ascii=False, default=str)
        return _Record.model_validate_json(text.encode("utf-8", "replace"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = " ".join(str(first["msg"]).lower().split())
        raise UsageError(f"{place}: {f'`{where}`: ' if where else ''}{what}", _WHENCE) from None


def _meaning(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kept.items() if key not in _NOT_THE_DECISION}


def _with_words(verdict: Mapping[str, Any], words: Mapping[str, Any] | None) -> dict[str, Any]:
    if words is None:
        return dict(verdict)
    evidence = [
        {**piece, "quote": quote} for piece, quote in zip(verdict["evidence"], words["quotes"], strict=True)
    ]
    return {**verdict, "evidence": evidence, "rationale": words["rationale"]}
