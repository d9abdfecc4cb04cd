"""Supervised training: TRL's trainer with a weighted loss on answers only.

Knows nothing about files or recipes' names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from trl import SFTConfig, SFTTrainer

from llm_judge.finetune.answer_loss import LengthBuckets, WeightedCollator, total_weight, weighted_loss
from llm_judge.finetune.dev_looks import LooksAtDev

if TYPE_CHECKING:
    from llm_judge.finetune.trainer_parts import Parts


class JudgeSft(LooksAtDev, SFTTrainer):  # type: ignore[misc]  # TRL is not typed
    """``SFTTrainer`` whose loss weighs rows and applies the head to answers only."""

    sampler: LengthBuckets

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,  # noqa: ARG002  (only TRL's own looks at dev ask for them)
        num_items_in_batch: Any = None,
    ) -> Any:
        """Weighted mean of the cross-entropy of all answer tokens of the step, of all processes."""
        loss, weight = weighted_loss(model, inputs)
        total = weight if num_items_in_batch is None else num_items_in_batch
        # Gradients are averaged over processes, while the total is of all of them.
        return loss / total * (self.accelerator.num_processes if num_items_in_batch is not None else 1)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        total = sum(
            (total_weight(batch).to(device) for batch in batch_samples), torch.zeros((), device=device)
        )
        return self.accelerator.gather(total).sum()

    def _get_train_sampler(self, _dataset: Any = None) -> LengthBuckets:
        return self.sampler


def make_trainer(parts: Parts) -> JudgeSft:
    """A trainer ready to go."""
    recipe = parts.recipe
    config = SFTConfig(**parts.arguments, max_length=None, packing=False, completion_only_loss=True)
    trainer = JudgeSft(
        model=parts.model,
        args=config,
        train_dataset=parts.rows.dataset,
        eval_dataset=parts.dev.dataset,
        processing_class=parts.processor,
        peft_config=parts.adapter,
    )
    trainer.data_collator = WeightedCollator(trainer.data_collator)
    step = recipe.batch * recipe.accumulation * trainer.accelerator.num_processes
    trainer.sampler = LengthBuckets(parts.rows.lengths, step, recipe.seed, parts.first_epoch)
    trainer.look = parts.look(trainer.data_collator)
    return trainer
