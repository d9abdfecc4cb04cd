"""Recipes of training runs: strict YAML in, typed settings out, known-bad settings refused with their place.

Knows nothing about how training is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.finetune.recipe_file import load_recipe, parse_recipe
from llm_judge.finetune.training_rows import Contrast, Kind
from llm_judge.policy.model import Node
from llm_judge.policy.shape import suggestion
from llm_judge.resources import content_folder
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.source import Source, SourceNode

SERVED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM 0.32, `max_lora_rank`
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PACKAGED = "packaged"
Name = Annotated[str, Field(min_length=1, max_length=400)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]


class TrainingRecipe(Node):
    """What every run has; ``finetune/README.md`` explains every key.

    Attributes:
        model: ``packaged``, or the folder of a base model.
        start_from: folder of an adapter to go on from.
        data: folder of ``finetune data``; for pictures a file of rows. An option goes before it.
        dev: file of held-out rows with pictures; the folder of ``finetune data`` has its own.
        out: folder of the adapter; an option goes before it.
        kinds: what is trained on; all kinds if empty.
        max_tokens: longer rows are left out, never cut.
        rank, alpha, targets: of the LoRA adapter; its change is scaled by alpha / rank.
        learning_rate: the highest; ``warmup`` is the share of all steps that lead up to it.
        batch: rows of one forward of one process; ``accumulation`` of them make a step.
        epochs, max_steps: whichever ends first; 0 steps is no limit.
        evaluate_every: steps between two looks at dev; also between two checkpoints.
        patience: looks without a better one after which training stops; 0 never.
        dev_rows: rows of each kind looked at, at most.
        dtype: of the frozen weights; those of the adapter are float32 until they are saved.
        gradient_checkpointing: compute activations twice and keep few of them.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    model: Name = PACKAGED
    start_from: Name | None = None
    data: Name | None = None
    dev: Name | None = None
    out: Name | None = None
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    kinds: tuple[Kind, ...] = ()
    max_tokens: Annotated[int, Field(ge=16, le=1_000_000)] = 1_024
    rank: int = 16
    alpha: Positive = 32
    targets: tuple[Name, ...] = TARGETS
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    learning_rate: Rate = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Share = 0.05
    weight_decay: Share = 0.0
    batch: Positive = 16
    accumulation: Positive = 1
    epochs: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    max_steps: Count = 0
    evaluate_every: Positive = 100
    patience: Count = 0
    dev_rows: Positive = 400
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False


class SftRecipe(TrainingRecipe):
    """Supervised training on right answers.

    Attributes:
        weights: kind → weight of each token of its answers, times the rows' own; 1 where it is not named.
        watch: figure on dev that says which step was best: ``auroc`` of reads, or ``loss`` of all answers.
    """

    stage: Literal["sft"]
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000)]] = Field(default_factory=dict)
    watch: Literal["auroc", "loss"] = "auroc"


class DpoRecipe(TrainingRecipe):
    """Direct preference optimisation on pairs of a better and a worse answer.

    Attributes:
        contrasts: how the worse answer is worse; all if empty.
        beta: how strongly the reference holds the model back.
        watch: ``preference`` is the loss on dev pairs.
    """

    stage: Literal["dpo"]
    contrasts: tuple[Contrast, ...] = ()
    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    watch: Literal["auroc", "loss", "preference"] = "preference"


class GrpoRecipe(TrainingRecipe):
    """Group relative policy optimisation: answers are drawn, and labels say how good they are.

    Attributes:
        generations: answers drawn of one prompt; they are compared with each other.
        answer_tokens: of one answer, at most.
        beta: how strongly the reference holds the model back; 0 loads none.
        missed_cost: what a missed violation costs, where a false alarm costs 1.
    """

    stage: Literal["grpo"]
    generations: Annotated[int, Field(ge=2, le=256)] = 8
    answer_tokens: Annotated[int, Field(ge=1, le=4_096)] = 192
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    beta: Annotated[float, Field(ge=0, le=100)] = 0.0
    missed_cost: Annotated[float, Field(ge=0, le=100)] = 2.0
    watch: Literal["auroc", "loss"] = "auroc"


Recipe = SftRecipe | DpoRecipe | GrpoRecipe
STAGES: dict[str, type[SftRecipe] | type[DpoRecipe] | type[GrpoRecipe]] = {
    "sft": SftRecipe,
    "dpo": DpoRecipe,
    "grpo": GrpoRecipe,
}
# Settings of TRL, PEFT and transformers that people bring along, and why they are not offered.
REFUSED = {
    "packing": "pictures cannot be packed, and packed texts see each other without FlashAttention",
    "padding_free": "pictures need padding, and texts without it see each other without FlashAttention",
    "truncation_mode": "`keep_end` drops the tokens of pictures and the policy, `keep_start` the question",
    "truncation": "cutting drops the tokens of pictures, the policy or the question",
    "max_length": "it cuts rows, and with them pictures, policy or question",
    "precompute_ref_log_probs": "it does not work with pictures, and keeps the rows in a cache on disk",
    "assistant_only_loss": "the loss is on the answer only in any case, the end of the turn included",
    "completion_only_loss": "the loss is on the answer only in any case, the end of the turn included",
    "modules_to_save": "vLLM serves no adapter with whole layers in it",
    "use_dora": "vLLM does not serve DoRA",
    "use_rslora": "give the scale by `alpha`",
    "bias": "vLLM serves no adapter with biases in it",
    "load_in_4bit": "a 4-bit base is not the one that is served",
    "load_in_8bit": "an 8-bit base is not the one that is served",
    "fp16": "bfloat16 keeps the range of float32",
    "use_vllm": "TRL's vLLM pins another version than the judge's",
    "trust_remote_code": "no code comes with a model",
    "push_to_hub": "training asks the network for nothing",
    "sync_ref_model": "the reference is the start adapter or the base model, which stay as they are",
    "group_by_length": "batches are made of rows of like length in any case",
}
_INSTEAD = {"max_length": "`max_tokens`, which leaves longer rows out", "truncation": "`max_tokens`"}
_INSTEAD |= {"truncation_mode": "`max_tokens`, which leaves longer rows out", "fp16": "`dtype: bfloat16`"}


def recipe_named(stage: str) -> Path:
    """The recipe of a stage that ships with the project."""
    return content_folder("finetune") / "recipes" / f"{stage}.yaml"


def load_training_recipe(path: Path, stage: str) -> Recipe:
    """Read the recipe of a stage.

    Raises:
        PolicyError: it is wrong or cannot be read; ``diagnostics`` holds every problem, in file order.
    """
    return load_recipe(path, STAGES[stage], _wrong, without=REFUSED)


def parse_training_recipe(text: str, file: str, stage: str) -> tuple[Recipe | None, list[Diagnostic]]:
    """Read a recipe from text; None where anything is wrong, and every problem in file order."""
    return parse_recipe(text, file, STAGES[stage], _wrong, without=REFUSED)


def _wrong(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Everything that the types let pass and that would waste a run."""
    for key, _ in root.entries:
        if key.text in REFUSED:
            help_line = f"write {_INSTEAD[key.text]}" if key.text in _INSTEAD else "delete the line"
            message = f"{quoted(key.text)} is not offered: {REFUSED[key.text]}"
            yield source.error("P002", key.span, message, help_line)
    yield from _adapter(root, source)
    yield from _names(root, source)
    yield from _together(root, source)


def _adapter(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    rank = root.get("rank")
    if rank is not None and isinstance(rank.value, int) and rank.value not in SERVED_RANKS:
        ranks = ", ".join(map(str, SERVED_RANKS))
        yield source.error(
            "P006", rank.span, f"vLLM serves no adapter of rank {rank.value}", f"one of {ranks}"
        )
    targets = root.get("targets")
    if targets is not None and not targets.items:
        yield source.error(
            "P006", targets.span, "`targets` names no layer", "delete the line for all of them"
        )
    for node in targets.items if targets is not None else ():
        if node.text and node.text not in TARGETS:
            message = f"{quoted(node.text)} is no layer that is trained and served as LoRA"
            yield source.error("P003", node.span, message, suggestion(node.text, TARGETS))


def _names(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    weights = root.get("weights")
    kinds = [kind.value for kind in Kind]
    for node, _ in weights.entries if weights is not None else ():
        if node.text and node.text not in kinds:
            message = f"{quoted(node.text)} is not known under `weights`"
            yield source.error("P003", node.span, message, suggestion(node.text, kinds))


def _together(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Settings that do not go together."""

    def number(name: str, default: float) -> float:
        node = root.get(name)
        return node.value if node is not None and isinstance(node.value, int | float) else default

    smoothing, loss = root.get("label_smoothing"), root.get("loss")
    if loss is not None and loss.text == "robust" and number("label_smoothing", 0.0) == 0:
        yield source.error("P006", loss.span, "the loss `robust` needs `label_smoothing`", "write 0.1")
    if smoothing is not None and loss is not None and loss.text in ("ipo", "hinge"):
        message = f"the loss `{loss.text}` knows no `label_smoothing`"
        yield source.error("P006", smoothing.span, message, "delete the line")
    generations = root.get("generations")
    if generations is not None and isinstance(generations.value, int) and generations.value > 1:
        rows = int(number("batch", 16) * number("accumulation", 1))
        if rows % generations.value:
            message = f"{rows} rows a step (`batch` times `accumulation`) are no multiple of `generations`"
            yield source.error("P006", generations.span, message, "choose a divisor")
