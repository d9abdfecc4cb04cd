"""Two revisions of one small set of guidelines, and files that a reload reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from processes import FIRES, POLICY, SCRIPT
from serving import HeldEngine, guidelines, running, scripted, service_with, until

from llm_judge.engines.open import open_engine
from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.policy.model import ActionStep
from llm_judge.service.arms import Arm
from llm_judge.service.guidelines import made
from llm_judge.service.judges import Judges
from llm_judge.service.rollout.rollout import RolloutPlan
from llm_judge.service.rollout.source import Source
from llm_judge.service.state import Service, build

__all__ = [
    "FIRES", "HeldEngine", "files", "guidelines", "milder", "running", "scripted", "served", "service_with",
    "until", "write_policy", "write_script",
]  # fmt: skip


def milder(engine: ScriptedEngine | None = None, *, other: bool = False) -> Judges:
    """A candidate that reviews where the stable revision removes; or another one, that restricts the age."""
    do = "age_restrict" if other else "review"
    steps = (ActionStep.model_validate({"do": do}, strict=False),)
    changed = guidelines()
    plants = changed.policies[0].model_copy(update={"actions": steps, "version": "1.3.0"})
    found = made((plants, *changed.policies[1:]), {}, revision="candidate")
    return Judges(found, scripted() if engine is None else engine)


def write_policy(folder: Path, version: str, **words: str) -> None:
    """Write the policy that a reload reads, at once."""
    text = POLICY.replace("version: 1.0.0", f"version: {version}")
    for old, new in words.items():
        text = text.replace(old, new)
    part = folder / "sales.part"
    part.write_text(text)
    part.replace(folder / "sales.yaml")


def write_script(folder: Path, **changes: Any) -> None:
    """Write what the engine answers, at once."""
    part = folder / "script.part"
    part.write_text(json.dumps({**SCRIPT, **changes}))
    part.replace(folder / "script.json")


def files(folder: Path) -> Source:
    """A policy and a script in a folder."""
    write_policy(folder, "1.0.0")
    write_script(folder)
    return Source([folder / "sales.yaml"], engine=f"scripted:{folder / 'script.json'}")


def served(source: Source, **options: Any) -> Service:
    """A started service that can reload; close it."""
    judges = Judges(source.guidelines(), open_engine(str(source.engine)))
    service = build(judges, plan=RolloutPlan({Arm.STABLE: source}), **options)
    assert service.health.check() is None
    return service
