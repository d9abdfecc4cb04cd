"""The registry: what goes in comes out, what was changed is found, and a kill leaves it whole."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lora_files import lora_folder

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.adapters.manifest import NAME, AdapterFacts, GatesPassed
from llm_judge.adapters.registry import AdapterRegistry, check_name
from llm_judge.errors import EngineError, UsageError

NOTHING = AdapterFacts()


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    """Adapters ``one`` and ``two``."""
    found = AdapterRegistry(tmp_path / "registry")
    for seed, name in enumerate(("one", "two")):
        found.add(lora_folder(tmp_path / name, seed), name, NOTHING)
    return found


def test_an_adapter_is_found_by_name_and_by_digits(registry: AdapterRegistry, tmp_path: Path) -> None:
    digest = adapter_digest(tmp_path / "one")
    for reference in ("one", digest, digest[:8]):
        folder, manifest = registry.open(reference)
        assert (folder.name, manifest.digest, adapter_digest(folder)) == (digest, digest, digest)
    assert registry.resolve(digest[:7]) is None
    with pytest.raises(UsageError, match=r"no adapter `three`"):
        registry.open("three")
    with pytest.raises(UsageError, match="no adapter is current"):
        registry.open("current")


def test_digits_that_fit_several_adapters_are_refused(registry: AdapterRegistry) -> None:
    state = registry.state()
    known = next(iter(state.manifests.values()))
    twins = state.model_copy(update={"manifests": {"0" * 64: known, "0" * 63 + "1": known}})
    assert registry.resolve("0" * 64, twins) == "0" * 64
    with pytest.raises(UsageError, match="`00000000` fits 2 adapters"):
        registry.resolve("0" * 8, twins)


def test_names_are_never_moved_and_may_be_several(registry: AdapterRegistry, tmp_path: Path) -> None:
    registry.add(tmp_path / "one", "again", NOTHING)
    assert registry.state().names_of(adapter_digest(tmp_path / "one")) == ["again", "one"]
    with pytest.raises(UsageError, match="`two` is another adapter"):
        registry.add(tmp_path / "one", "two", NOTHING)
    assert len(list((registry.folder / "adapters").iterdir())) == 2


@given(
    st.text(max_size=80) | st.from_regex(NAME) | st.sampled_from(["../x", "a/b", "current", "0" * 8, "a\n"])
)
def test_a_name_is_refused_or_safe(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name)
    assert name not in ("current", "base") and not re.fullmatch(r"[0-9a-f]{8,}", name)
    assert Path("x", name).parent == Path("x")


@given(st.text(max_size=80))
def test_no_reference_reaches_outside(reference: str) -> None:
    """Whatever is asked for, a digest that the registry knows comes out, or nothing."""
    assert AdapterRegistry(Path("/nonexistent/registry")).resolve(reference) is None


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def link(path: Path) -> None:
    shutil.move(path, path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: changed(f / "adapter_model.safetensors"), "was changed"),
        (lambda f: changed(f / "adapter_config.json"), "was changed"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "is gone"),
        (lambda f: (f / "extra.bin").write_text("x"), "does not belong here"),
        (lambda f: link(f / "adapter_model.safetensors"), "it is a link"),
        (shutil.rmtree, "is gone"),
        (link, "is a link"),
    ],
)
def test_damage_is_found_and_stops_use(
    registry: AdapterRegistry, damage: Callable[[Path], None], message: str
) -> None:
    folder, manifest = registry.open("one")
    damage(folder)
    problems = registry.problems()
    assert message in problems[manifest.digest][0]
    assert problems[registry.manifest("two").digest] == []
    for use in (registry.open, lambda name: registry.promote(name, "test")):
        with pytest.raises(EngineError, match="is damaged"):
            use("one")


def test_adding_again_mends_a_damaged_folder(registry: AdapterRegistry, tmp_path: Path) -> None:
    folder, _ = registry.open("one")
    changed(folder / "adapter_model.safetensors")
    registry.add(tmp_path / "one", "one", NOTHING)
    assert registry.open("one")[0] == folder


def test_a_folder_that_nothing_names_is_told(registry: AdapterRegistry) -> None:
    (registry.folder / "adapters" / "stray").mkdir()
    assert "does not know it" in registry.problems()["stray"][0]


def test_links_and_pipes_are_not_copied_in(registry: AdapterRegistry, tmp_path: Path) -> None:
    link(tmp_path / "one" / "adapter_config.json")
    with pytest.raises(UsageError, match="it is a link"):
        registry.add(tmp_path / "one", "linked", NOTHING)
    (tmp_path / "whole").symlink_to(tmp_path / "two")
    with pytest.raises(UsageError, match="is a link"):
        registry.add(tmp_path / "whole", "linked", NOTHING)
    os.mkfifo(tmp_path / "two" / "README.md")
    with pytest.raises(UsageError, match="it is not a file"):
        registry.add(tmp_path / "two", "piped", NOTHING)
    assert sorted(registry.state().names) == ["one", "two"]


def test_promotion_needs_both_gates_against_the_current_one(registry: AdapterRegistry) -> None:
    one, two = (registry.manifest(name).digest for name in ("one", "two"))
    with pytest.raises(UsageError, match="liveness gate"):
        registry.promote("one")
    registry.passed(one, GatesPassed(liveness="now"))
    with pytest.raises(UsageError, match="promotion gate"):
        registry.promote("one")
    registry.passed(one, GatesPassed(promotion="now"))
    assert registry.promote("one").digest == one
    registry.passed(two, GatesPassed(liveness="now", promotion="now"))
    with pytest.raises(UsageError, match="compared with the untuned base, not with the current one"):
        registry.promote("two")
    registry.passed(two, GatesPassed(promotion="now", against=one))
    registry.promote("two")
    assert registry.state().current == two
    with pytest.raises(UsageError, match="current adapter already"):
        registry.promote("two", "again")


def test_rollback_goes_back_one_and_history_stays(registry: AdapterRegistry) -> None:
    for name in ("one", "two"):
        registry.promote(name, "test")
    assert registry.rollback().digest == registry.manifest("one").digest == registry.state().current
    with pytest.raises(UsageError, match="no earlier adapter"):
        registry.rollback()
    assert [event.action for event in registry.state().history] == ["promote", "promote", "rollback"]


def test_a_damaged_state_is_one_error(registry: AdapterRegistry) -> None:
    path = registry.folder / "registry.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UsageError, match="is not a registry of adapters"):
        registry.state()


def test_many_writers_lose_nothing(registry: AdapterRegistry, tmp_path: Path) -> None:
    def add(number: int) -> None:
        registry.add(tmp_path / "one", f"name-{number}", NOTHING)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.state().names) == 14


PROMOTE_FOREVER = """
import itertools, sys
from pathlib import Path
from llm_judge.adapters.registry import AdapterRegistry
registry = AdapterRegistry(Path(sys.argv[1]))
print("ready", flush=True)
for name in itertools.cycle(("one", "two")):
    registry.promote(name, "test")
"""


def test_killing_a_promotion_leaves_the_one_before_or_the_one_after(registry: AdapterRegistry) -> None:
    draw = random.Random(4)
    for _ in range(4):
        registry.promote("two", "test") if registry.state().current != registry.manifest(
            "two"
        ).digest else None
        process = subprocess.Popen(
            [sys.executable, "-c", PROMOTE_FOREVER, str(registry.folder)], stdout=subprocess.PIPE
        )
        assert process.stdout and process.stdout.readline()
        time.sleep(draw.uniform(0.005, 0.05))
        process.kill()
        process.communicate()
        state = registry.state()
        assert state.current == state.promoted[-1] == state.history[-1].digest
        assert registry.open("current")
        registry.passed(state.current, GatesPassed(liveness="now"))  # the lock went with the process
    assert len(registry.state().history) > 4
