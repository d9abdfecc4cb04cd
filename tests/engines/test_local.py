"""The in-process engine: the shared forward equals the plain one, and nothing is cut or guessed."""

import dataclasses
import json
import math

import pytest
from engine_requests import largest_difference, request
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.engines.protocol import GenerateRequest
from llm_judge.errors import EngineError, EngineUnavailable, UsageError
from llm_judge.prompt import Prompt, Question

SCHEMA = {
    "type": "object",
    "properties": {
        "evidence": {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 1, "maxItems": 3},
        "severity": {"enum": [2, 4]},
        "label": {"enum": ["yes", "no"]},
    },
    "required": ["evidence", "severity", "label"],
    "additionalProperties": False,
}


@settings(max_examples=15, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=1, max_size=5),
    batch_tokens=st.sampled_from([1, 200, 5000]),
)
def test_one_forward_equals_the_plain_computation(tiny, shapes, batch_tokens):
    tiny._batch_tokens = batch_tokens
    requests = [request(words, questions) for words, questions in shapes]
    assert largest_difference(tiny.read(requests), tiny.read_plain(requests)) < 1e-4


def test_answers_do_not_depend_on_order_or_company(tiny):
    requests = [request(words, questions) for words, questions in [(2, 3), (30, 1), (1, 6)]]
    alone = [tiny.read([one])[0] for one in requests]
    assert largest_difference(tiny.read(requests), alone) < 1e-4
    assert largest_difference(tiny.read(requests[::-1])[::-1], alone) < 1e-4


def test_a_question_does_not_see_the_others(tiny):
    full = request(4, 5)
    single = dataclasses.replace(full, questions=full.questions[3:4])
    assert largest_difference([tiny.read([full])[0][3:4]], tiny.read([single])) < 1e-4


def test_a_prefix_is_computed_once_and_the_oldest_is_forgotten(fresh):
    engine = fresh()
    engine.read([request(1), request(2)])
    prefix = engine.prefix_tokens
    assert 0 < prefix < engine.tokens_computed
    engine.read([request(3)])
    assert (engine.prefixes_computed, engine.prefix_tokens) == (1, prefix)
    engine.read([request(1, prefix=f"Policy {number}.") for number in range(4)])
    engine.read([request(1)])
    assert engine.prefixes_computed == 6


def test_mixed_prefixes_keep_the_order_of_the_requests(tiny):
    requests = [request(2, 1, prefix="One."), request(2, 2, prefix="Two."), request(3, 1, prefix="One.")]
    assert largest_difference(tiny.read(requests), tiny.read_plain(requests)) < 1e-4


def test_label_mass_is_the_sum_over_the_full_vocabulary(tiny):
    reading = tiny.read([request()])[0][0]
    assert reading.label_mass == pytest.approx(sum(map(math.exp, reading.logprobs.values())))
    assert 0 < reading.label_mass < 0.5


def test_no_requests_and_no_questions(tiny):
    assert tiny.read([]) == []
    assert tiny.read([request(questions=0), request(questions=1)])[0] == []


@pytest.mark.parametrize("labels", [("extraordinarily unlikely", "no"), ("yes", "yes"), ()])
def test_labels_must_be_distinct_single_tokens(tiny, labels):
    asked = dataclasses.replace(request(), questions=(Question("rule:x#1", "Well?", labels),))
    with pytest.raises(EngineError, match="token"):
        tiny.read([asked])


def test_a_prompt_over_the_context_says_by_how_much(tiny):
    base = tiny.count_tokens(" good" * 600)
    with pytest.raises(EngineError, match=r"the prompt is (\d+) tokens over the 512") as caught:
        tiny.read([dataclasses.replace(request(), prompt=Prompt("", " good" * 600))])
    over = int(caught.value.message.split()[3])
    assert base - 512 < over < base - 512 + 60


def test_generation_room_counts_against_the_context(tiny):
    with pytest.raises(EngineError, match="over the 512"):
        tiny.generate([GenerateRequest(request().prompt, "Answer.", SCHEMA, 500)])


def test_generation_obeys_the_schema_and_its_order(tiny):
    requests = [GenerateRequest(request(words).prompt, "Answer in JSON.", SCHEMA, 60) for words in (1, 9, 4)]
    for completion in tiny.generate(requests):
        answer = json.loads(completion.text)
        assert list(answer) == ["evidence", "severity", "label"]
        assert set(answer["evidence"]) <= {1, 2, 3}
        assert answer["severity"] in {2, 4}
        assert answer["label"] in {"yes", "no"}
        assert "\n" not in completion.text
        assert ": " not in completion.text
        assert completion.finish_reason == "stop"


def test_each_request_keeps_its_own_schema_in_a_batch(tiny):
    other = {"type": "object", "properties": {"other": {"enum": ["this"]}}, "required": ["other"]}
    prompt = request().prompt
    first, second = tiny.generate(
        [GenerateRequest(prompt, "Answer.", SCHEMA, 60), GenerateRequest(prompt, "Go.", other, 60)]
    )
    assert "evidence" in json.loads(first.text)
    assert json.loads(second.text)["other"] == "this"


def test_a_batched_generation_equals_the_single_one(tiny):
    requests = [GenerateRequest(request(words).prompt, "Answer in JSON.", SCHEMA, 60) for words in (1, 9)]
    assert tiny.generate(requests) == [tiny.generate([one])[0] for one in requests]


def test_decoding_behind_the_shared_prefix_equals_the_plain_forward(tiny):
    import torch

    from llm_judge.engines.generate import _Decoder

    head = tiny.frame.prefix_ids(tiny.tokens, "Judge the content.")
    rows = [tiny.tokens.encode("good morning " * words) for words in (2, 9)]
    with torch.inference_mode():
        decoder = _Decoder(tiny.model, tiny.prefix_cache("Judge the content."), len(rows))
        for added in (rows, [[500], [600, 700, 800]]):
            logits = decoder.read(added)
            rows = rows if added is rows else [[*old, *new] for old, new in zip(rows, added, strict=True)]
            plain = [tiny.model(torch.tensor([[*head, *row]])).logits[0, -1] for row in rows]
            assert torch.allclose(logits, torch.stack(plain), atol=1e-4)


def test_what_the_grammar_forces_is_not_decoded_token_by_token(tiny, monkeypatch):
    from llm_judge.engines import generate

    reads = []
    read = generate._Decoder.read

    def counted(self, added):
        reads.append(added)
        return read(self, added)

    monkeypatch.setattr(generate._Decoder, "read", counted)
    completion = tiny.generate([GenerateRequest(request().prompt, "Answer in JSON.", SCHEMA, 60)])[0]
    assert len(reads) < completion.completion_tokens / 2


def test_a_cut_generation_says_so(tiny):
    completion = tiny.generate([GenerateRequest(request().prompt, "Answer.", SCHEMA, 3)])[0]
    assert completion.finish_reason == "length"
    assert completion.completion_tokens == 3


def test_an_impossible_schema_is_one_error(tiny):
    with pytest.raises(EngineError, match="schema"):
        tiny.generate([GenerateRequest(request().prompt, "Answer.", {"type": "nonsense"}, 9)])


def test_a_closed_engine_answers_nothing(fresh):
    engine = fresh()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.read([request()])


def test_bfloat16_products_are_added_up_in_float32(fresh):
    import torch

    model = fresh(dtype="bfloat16").model
    hidden = model.model(torch.tensor([[5, 6, 7]])).last_hidden_state
    assert (hidden.dtype, model.lm_head(hidden).dtype) == (torch.float32, torch.bfloat16)


def test_unknown_dtype(fresh):
    with pytest.raises(UsageError, match="float64"):
        fresh(dtype="float64")


def test_a_folder_without_a_model(tmp_path):
    from llm_judge.engines.local import LocalEngine

    with pytest.raises(EngineUnavailable, match="holds no model"):
        LocalEngine(tmp_path)


def test_damaged_weights_are_one_error(tiny_folder, tmp_path):
    import shutil

    from llm_judge.engines.local import LocalEngine

    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        LocalEngine(copy)


@pytest.fixture(scope="module")
def packaged_float32():
    from llm_judge.engines.open import open_engine

    return open_engine("local:base", dtype="float32")


@pytest.mark.model
def test_packaged_model_reads_the_same_both_ways(packaged_float32):
    requests = [request(2, 3), request(9, 1)]
    shared = packaged_float32.read(requests)
    assert largest_difference(shared, packaged_float32.read_plain(requests)) < 1e-4
    assert all(reading.label_mass > 1e-3 for row in shared for reading in row)


@pytest.mark.model
def test_packaged_model_in_bfloat16_is_close(packaged_float32):
    from llm_judge.engines.open import open_engine

    requests = [request(2, 2), request(6, 1)]
    close = open_engine("local:base").read(requests)
    for exact, rough in zip(packaged_float32.read(requests), close, strict=True):
        for one, other in zip(exact, rough, strict=True):
            assert math.exp(one.logprobs["yes"]) == pytest.approx(math.exp(other.logprobs["yes"]), abs=0.05)


@pytest.mark.model
def test_bfloat16_does_not_round_the_answers():
    from llm_judge.engines.open import open_engine

    readings = open_engine("local:base").read([request(6, 4)])[0]
    # Logits between 4 and 32 would be multiples of 1/32, 1/16 or 1/8.
    steps = [32 * (reading.logprobs["yes"] - reading.logprobs["no"]) for reading in readings]
    assert max(abs(step - round(step)) for step in steps) > 0.05


@pytest.mark.model
def test_packaged_labels_are_single_tokens_and_its_info_names_the_gguf(packaged_float32):
    asked = (Question("rule:x#1", "Well?", ("yes", "no", "except")),)
    reading = packaged_float32.read([dataclasses.replace(request(), questions=asked)])[0][0]
    assert set(reading.logprobs) == {"yes", "no", "except"}
    assert packaged_float32.info.model_digest.startswith("b179c952")
    assert packaged_float32.info.context_tokens == 8192
