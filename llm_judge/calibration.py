"""A calibration: thresholds that keep what they promise, for one set of policies, prompt, model and adapter.

Thresholds are on the probability that the judge reads, the scale on which action ladders compare it, so the
judge needs nothing else. A calibration says nothing about other policies, another prompt, model or adapter:
``refuse_other`` says so. Knows nothing about how thresholds are found or what ladders do with them.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections import Counter
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from llm_judge.compile import CompiledPolicy
from llm_judge.durable import replace_file
from llm_judge.engines.protocol import EngineInfo
from llm_judge.errors import UsageError
from llm_judge.json_file import read_json
from llm_judge.source import quoted

_EDGE = 1e-6  # a probability of 0 or 1 has no log-odds
_AGAIN = "make one from a run on dev rows: `llm-judge eval calibrate`"
_OTHER = "judge by what it was fitted with, or calibrate again: `llm-judge eval calibrate`"

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Digest = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Identity(_Strict):
    """What a calibration belongs to: SHA-256 each; ``adapter`` is None without one.

    ``data`` is of the labelled answers it was fitted on; None where that does not matter, as for a judge.
    """

    policy: Digest
    prompt: Digest
    model: Digest
    adapter: Digest | None
    data: Digest | None = None


class Threshold(_Strict):
    """A threshold, and what it reached on dev.

    Attributes:
        at: probability from which on it counts; None where no threshold reaches the target.
        count, total: right of flagged for a precision, caught of violating for a recall.
        low: lower bound of the share, at 95 % confidence over all thresholds tried; None without a threshold.
        reason: why there is no threshold; None where there is one.
    """

    at: Probability | None
    count: Annotated[int, Field(ge=0)] = 0
    total: Annotated[int, Field(ge=0)] = 0
    low: Probability | None = None
    reason: str | None = None


class Band(_Strict):
    """Where a judge should say that it cannot tell: from ``clear_below`` up to, not with, ``fires_at``."""

    clear_below: Probability
    fires_at: Probability

    @model_validator(mode="after")
    def _in_order(self) -> Band:
        if self.clear_below > self.fires_at:
            raise ValueError("clear_below must not be above fires_at")
        return self


class Method(StrEnum):
    """How probabilities are mended: one number for their sharpness, or any rising steps."""

    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


class Entry(_Strict):
    """The calibration of one area or rule.

    Attributes:
        key: a policy id for an area, ``policy#rule`` for a rule.
        method: which of the next three hold.
        temperature: log-odds are divided by it; over 1 makes probabilities less sharp.
        knots, values: probability read → probability that holds, straight lines between the knots.
        n, positives: dev answers it was fitted on.
        thresholds: by name, such as ``precision_95``.
        band: None where one of its ends is not reached.
    """

    key: Annotated[str, Field(min_length=1)]
    method: Method
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    knots: tuple[Probability, ...] = ()
    values: tuple[Probability, ...] = ()
    n: Annotated[int, Field(ge=0)]
    positives: Annotated[int, Field(ge=0)]
    thresholds: dict[str, Threshold]
    band: Band | None = None

    @model_validator(mode="after")
    def _can_be_applied(self) -> Entry:
        """Hold a file to what ``probability`` counts on."""
        if self.method is Method.TEMPERATURE and self.temperature is None:
            raise ValueError("a temperature is missing")
        if self.method is Method.ISOTONIC:
            rising = all(one < other for one, other in pairwise(self.knots))
            if not self.knots or len(self.knots) != len(self.values) or not rising:
                raise ValueError("knots must rise, and have one value each")
        return self

    def probability(self, read: float) -> float:
        """Return the calibrated probability, 0..1, of one that was read, 0..1."""
        if self.method is Method.TEMPERATURE and self.temperature is not None:
            inside = min(max(read, _EDGE), 1 - _EDGE)
            return 1 / (1 + math.exp(-math.log(inside / (1 - inside)) / self.temperature))
        right = bisect_right(self.knots, read)
        if right in (0, len(self.knots)):
            return self.values[0 if right == 0 else -1]
        (x, y), (next_x, next_y) = ((self.knots[i], self.values[i]) for i in (right - 1, right))
        return y + (next_y - y) * (read - x) / (next_x - x)


class Calibration(_Strict):
    """Everything a calibration file holds.

    Attributes:
        identity: what it belongs to.
        entries: one an area or rule.
        shared: thresholds over all areas pooled, for policies without an entry.
        left_out: key of a question → why it has no entry.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    identity: Identity
    entries: tuple[Entry, ...]
    shared: dict[str, Threshold]
    left_out: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_entry_a_question(self) -> Calibration:
        counts = Counter(entry.key for entry in self.entries)
        if twice := [key for key, count in counts.items() if count > 1]:
            raise ValueError(f"{quoted(twice[0])} has two entries")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all it says; how the file is laid out does not count."""
        data = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()

    def entry(self, key: str) -> Entry | None:
        """Return the entry of an area or rule, or None."""
        return next((each for each in self.entries if each.key == key), None)

    def threshold(self, policy: str, name: str) -> Threshold | None:
        """Return a policy's threshold, reached or not: its own, else the one over all areas pooled."""
        entry = self.entry(policy)
        own = None if entry is None else entry.thresholds.get(name)
        return own or self.shared.get(name)

    def is_own(self, policy: str, name: str) -> bool:
        """Whether ``threshold`` of these is the policy's own."""
        entry = self.entry(policy)
        return entry is not None and name in entry.thresholds

    def why_not_own(self, policy: str) -> str:
        """Return why a policy has no thresholds of its own."""
        return self.left_out.get(policy, "it was not calibrated")

    def band(self, rule: str) -> Band | None:
        """Return the band of ``policy#rule``: its own where it has one, else its area's, else None."""
        entries = (self.entry(key) for key in (rule, rule.partition("#")[0]))
        return next((entry.band for entry in entries if entry is not None and entry.band is not None), None)

    def refuse_other(self, expected: Identity) -> None:
        """Make sure that it belongs to what is in use.

        Args:
            expected: what is in use; its ``data`` counts only where it is given.

        Raises:
            UsageError: it belongs to something else, and to what.
        """
        names = [name for name in Identity.model_fields if name != "data" or expected.data is not None]
        pairs = {name: (getattr(self.identity, name), getattr(expected, name)) for name in names}
        if wrong := {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}:
            shown = ", ".join(
                f"{name} {_short(one)}, not {_short(two)}" for name, (one, two) in wrong.items()
            )
            raise UsageError(f"the calibration was made for another {' and '.join(wrong)}: {shown}", _OTHER)


def identity_of(compiled: CompiledPolicy, engine: EngineInfo) -> Identity:
    """Return what a calibration must belong to, to be used with these policies and this engine."""
    return Identity(
        policy=compiled.digest,
        prompt=compiled.prompt_digest,
        model=engine.model_digest,
        adapter=engine.adapter_digest,
    )


_FILE = TypeAdapter(Calibration)


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(calibration.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
    replace_file(path, text + "\n")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file; whether it belongs to what is in use is not known yet.

    Raises:
        UsageError: it cannot be read or is no calibration.
    """
    return read_json(path, _FILE, "a calibration", _AGAIN)


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"`{digest[:12]}`"
