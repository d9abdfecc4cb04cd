"""Tiny random models with a tokenizer of a few hundred words, and small data folders to train them on."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.engines.tokens import ChatFrame, ChatTokens, tokens_and_frame
from llm_judge.finetune.data_files import TokenCounter, write_rows
from llm_judge.finetune.training_rows import Contrast, Kind, TrainingRow, Variant

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PICTURE = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for p in m.content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BAD, GOOD = ("weeds", "thorns"), ("roses", "tulips")
# Words of the prompts: few tokens make a run short, and easy to learn for so small a model.
SAID = (
    "system",
    "user",
    "assistant",
    "text",
    " and",
    " more",
    "Judge",
    "You",
    " check",
    " content",
    "Plants",
)
SAID += (":", " or", "?", "ab", "12", "In", " JSON", "evidence", "exemption", "none", "severity", "rationale")
SAID += ("verdict", "violates", "So", '{"', '":', ',"', '":"', '","')
RECIPE = {"schema": 1, "max_tokens": 256, "rank": 8, "alpha": 16, "learning_rate": 0.02, "dtype": "float32"}


def tokenizer_files(folder: Path, special: tuple[str, ...] = SPECIAL) -> int:
    """Write a byte-level tokenizer whose words are those of the tests; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = (YES, NO, EXCEPT, *SAID, *BAD, *GOOD, *(f" {word}" for word in (*BAD, *GOOD, YES, NO)))
    tokenizer.train_from_iterator([word for word in words for _ in range(9)], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return int(tokenizer.get_vocab_size())


def tiny_llama(folder: Path) -> Path:
    """A Llama of two layers, random but seeded."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer_files(folder)
    torch.manual_seed(7)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # a tied head is 0 at the padding token
    config = LlamaConfig(
        vocab_size=words,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.3,  # frozen embeddings near 0 would let no adapter say anything for sure
        **sizes,
        **ids,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_qwen_vl(folder: Path) -> Path:
    """A Qwen2.5-VL of two language layers and one vision layer, with heads of 32, random but seeded."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = tokenizer_files(folder, SPECIAL + PICTURE)
    Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56).save_pretrained(folder)
    numbers = {name: number for number, name in enumerate(SPECIAL + PICTURE)}
    text = {
        "vocab_size": words,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10_000.0},
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 1,
        "hidden_size": 64,
        "num_heads": 2,
        "intermediate_size": 64,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [0],
    }
    torch.manual_seed(7)
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=numbers["<|image_pad|>"],
        video_token_id=numbers["<|video_pad|>"],
        vision_start_token_id=numbers["<|vision_start|>"],
        vision_end_token_id=numbers["<|vision_end|>"],
    )
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


def training_rows(number: int, seed: int) -> dict[str, list[TrainingRow]]:
    """Rows about plants: weeds break the rule, roses do not."""
    draw = random.Random(seed)
    found: dict[str, list[TrainingRow]] = {"reads": [], "explanations": [], "pairs": []}
    for count in range(number):
        right, wrong = (YES, NO) if count % 2 == 0 else (NO, YES)
        plant = draw.choice(BAD if right == YES else GOOD)
        body = f"text ab12\n[1] {plant}{' and more' * draw.randint(0, 6)}\nab12"
        kind = (Kind.AREA, Kind.RULE, Kind.EXEMPTION)[count % 3]
        read = TrainingRow(
            prefix="You check content.",
            body=body,
            question="Plants: yes or no?",
            answer=right,
            kind=kind,
            key="garden/plants",
            variant=Variant.PLAIN,
            source="own",
            lang="en",
            row="0" * 64,
            policy_digest="0" * 64,
            labels=(YES, NO),
        )
        found["reads"].append(read)
        found["pairs"].append(replace(read, rejected=wrong, contrast=Contrast.LABEL))
        if count % 4 == 0:
            reply = {
                "evidence": [1],
                "exemption": "none",
                "severity": 3,
                "rationale": "So.",
                "verdict": "violates",
            }
            text = json.dumps(reply, separators=(",", ":"))
            found["explanations"].append(
                replace(read, question="In JSON.", answer=text, kind=Kind.EXPLANATION, labels=())
            )
    return found


def data_folder(folder: Path, model: Path, train: int = 96, dev: int = 72) -> Path:
    """What `llm-judge finetune data` would write for the tiny model."""
    folder.mkdir(parents=True, exist_ok=True)
    counter = TokenCounter(*tokens_and_frame(model))
    for prefix, number, seed in (("", train, 1), ("dev_", dev, 2)):
        for name, rows in training_rows(number, seed).items():
            write_rows(folder / f"{prefix}{name}.parquet", rows, {}, counter)
    return folder


def write_recipe(path: Path, stage: str, **settings: Any) -> Path:
    """A recipe of a few seconds; JSON is YAML too."""
    path.write_text(json.dumps(RECIPE | {"stage": stage} | settings, indent=1))
    return path


def tiny_tokens(folder: Path) -> tuple[ChatTokens, ChatFrame]:
    """Tokenizer and frame of a tiny model."""
    return tokens_and_frame(folder)
