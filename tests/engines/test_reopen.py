"""Whether an engine's name means another engine by now."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "adapters"))
from lora_files import lora_folder

from llm_judge.adapters.manifest import AdapterFacts
from llm_judge.adapters.registry import AdapterRegistry
from llm_judge.engines import reopen
from llm_judge.engines.reopen import reopen_engine
from llm_judge.engines.scripted import ScriptedEngine


def test_a_script_is_another_engine_once_it_says_something_else(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text("{}")
    now = ScriptedEngine.from_file(path)
    assert reopen_engine(f"scripted:{path}", now) is now
    path.write_text(json.dumps({"default": {"no": 0.9}}))
    assert reopen_engine(f"scripted:{path}", now) is not now


def test_a_server_is_never_opened_again() -> None:
    now: Any = object()
    assert reopen_engine("vllm:model@http://127.0.0.1:1", now) is now


def test_current_is_read_from_the_registry_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_JUDGE_ADAPTERS", str(tmp_path / "registry"))
    opened: list[str] = []
    monkeypatch.setattr(reopen, "open_engine", lambda spec: opened.append(spec) or "new")  # loads a model
    registry = AdapterRegistry(tmp_path / "registry")
    first, second = (
        registry.add(lora_folder(tmp_path / name, seed), name, AdapterFacts()).digest
        for seed, name in enumerate(("first", "second"))
    )
    registry.promote("first", "for a test")
    now: Any = SimpleNamespace(info=SimpleNamespace(adapter_digest=first))
    assert reopen_engine("local:current", now) is now and opened == []
    registry.promote("second", "for a test")
    assert reopen_engine("local:current", now) == "new" and opened == ["local:current"]  # type: ignore[comparison-overlap]
    registry.rollback()
    assert reopen_engine("local:current", now) is now
    assert first != second
