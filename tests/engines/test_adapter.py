"""Adapters: merged for real, and refused in one line when they do not fit."""

import json

import pytest
from engine_requests import largest_difference, request

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.errors import EngineError


@pytest.fixture
def adapter(tiny_folder, tmp_path):
    """A LoRA adapter with weights that are not zero, as training would leave it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    folder = tmp_path / "adapter"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def lora_weights(adapter):
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    return load_file(path), lambda weights: save_file(weights, path)


def test_an_adapter_changes_the_answers_and_is_named(fresh, adapter, tiny):
    engine = fresh(adapter_dir=adapter)
    requests = [request(2, 2), request(5, 1)]
    assert largest_difference(engine.read(requests), tiny.read(requests)) > 1e-2
    assert largest_difference(engine.read(requests), engine.read_plain(requests)) < 1e-4
    assert engine.info.adapter_digest == adapter_digest(adapter)
    assert tiny.info.adapter_digest is None


def test_merging_keeps_the_position_encoding_exact(fresh, adapter, tiny):
    """Rounded frequencies would put distant tokens elsewhere than training did."""
    merged = fresh(adapter_dir=adapter, dtype="bfloat16").model
    exact = tiny.model.model.rotary_emb.inv_freq
    assert merged.model.rotary_emb.inv_freq.equal(exact)
    assert {str(weight.dtype) for weight in merged.parameters()} == {"torch.bfloat16"}


def test_merged_equals_unmerged(fresh, adapter, tiny_folder):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    beside = PeftModel.from_pretrained(base, adapter).eval()
    ids = torch.arange(100, 140)[None]
    with torch.inference_mode():
        merged = fresh(adapter_dir=adapter).model(ids).logits
        assert torch.allclose(merged, beside(ids).logits, atol=1e-4)


def test_a_missing_or_corrupt_adapter_is_one_error(fresh, adapter, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match=r"has no adapter_config\.json"):
        fresh(adapter_dir=tmp_path / "empty")
    (adapter / "adapter_model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(EngineError, match="damaged"):
        fresh(adapter_dir=adapter)


def test_an_adapter_of_other_shapes_or_names_is_refused(fresh, adapter, lora_weights):
    weights, save = lora_weights
    first = next(iter(weights))
    save({name: weight[:, :-1].contiguous() for name, weight in weights.items()})
    with pytest.raises(EngineError, match="does not fit"):
        fresh(adapter_dir=adapter)
    save({name: weight for name, weight in weights.items() if name != first})
    with pytest.raises(EngineError, match="another model"):
        fresh(adapter_dir=adapter)
    save({**weights, "base_model.model.model.layers.9.x.lora_A.weight": weights[first].clone()})
    with pytest.raises(EngineError, match="another model"):
        fresh(adapter_dir=adapter)


def test_only_lora_is_read(fresh, adapter):
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    with pytest.raises(EngineError, match="not a LoRA"):
        fresh(adapter_dir=adapter)
