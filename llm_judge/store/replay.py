"""Replay: judge what was judged again, and say whether the decision is the same.

The same decision is the same action for the same reasons: every rule's outcome and exemption, and which rules
determined the action. Probabilities may differ a little from batch to batch; by how much is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge.compile import CompiledPolicy
from llm_judge.content.content import Content, Modality
from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.errors import UsageError
from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision, then and now.

    Attributes:
        record: now.
        differences: of the decision; none means that it is the same.
        run: of what judged: policies, prompt, model, settings.
        largest_shift: greatest change of a rule's probability, 0..1; None where no two can be compared.
    """

    record: DecisionRecord
    differences: tuple[Difference, ...]
    run: tuple[Difference, ...]
    largest_shift: float | None

    @property
    def same(self) -> bool:
        """Whether the decision is the same."""
        return not self.differences


def content_of(record: Mapping[str, Any], data: bytes, limits: Limits | None = None) -> Content:
    """Open what was judged again.

    Args:
        record: of the decision, as JSON.
        data: the content's bytes (UTF-8 of a text that was given directly).
        limits: caps on it; those of ``llm-judge judge`` if left out, and none on such a text.

    Raises:
        UsageError: nothing was judged, or ``data`` is something else.
        ContentError, PackageError: it cannot be read on this machine, or is over a cap.
    """
    from llm_judge.content.open import from_bytes
    from llm_judge.content.text import from_text

    check_same(record, data)
    item = record["item"]
    if item["modality"] == "text" and item["source"] is None:
        cap = len(data) if limits is None else limits.text_bytes
        return from_text(data.decode("utf-8", "surrogatepass"), item["id"], max_bytes=cap)
    return from_bytes(data, item["id"], item["source"], limits=limits or DEFAULT_LIMITS)


def check_same(record: Mapping[str, Any], data: bytes) -> None:
    """Raise ``UsageError`` unless a record is about these bytes; nothing is opened."""
    item = record["item"]
    if not item.get("sha256"):
        raise UsageError(
            f"decision `{record['decision_id']}` is of an item that could not be judged",
            "there is nothing to judge again: judge the item anew",
        )
    if hashlib.sha256(data).hexdigest() != item["sha256"]:
        raise UsageError(
            f"the content given is not what decision `{record['decision_id']}` is about",
            "its SHA-256 is not the one in the record",
        )


def replay(judge: Judge, record: Mapping[str, Any], content: Content) -> Replay:
    """Ask the same policies about the same content, and compare.

    Raises:
        EngineError: the engine cannot answer.
    """
    (now,) = judge.judge_batch([content], [asked_of(judge.compiled, record, content.modality)])
    return compare(record, now)


def asked_of(
    compiled: CompiledPolicy, record: Mapping[str, Any], modality: Modality
) -> frozenset[str] | None:
    """Return which policies a decision asked about, None for all that apply to this kind of content."""
    policies = {verdict["rule"].partition("#")[0] for verdict in record["verdicts"]}
    policies |= {area["area"] for area in record.get("areas", ())}
    applying = {
        area.policy.policy for area in compiled.areas if any(rule.applies_to(modality) for rule in area.rules)
    }
    return None if applying <= policies else frozenset(policies)  # all: as asked, so the id is the same


def compare(then: Mapping[str, Any], now: DecisionRecord) -> Replay:
    """Say what differs between a decision, as JSON, and another on the same content."""
    after = now.as_json()
    differences = [*_of("action", then["action"], after["action"]), *_of_decision(then, after)]
    before_rules, after_rules = _rules(then), _rules(after)
    for rule in sorted(before_rules.keys() | after_rules.keys()):
        old, new = before_rules.get(rule, {}), after_rules.get(rule, {})
        differences += _of(rule, _said(old), _said(new))
    before_run, after_run = then["run"], after["run"]
    names = dict.fromkeys([*before_run, *after_run])
    run = [d for name in names for d in _of(name, before_run.get(name), after_run.get(name))]
    shifts = [
        abs(before_rules[rule]["probability"] - after_rules[rule]["probability"])
        for rule in before_rules.keys() & after_rules.keys()
        if before_rules[rule]["probability"] is not None and after_rules[rule]["probability"] is not None
    ]
    return Replay(now, tuple(differences), tuple(run), max(shifts, default=None))


def _of_decision(then: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    old, new = then["decision"] or {}, after["decision"] or {}
    return [
        *_of("determining rules", _listed(old), _listed(new)),
        *_of("on_error", old.get("on_error"), new.get("on_error")),
        *_of("error", (then["error"] or {}).get("message"), (after["error"] or {}).get("message")),
    ]


def _of(what: str, then: Any, now: Any) -> list[Difference]:
    return [] if then == now else [Difference(what, _shown(then), _shown(now))]


def _shown(value: Any) -> str:
    return "none" if value is None or value == "" else str(value)


def _listed(decision: Mapping[str, Any]) -> str:
    return ", ".join(decision.get("determining_rules", ()))


def _rules(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {verdict["rule"]: verdict for verdict in record["verdicts"]}


def _said(verdict: Mapping[str, Any]) -> str | None:
    if not verdict:
        return None
    return (
        f"{verdict['outcome']} ({verdict['exemption']})" if verdict["exemption"] else str(verdict["outcome"])
    )
