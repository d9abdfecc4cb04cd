"""What every stage's trainer is made of, and the settings all of them share.

Knows nothing about what is optimised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.finetune.base_model import Encoder
    from llm_judge.finetune.dev_looks import Look
    from llm_judge.finetune.token_rows import Rows
    from llm_judge.finetune.training_recipe import Recipe


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a trainer is made of.

    Attributes:
        recipe: settings.
        model, adapter: as ``load_for_training`` gives them.
        processor: tokenizer or processor of the libraries, for padding, pictures and drawing answers.
        encoder: texts → ids as the judge reads them.
        rows: what is trained on.
        dev: held-out reads and explanations.
        dev_pairs: held-out pairs, for preference training.
        arguments: settings that all trainers share.
        first_epoch: the epoch that training begins in; not 0 when it goes on.
    """

    recipe: Recipe
    model: Any
    adapter: Any
    processor: Any
    encoder: Encoder
    rows: Rows
    dev: Rows
    dev_pairs: Rows | None
    arguments: dict[str, Any]
    first_epoch: int

    def look(self, collate: Any) -> Look:
        """How dev is looked at."""
        from llm_judge.finetune.dev_looks import Look

        return Look(self.dev, collate, self.encoder.label_ids, self.recipe.batch)


def shared_arguments(
    recipe: Recipe, checkpoints: Path, steps: int, sees: bool, resumed: bool
) -> dict[str, Any]:
    """Settings of ``transformers.TrainingArguments`` that no stage changes.

    Args:
        recipe: settings.
        checkpoints: folder of the checkpoints.
        steps: of the whole run.
        sees: whether the model takes pictures.
        resumed: whether training goes on; dev was looked at before it began.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulation,
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.schedule if recipe.schedule != "constant" else "constant_with_warmup",
        "warmup_steps": recipe.warmup if recipe.warmup < 1 else steps,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": 1.0,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "bf16": on_gpu and recipe.dtype == "bfloat16",
        "use_cpu": not on_gpu,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "ddp_find_unused_parameters": sees,  # a batch without pictures leaves the vision tower out
        "dataloader_pin_memory": on_gpu,
        "remove_unused_columns": False,
        "eval_strategy": "steps",
        "eval_steps": recipe.evaluate_every,
        "eval_on_start": not resumed,
        "save_strategy": "steps",
        "save_steps": recipe.evaluate_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
