"""A tiny random Llama with the real tokenizer for mechanics, and the packaged model where marked."""

import json

import pytest
from engine_requests import TEMPLATE

from llm_judge.engines.tokens import packaged_definition


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A model folder of a few megabytes: two layers, four heads on two key heads, 512 tokens of context."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    from llm_judge.engines.local import LocalEngine

    return LocalEngine(tiny_folder, dtype="float32")


@pytest.fixture
def fresh(tiny_folder):
    from llm_judge.engines.local import LocalEngine

    return lambda **options: LocalEngine(tiny_folder, **{"dtype": "float32", **options})
