"""Training on drawn answers: TRL's trainer with labels as rewards and the judge's own tokens as prompts.

Knows nothing about files or recipes' names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import GRPOConfig, GRPOTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from llm_judge.finetune.answer_loss import WeightedCollator
from llm_judge.finetune.dev_looks import LooksAtDev
from llm_judge.finetune.rewards import Rewards
from llm_judge.finetune.training_recipe import GrpoRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_judge.finetune.base_model import Encoder
    from llm_judge.finetune.trainer_parts import Parts


class JudgeGrpo(LooksAtDev, GRPOTrainer):  # type: ignore[misc]  # TRL is not typed
    """``GRPOTrainer`` that encodes prompts piece by piece, as the judge does."""

    encoder: Encoder

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        found = [self.encoder.prompt(*(message["content"] for message in prompt)) for prompt in prompts]
        return found, None, {}


def make_trainer(parts: Parts) -> JudgeGrpo:
    """A trainer ready to go."""
    recipe = parts.recipe
    if not isinstance(recipe, GrpoRecipe):
        raise TypeError("training on drawn answers takes a recipe of stage grpo")
    config = GRPOConfig(
        **parts.arguments,
        num_generations=recipe.generations,
        max_completion_length=recipe.answer_tokens,
        temperature=recipe.temperature,
        beta=recipe.beta,
        use_vllm=False,
        log_completions=False,
    )
    trainer = JudgeGrpo(
        model=parts.model,
        reward_funcs=[reward(Rewards(recipe.missed_cost))],
        args=config,
        train_dataset=parts.rows.dataset,
        eval_dataset=parts.dev.dataset,
        processing_class=parts.processor,
        peft_config=parts.adapter,
    )
    trainer.encoder = parts.encoder
    collate = DataCollatorForLanguageModeling(pad_token_id=parts.processor.pad_token_id)
    trainer.look = parts.look(WeightedCollator(collate))
    return trainer


def reward(rewards: Rewards) -> Callable[..., list[float]]:
    """A reward function as TRL calls it."""

    def label_reward(
        completions: Sequence[Sequence[dict[str, str]]],
        answer: Sequence[str],
        kind: Sequence[str],
        **_columns: Any,
    ) -> list[float]:
        texts = [messages[0]["content"] for messages in completions]
        return [rewards.of(*one) for one in zip(texts, answer, kind, strict=True)]

    return label_reward
