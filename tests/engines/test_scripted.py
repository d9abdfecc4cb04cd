"""The scripted engine answers what it was told to, and engines are opened by name."""

import json
import math

import pytest
from engine_requests import request

from llm_judge.engines.open import open_engine
from llm_judge.engines.protocol import GenerateRequest
from llm_judge.engines.scripted import ScriptedEngine, ScriptedRead, smallest
from llm_judge.errors import EngineError, UsageError


def test_first_match_wins_and_the_default_answers_the_rest():
    engine = ScriptedEngine(reads=[ScriptedRead("rule:x#1", "morning", {"yes": 0.9, "no": 0.05})])
    default, hit = engine.read([request(questions=2)])[0]
    assert math.exp(hit.logprobs["yes"]) == pytest.approx(0.9)
    assert hit.label_mass == pytest.approx(0.95)
    assert default.logprobs["no"] > default.logprobs["yes"]
    assert (engine.read_calls, engine.questions_read) == (1, 2)


def test_it_can_be_told_to_fail_and_refuses_long_prompts():
    with pytest.raises(EngineError, match="engine fell over"):
        ScriptedEngine(failures=[("morning", "engine fell over")]).read([request()])
    with pytest.raises(EngineError, match="tokens over"):
        ScriptedEngine(context_tokens=5).read([request(words=50)])


def test_generation_is_scripted_or_the_smallest_answer():
    schema = {
        "type": "object",
        "properties": {
            "evidence": {"type": "array", "items": {"enum": [3]}, "minItems": 1},
            "exemption": {"enum": ["none"]},
            "rationale": {"type": "string"},
        },
        "required": ["evidence", "exemption", "rationale"],
    }
    assert smallest(schema) == {"evidence": [3], "exemption": "none", "rationale": ""}
    engine = ScriptedEngine(completions=[("Explain A", {"a": 1})])
    prompt = request().prompt
    texts = [
        done.text
        for done in engine.generate(
            [GenerateRequest(prompt, "Explain A", schema, 9), GenerateRequest(prompt, "Explain B", schema, 9)]
        )
    ]
    assert [json.loads(text) for text in texts] == [{"a": 1}, smallest(schema)]


def test_a_script_is_read_from_a_file(tmp_path):
    path = tmp_path / "script.json"
    path.write_text('{"reads": [{"question": "*", "contains": "", "probabilities": {"yes": 0.7}}]}')
    engine = open_engine(f"scripted:{path}")
    assert math.exp(engine.read([request()])[0][0].logprobs["yes"]) == pytest.approx(0.7)


@pytest.mark.parametrize("text", ["[]", "{", '{"reads": [{"rule": 1}]}'])
def test_a_wrong_script_is_one_error(tmp_path, text):
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a script"):
        open_engine(f"scripted:{path}")


@pytest.mark.parametrize("spec", ["locale", "", "local:", "scripted:", "gpt"])
def test_an_unknown_engine_lists_the_choices(spec):
    with pytest.raises(UsageError, match="unknown engine") as caught:
        open_engine(spec)
    assert "local:base" in str(caught.value.hint)


def test_an_adapter_folder_that_is_not_there(tmp_path):
    with pytest.raises(EngineError, match="no adapter folder"):
        open_engine(f"local:{tmp_path / 'nothing'}")


def test_a_call_takes_its_time_and_is_noted(tmp_path):
    (tmp_path / "script.json").write_text(json.dumps({"delay_ms": 30, "log": str(tmp_path / "calls")}))
    engine = open_engine(f"scripted:{tmp_path / 'script.json'}")
    engine.read([])  # asks nothing: neither takes time nor is noted
    engine.read([request()])
    (line,) = (tmp_path / "calls").read_text().splitlines()
    call = json.loads(line)
    assert call["ended"] - call["began"] >= 0.03 and call["bodies"] == [request().prompt.body]
