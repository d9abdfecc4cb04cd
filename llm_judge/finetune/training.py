"""One training run from recipe to adapter: rows, plan, trainer, looks at dev, the best adapter, a record.

Joins the steps and decides nothing itself. One process trains; started by `accelerate launch` or torchrun,
several do, and the first of them writes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.finetune.base_model import (
    ADAPTER_WEIGHTS,
    BaseModel,
    Encoder,
    load_for_training,
    quiet_libraries,
    save_adapter,
)
from llm_judge.finetune.picture_processor import load_processor
from llm_judge.finetune.picture_rows import picture_rows
from llm_judge.finetune.token_rows import Rows, Selection, answer_rows, pair_rows, prompt_rows
from llm_judge.finetune.trainer_parts import Parts, shared_arguments
from llm_judge.finetune.training_folder import RunFolder, recipe_digest
from llm_judge.finetune.training_recipe import DpoRecipe, GrpoRecipe, SftRecipe
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.finetune.training_plan import Plan
    from llm_judge.finetune.training_recipe import Recipe

_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


class Training:
    """A run that is ready to be planned or started.

    Args:
        recipe: settings; ``data`` is given.
        tell: shows a line to people; called in the first process only.

    Raises:
        UsageError: model, data or settings are wrong, with their place.
        EngineError: the model's tokenizer or chat template cannot be used.
    """

    def __init__(self, recipe: Recipe, tell: Any) -> None:
        quiet_libraries()
        self.recipe = recipe
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.first = int(os.environ.get("RANK", "0")) == 0
        self._tell = tell if self.first else (lambda _line: None)
        self.base = BaseModel.of(recipe.model)
        self.encoder = Encoder.of(self.base)
        if recipe.max_tokens > self.base.context_tokens:
            raise UsageError(
                f"`max_tokens` is {recipe.max_tokens}, and the model's context {self.base.context_tokens}",
                "lower `max_tokens`",
            )
        self.rows, self.dev, self.dev_pairs = self._read()

    def plan(self) -> Plan:
        """What the run will take."""
        from llm_judge.finetune.training_plan import plan

        return plan(self.recipe, self.base, self.rows, self.dev, self.processes)

    def run(self, out: Path, resume: bool) -> dict[str, Any]:
        """Train, and write the adapter and ``training.json``.

        Args:
            out: folder of the run.
            resume: whether to go on with a run that was killed.

        Returns:
            The record, as ``training.json`` has it.

        Raises:
            UsageError: ``out`` cannot be used, or dev has too few rows for the figure that is watched.
            OutputError: something cannot be written.
        """
        from llm_judge.finetune.training_watch import BEST, Goal, Watch, last_checkpoint, state_of

        folder = RunFolder(out, self._inputs())
        if self.first:
            folder.claim(resume)
        checkpoint = last_checkpoint(folder.checkpoints) if resume else None
        began = state_of(checkpoint) if checkpoint else {"epoch": 0, "global_step": 0}
        if checkpoint:
            self._tell(f"going on from step {began['global_step']}")
        trainer = self._trainer(folder, began)
        watch = Watch(
            Goal(self.recipe.watch, self.recipe.patience),
            lambda target: self._keep(trainer, target),
            folder.checkpoints,
            self.first,
        )
        from transformers.trainer_callback import PrinterCallback

        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(watch)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = trainer.state
        if not _looks(state.log_history) or _looks(state.log_history)[-1]["step"] != state.global_step:
            trainer.evaluate()
        best = watch.goal.best(state.log_history)
        record = self._record(trainer, best, time.monotonic() - started, began["global_step"])
        trainer.accelerator.wait_for_everyone()
        if self.first:
            record["adapter"] |= {"sha256": file_sha256(folder.checkpoints / BEST / ADAPTER_WEIGHTS)}
            folder.finish(record, folder.checkpoints / BEST)
        trainer.accelerator.end_training()
        return record

    def _read(self) -> tuple[Rows, Rows, Rows | None]:
        recipe = self.recipe
        data = Path(str(recipe.data))
        kinds = tuple(kind.value for kind in recipe.kinds)
        chosen = Selection(kinds, recipe.max_tokens)
        held = Selection(kinds, recipe.max_tokens, per_kind=recipe.dev_rows, seed=recipe.seed)
        if data.is_dir():
            if self.base.sees and isinstance(recipe, GrpoRecipe):
                raise UsageError("answers are drawn from text models only", "use `finetune sft`")
            dev = answer_rows(data, "dev_", self.encoder, held, {})
            if isinstance(recipe, DpoRecipe):
                contrasts = tuple(each.value for each in recipe.contrasts)
                pairs = Selection(kinds, recipe.max_tokens, contrasts)
                rows = pair_rows(data, "", self.encoder, pairs)
                held_pairs = Selection(kinds, recipe.max_tokens, contrasts, recipe.dev_rows, recipe.seed)
                return rows, dev, pair_rows(data, "dev_", self.encoder, held_pairs)
            if isinstance(recipe, GrpoRecipe):
                return prompt_rows(data, self.encoder, chosen), dev, None
            return answer_rows(data, "", self.encoder, chosen, recipe.weights), dev, None
        if not data.is_file():
            raise UsageError(f"there is no training data `{data}`", "make it with `llm-judge finetune data`")
        return self._read_pictures(data, chosen, held)

    def _read_pictures(self, data: Path, chosen: Selection, held: Selection) -> tuple[Rows, Rows, None]:
        recipe = self.recipe
        if not isinstance(recipe, SftRecipe):
            raise UsageError(
                "rows with pictures are trained by `finetune sft` only", "give a folder as `data`"
            )
        if not self.base.sees:
            raise UsageError(
                f"`{self.base.name}` takes no pictures", "give the folder of a vision-language model"
            )
        if recipe.dev is None:
            raise UsageError("there are no held-out rows", "name their file under `dev`")
        special = self.encoder.tokens.special_tokens
        rows = picture_rows(data, special, chosen, recipe.weights)
        return rows, picture_rows(Path(recipe.dev), special, held, {}), None

    def _trainer(self, folder: RunFolder, began: dict[str, Any]) -> Any:
        from llm_judge.finetune.training_plan import steps_of

        recipe = self.recipe
        steps = steps_of(recipe, len(self.rows), self.processes)
        model, adapter = load_for_training(self.base, recipe)
        parts = Parts(
            recipe=recipe,
            model=model,
            adapter=adapter,
            processor=load_processor(self.base),
            encoder=self.encoder,
            rows=self.rows,
            dev=self.dev,
            dev_pairs=self.dev_pairs,
            arguments=shared_arguments(
                recipe, folder.checkpoints, steps, self.base.sees, bool(began["global_step"])
            ),
            first_epoch=int(began["epoch"]),
        )
        if isinstance(recipe, DpoRecipe):
            from llm_judge.finetune.dpo import make_trainer
        elif isinstance(recipe, GrpoRecipe):
            from llm_judge.finetune.grpo import make_trainer
        else:
            from llm_judge.finetune.sft import make_trainer
        return make_trainer(parts)

    def _keep(self, trainer: Any, folder: Path) -> None:
        state = None
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        if self.first:
            save_adapter(trainer.accelerator.unwrap_model(trainer.model), folder, self.base, state)

    def _inputs(self) -> dict[str, Any]:
        start = self.recipe.start_from
        weights = Path(start) / ADAPTER_WEIGHTS if start else None
        return {
            "recipe": recipe_digest(self.recipe),
            "data": self.rows.digests | self.dev.digests | (self.dev_pairs.digests if self.dev_pairs else {}),
            "base": self.base.digest,
            "start_from": file_sha256(weights) if weights and weights.is_file() else None,
            "processes": self.processes,
        }

    def _record(self, trainer: Any, best: Any, seconds: float, since: int) -> dict[str, Any]:
        import torch

        recipe, state = self.recipe, trainer.state
        looks = _looks(state.log_history)
        step = best[0] if best else state.global_step
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        said = recipe.model_dump(
            mode="json", by_alias=True, exclude={"data", "dev", "out", "model", "start_from"}
        )
        return {
            "stage": recipe.stage,
            "model": self.base.name,
            "recipe": said,
            "seed": recipe.seed,
            "rows": {"train": len(self.rows), "dev": len(self.dev)},
            "left_out": dict(self.rows.left_out + Counter()),
            "steps": state.global_step,
            "adapter": {
                "step": step,
                "rank": recipe.rank,
                "alpha": recipe.alpha,
                "targets": list(recipe.targets),
            },
            "dev_before": looks[0] if looks else {},
            "dev_after": next((look for look in looks if look["step"] == step), {}),
            "learnt": len({json.dumps(look | {"step": 0}) for look in looks}) > 1,
            "seconds": round(seconds),
            "seconds_are_since_step": since,
            "hardware": {"gpu": gpu, "processes": self.processes, "cpu_threads": torch.get_num_threads()},
            "versions": _versions(),
            "curve": {"loss": _losses(state.log_history), "dev": looks},
        }


def _looks(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures of every look at dev, by step; of a step that was looked at twice, the last."""
    found = {}
    for each in history:
        figures = {name[5:]: value for name, value in each.items() if name.startswith("eval_")}
        if figures:
            found[each["step"]] = {"step": each["step"], **figures}
    return list(found.values())


def _losses(history: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(each["step"], round(float(each["loss"]), 6)) for each in history if "loss" in each]


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from llm_judge import __version__

    found = {"llm-judge": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def tell(line: str) -> None:
    """Show a line on stderr."""
    print(line, file=sys.stderr, flush=True)
