"""Preference training: TRL's trainer on pairs that are token ids already.

The reference is the model with its adapter off, or a frozen copy of the adapter it starts from. Knows nothing
about files or recipes' names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import DPOConfig, DPOTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from llm_judge.finetune.answer_loss import LengthBuckets, WeightedCollator
from llm_judge.finetune.dev_looks import LooksAtDev
from llm_judge.finetune.training_recipe import DpoRecipe

if TYPE_CHECKING:
    from llm_judge.finetune.trainer_parts import Parts


class JudgeDpo(LooksAtDev, DPOTrainer):  # type: ignore[misc]  # TRL is not typed
    """``DPOTrainer`` on rows that hold ids: its own tokenising would join what the judge keeps apart."""

    sampler: LengthBuckets

    def more_figures(self) -> dict[str, float]:
        """``preference``: loss on held-out pairs; ``preference_accuracy``: share in the right order."""
        found = self.evaluation_loop(
            self.get_eval_dataloader(), description="dev pairs", prediction_loss_only=True
        )
        measured = self._metrics["eval"]
        right = measured["rewards/accuracies"]
        accuracy = sum(right) / len(right)
        measured.clear()  # the rest would be logged with our figures, among it a count that a kill resets
        return {"preference": float(found.metrics["eval_loss"]), "preference_accuracy": float(accuracy)}

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset

    def _get_train_sampler(self, _dataset: Any = None) -> LengthBuckets:
        return self.sampler


def make_trainer(parts: Parts) -> JudgeDpo:
    """A trainer ready to go."""
    recipe = parts.recipe
    if not isinstance(recipe, DpoRecipe) or parts.dev_pairs is None:
        raise TypeError("preference training takes a recipe of stage dpo and held-out pairs")
    config = DPOConfig(
        **parts.arguments,
        max_length=None,
        beta=recipe.beta,
        loss_type=recipe.loss,
        label_smoothing=recipe.label_smoothing,
    )
    trainer = JudgeDpo(
        model=parts.model,
        args=config,
        train_dataset=parts.rows.dataset,
        eval_dataset=parts.dev_pairs.dataset,
        processing_class=parts.processor,
        peft_config=parts.adapter,
    )
    step = recipe.batch * recipe.accumulation * trainer.accelerator.num_processes
    trainer.sampler = LengthBuckets(parts.rows.lengths, step, recipe.seed, parts.first_epoch)
    collate = DataCollatorForLanguageModeling(pad_token_id=parts.processor.pad_token_id)
    trainer.look = parts.look(WeightedCollator(collate))
    return trainer
