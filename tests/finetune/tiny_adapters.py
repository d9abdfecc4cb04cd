"""Adapters trained in seconds on a tiny random model: on right answers, or on shuffled ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.content.text import from_text
from llm_judge.engines.tokens import packaged_definition, tokens_and_frame
from llm_judge.evals.probe_edits import inverted
from llm_judge.finetune.liveness_probes import ProbeSet
from llm_judge.prompt import build_prompt

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
POLICY = """\
schema: 1
policy: toy/{name}
version: 1.0.0
title: {title}
summary: Talk of a {name}.
status: test
owner: tests
modalities: [text]
rules:
  - {{id: T1, title: {title}, violates: Mentions a {name}., severity: 1}}
actions:
  - {{probability_at_least: 0.5, do: review}}
otherwise: allow
on_error: review
"""
# Which policy a question is about, its number, whether it is inverted, which content → the answer to learn.
Answer = Callable[[int, bool, int], bool]
_BATCH = 20


def toy_probes(folder: Path) -> Path:
    """Two policies, each broken by five contents of a few words."""
    folder.mkdir()
    for name, title in (("kite", "Kites"), ("piano", "Pianos")):
        (folder / f"{name}.yaml").write_text(POLICY.format(name=name, title=title), "utf-8")
    rows = [
        {"text": f"{verb} a {name}.", "breaks": [f"toy/{name}#T1"]}
        for verb in ("I see", "We bought", "They found", "She has", "He lost")
        for name in ("kite", "piano")
    ]
    (folder / "contents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def tiny_base(folder: Path) -> Path:
    """A random Llama of two layers with the real tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=49152, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
        initializer_range=0.3, bos_token_id=1, eos_token_id=2, pad_token_id=2, **size
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return folder


def rows_of(base: Path, probes: ProbeSet, answer: Answer) -> tuple[list[list[int]], list[int]]:
    """Prompts of every question about every content, and the token to answer."""
    tokens, frame = tokens_and_frame(base)
    yes, no = tokens.label_ids(("yes", "no"))
    target = TargetModel(base.name, 2048, tokens.count)
    versions = (probes.policies, [inverted(each, each.rules[0].id) for each in probes.policies])
    prompts, answers = [], []
    for turned, policies in enumerate(versions):
        compiled = compile_policies(policies, target)
        questions = [] if turned else [area.question for area in compiled.areas]
        questions += [rule.question for rule in compiled.rules]
        for number, text in enumerate(probes.texts):
            prompt = build_prompt(compiled, from_text(text), tokens.special_tokens)
            for place, question in enumerate(questions):
                prompts.append(frame.prompt_ids(tokens, prompt, question.text))
                answers.append(yes if answer(place % len(policies), bool(turned), number) else no)
    return prompts, answers


def train(base: Path, out: Path, probes: ProbeSet, answer: Answer, steps: int = 100) -> float:
    """Train a LoRA adapter until it has the answers by heart, and save it; return the last loss."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    prompts, answers = rows_of(base, probes, answer)
    longest = max(map(len, prompts))
    ids = torch.tensor([row + [2] * (longest - len(row)) for row in prompts])
    last = torch.tensor([len(row) - 1 for row in prompts])
    targets = torch.tensor(answers)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    inner = model.get_base_model()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(steps):
        some = torch.randperm(len(ids))[:_BATCH]
        hidden = inner.model(ids[some], use_cache=False).last_hidden_state
        logits = inner.lm_head(hidden[torch.arange(len(some)), last[some]])
        loss = torch.nn.functional.cross_entropy(logits, targets[some])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.save_pretrained(out)
    return float(loss.detach())
