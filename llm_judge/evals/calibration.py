"""A calibration: thresholds that keep what they promise, for one policy, prompt, model and adapter.

Thresholds are on the probability that the judge reads, the scale on which action ladders compare it, so the
judge needs nothing else. A calibration says nothing about another policy, prompt, model or adapter, so
loading refuses it for any other. Knows nothing about how thresholds are found.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llm_judge.durable import replace_file
from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Kind
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.record import RunIdentity

_EDGE = 1e-6  # a probability of 0 or 1 has no log-odds
_MOST_BYTES = 16 * 1024 * 1024
_AGAIN = "calibrate again on the dev rows: `llm-judge eval calibrate`"

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


class Method(StrEnum):
    """How probabilities are mended: one number for their sharpness, or any rising steps."""

    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


class Entry(_Strict):
    """The calibration of one area or rule.

    Attributes:
        kind, key: of which question.
        method: which of the next three hold.
        temperature: log-odds are divided by it; over 1 makes probabilities less sharp.
        knots, values: probability read → probability that holds, straight lines between the knots.
        n, positives: dev answers it was fitted on.
        thresholds: by name, such as ``precision_95``.
        band: None where one of its ends is not reached.
    """

    kind: Kind
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
        entries: by kind and key.
        shared: thresholds over all areas pooled: what one mapping for every policy can promise.
        left_out: question → why it has no entry.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    identity: Identity
    entries: tuple[Entry, ...]
    shared: dict[str, Threshold]
    left_out: dict[str, str] = Field(default_factory=dict)

    def entry(self, kind: Kind, key: str) -> Entry | None:
        """Return the entry of a question, or None."""
        return next((each for each in self.entries if (each.kind, each.key) == (kind, key)), None)

    def mapping(self, policy: str | None = None) -> dict[str, float]:
        """Return threshold name → probability, as ``JudgeSettings.calibration`` takes it.

        A threshold that was not reached is left out, so that a judge whose ladder names it says so.

        Args:
            policy: of this policy's area; None for the thresholds over all areas pooled.

        Raises:
            UsageError: there is no entry for the policy.
        """
        thresholds = self.shared
        if policy is not None:
            entry = self.entry(Kind.AREA, policy)
            if entry is None:
                why = self.left_out.get(f"{Kind.AREA} {policy}", "it was not calibrated")
                raise UsageError(f"the calibration has no thresholds for `{policy}`: {why}", _AGAIN)
            thresholds = entry.thresholds
        return {name: each.at for name, each in thresholds.items() if each.at is not None}


def identity_of(run: RunIdentity, data: str | None = None) -> Identity:
    """Return what a calibration for this run must belong to."""
    engine = run.engine
    return Identity(
        policy=run.policy_digest,
        prompt=run.prompt_digest,
        model=engine.model_digest,
        adapter=engine.adapter_digest,
        data=data,
    )


def data_digest(outcomes: Sequence[ItemOutcome]) -> str:
    """Return the SHA-256 of the labelled questions of a run: items, contents, truths, in any order."""
    rows = sorted(
        f"{outcome.item}\0{outcome.sha256}\0{answer.kind}\0{answer.key}\0{answer.truth}"
        for outcome in outcomes
        for answer in outcome.answers
        if answer.truth is not None
    )
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(calibration.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
    replace_file(path, text + "\n")


def load_calibration(path: Path, expected: Identity) -> Calibration:
    """Read a calibration file and make sure that it belongs to what is in use.

    Args:
        path: the file.
        expected: what is in use; its ``data`` counts only where it is given.

    Raises:
        UsageError: it cannot be read, is no calibration, or belongs to something else, and to what.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or "not a usable name").lower()
        raise UsageError(f"{quoted(str(path))} cannot be read: {reason}", _AGAIN) from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{quoted(str(path))} is too large for a calibration", _AGAIN)
    try:
        found = Calibration.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(
            f"{quoted(str(path))} is no calibration: {place}: {first['msg'].lower()}", _AGAIN
        ) from None
    _refuse_other(path, found.identity, expected)
    return found


def _refuse_other(path: Path, found: Identity, expected: Identity) -> None:
    names = [name for name in Identity.model_fields if name != "data" or expected.data is not None]
    wrong = [name for name in names if getattr(found, name) != getattr(expected, name)]
    if wrong:
        shown = ", ".join(
            f"{name} {_short(getattr(found, name))}, not {_short(getattr(expected, name))}" for name in wrong
        )
        raise UsageError(f"{quoted(str(path))} was made for another {' and '.join(wrong)}: {shown}", _AGAIN)


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"`{digest[:12]}`"
