"""`llm-judge show prompt`: the exact prompt and its size, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.engines.convert import MODEL
from llm_judge.engines.tokens import packaged_tokens
from llm_judge.policy.load import load_policies


@pytest.fixture
def show(folder, llm_judge):
    return lambda *words: llm_judge("show", "prompt", "-p", "sales.yaml", *words)


def test_the_prompt_has_policy_then_content_then_question(show):
    run = show("We sell cheap passports.", "--question", "demo/sales#MS1")
    assert run.code == 0
    places = [run.out.rindex(words) for words in ("hide what they cost", "cheap passports", "fee before a")]
    assert places == sorted(places)
    assert "left of the context" in run.err


def test_json_counts_every_part(show):
    shown = json.loads(show("Fine.", "--json").out)
    assert shown["tokens"]["this prompt, with chat frame"] > shown["tokens"]["content"] > 0
    assert "Fine." in shown["prompt"]
    assert len(shown["policy_digest"]) == len(shown["prompt_digest"]) == 64


def test_digests_are_those_of_the_judge_on_the_packaged_model(show):
    shown = json.loads(show("Fine.", "--json").out)
    target = TargetModel(MODEL, 8192, packaged_tokens().count)
    compiled = compile_policies(load_policies([Path("sales.yaml")]), target)
    assert (shown["policy_digest"], shown["prompt_digest"]) == (compiled.digest, compiled.prompt_digest)


def test_the_question_asked_by_default_is_the_first_area(show):
    asked = show("Fine.", "--question", "demo/sales").out
    assert show("Fine.").out.splitlines()[-3:] == asked.splitlines()[-3:]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["Fine.", "--question", "demo/sales#MS3"], 2, "error: no question is called `demo/sales#MS3`"),
        (["Fine.", "--dialect", "short"], 2, "error: unknown prompt dialect `short`"),
        (["Fine.", "--only", "demo/sale"], 2, "error: there is no policy `demo/sale`"),
        (["none.png"], 2, "error: no file `none.png`"),
        (["-"], 2, "error: there is nothing to show in `-`"),
        ([""], 3, "error: the text is empty"),
    ],
)
def test_what_cannot_be_shown_is_one_line(show, words, code, message):
    run = show(*words)
    assert (run.code, run.out) == (code, "")
    assert run.err.splitlines()[0].startswith(message)
    assert len(run.err.splitlines()) <= 2


def test_a_near_miss_brings_a_suggestion(show):
    assert "did you mean `demo/sales#MS" in show("Fine.", "--question", "demo/sales#MS3").err
