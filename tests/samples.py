"""Small policies, contents and readings as data, for tests of every step after loading."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_judge.calibration import Band, Calibration, Entry, Identity, Method, Threshold, identity_of
from llm_judge.compile import CompiledPolicy, TargetModel, compile_policies
from llm_judge.content.content import Content, Coverage, Modality, Segment, SegmentKind
from llm_judge.engines.protocol import Reading
from llm_judge.engines.scripted import ScriptedEngine, ScriptedRead
from llm_judge.judge import Judge
from llm_judge.policy.model import Exemption, Policy, Rule, Status
from llm_judge.record import DecisionRecord, RecordFile
from llm_judge.verdict import Thresholds

OPEN = {"yes": 0.9, "no": 0.1}
# Round numbers for tests; the shipped defaults are for uncalibrated models and may move.
BANDS = Thresholds(fires_at=0.6, clear_below=0.4, area_gate=0.2)


def make_rule(id: str = "R1", exemptions: tuple[str | Exemption, ...] = (), **changes: Any) -> Rule:
    """A rule about plants whose words carry its id."""
    data: dict[str, Any] = {
        "id": id,
        "title": f"Title of {id}",
        "violates": f"Meets the description of {id}.",
        "severity": 3,
        "exemptions": tuple(
            e if isinstance(e, Exemption) else Exemption(id=e, when=f"It is {e}.") for e in exemptions
        ),
    }
    return Rule(**data | changes)


def make_policy(name: str = "garden/plants", rules: tuple[Rule, ...] | None = None, **changes: Any) -> Policy:
    """A stable policy; one rule without exemptions unless told otherwise."""
    data: dict[str, Any] = {
        "schema": 1,
        "policy": name,
        "version": "1.2.0",
        "title": f"Area {name}",
        "summary": f"Covers {name}.",
        "status": Status.STABLE,
        "owner": "garden-team",
        "modalities": tuple(Modality),
        "rules": rules or (make_rule(),),
    }
    return Policy(**data | changes)


def count_words(text: str) -> int:
    """The tokenizer of these tests."""
    return len(text.split())


def compiled(*policies: Policy, context_tokens: int = 8192, dialect: str = "compact") -> CompiledPolicy:
    """Policies compiled for a model that counts words."""
    return compile_policies(policies, TargetModel("words", context_tokens, count_words, dialect))


def make_content(
    *lines: str, id: str = "item", modality: Modality = Modality.TEXT, **changes: Any
) -> Content:
    """One segment a line, with offsets into the lines joined by a space."""
    segments, place = [], 0
    for number, line in enumerate(lines, start=1):
        segments.append(Segment(number, SegmentKind.SENTENCE, line, place, place + len(line)))
        place += len(line) + 1
    whole = " ".join(lines).encode("utf-8", "surrogatepass")
    data: dict[str, Any] = {
        "id": id,
        "sha256": hashlib.sha256(whole).hexdigest(),
        "modality": modality,
        "segments": tuple(segments),
        "coverage": Coverage("characters", place, place),
    }
    return Content(**data | changes)


def make_reading(label_mass: float | None = None, **probabilities: float) -> Reading:
    """A reading with these label probabilities; ``except_`` stands for ``except``."""
    found = {name.rstrip("_"): p for name, p in probabilities.items()}
    logprobs = {label: math.log(p) if p > 0 else -math.inf for label, p in found.items()}
    return Reading(logprobs, sum(found.values()) if label_mass is None else label_mass)


def opened(*reads: tuple[str, str, dict[str, float]], **changes: Any) -> ScriptedEngine:
    """An engine that opens every area and answers rules from (rule id, words in the body, labels)."""
    lines = [ScriptedRead(f"*#{rule}", words, labels) for rule, words, labels in reads]
    return ScriptedEngine(reads=[*lines, ScriptedRead("area:*", "", OPEN)], **changes)


def make_entry(key: str, band: tuple[float, float] | None = None, **thresholds: float | None) -> Entry:
    """The calibration of an area or rule: thresholds by name, None for one that was not reached."""
    return Entry(
        key=key,
        method=Method.TEMPERATURE,
        temperature=1.0,
        n=100,
        positives=50,
        thresholds=make_thresholds(thresholds),
        band=None if band is None else Band(clear_below=band[0], fires_at=band[1]),
    )


def make_thresholds(values: Mapping[str, float | None]) -> dict[str, Threshold]:
    """Thresholds by name; None for one that was not reached."""
    return {
        name: Threshold(at=at, reason="the best lower bound is 0.50" if at is None else None)
        for name, at in values.items()
    }


def make_calibration(
    *entries: Entry,
    shared: Mapping[str, float | None] | None = None,
    of: CompiledPolicy | None = None,
    **changes: Any,
) -> Calibration:
    """A calibration for policies behind the scripted engine, or for nothing that exists."""
    nothing = Identity(policy="p" * 64, prompt="t" * 64, model="m" * 64, adapter=None)
    data: dict[str, Any] = {
        "schema": 1,
        "identity": nothing if of is None else identity_of(of, ScriptedEngine().info),
        "entries": entries,
        "shared": make_thresholds(shared or {}),
    }
    return Calibration(**data | changes)


# One policy, an engine that finds nothing, and what it says of one text; for tests of what comes after.
JUDGE = Judge(compiled(make_policy()), ScriptedEngine())
_RECORD = JUDGE.judge(make_content("Water it."))


def record(id: str) -> DecisionRecord:
    """That record under another item id."""
    return replace(_RECORD, item={**_RECORD.item, "id": id})


def write(path: Path, ids: Iterable[str], **options: Any) -> None:
    """Write one record for each id."""
    with RecordFile(path, JUDGE.run, **options) as file:
        for id in ids:
            file.append(record(id))
