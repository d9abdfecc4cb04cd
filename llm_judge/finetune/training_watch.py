"""What happens while a model trains: progress, looks at dev, the best adapter, early stop, whole checkpoints.

Knows nothing about recipes or what is trained on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from llm_judge.errors import UsageError
from llm_judge.finetune.training_plan import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WHOLE = "whole"  # a file in every checkpoint that was written to its end
BEST = "best"
# Of all figures, those that are said while training runs.
_SHOWN = (
    *("auroc", "auroc_area", "auroc_rule", "auroc_exemption"),
    *("loss", "label_mass", "preference", "preference_accuracy"),
)


@dataclass(frozen=True, slots=True)
class Goal:
    """Which figure on dev says that a step is better, and when to stop waiting for one.

    Attributes:
        figure: ``auroc``, ``loss`` or ``preference``.
        patience: looks without a better one after which training stops; 0 never.
    """

    figure: str
    patience: int

    def best(self, history: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
        """The step of the best look and the number of looks since; step 0 is where training began.

        Raises:
            UsageError: a look has no such figure.
        """
        looks = [each for each in history if any(name.startswith("eval_") for name in each)]
        values = []
        for each in looks:
            if f"eval_{self.figure}" not in each:
                raise UsageError(
                    f"the held-out rows give no {self.figure}: too few of either answer",
                    "write `watch: loss`, or raise `dev_rows`",
                )
            if each["step"]:
                values.append((int(each["step"]), float(each[f"eval_{self.figure}"])))
        if not values:
            return None
        sign = 1 if self.figure == "auroc" else -1
        step, _ = max(values, key=lambda one: (sign * one[1], -one[0]))
        since = len([each for each in values if each[0] > step])
        return step, since


@dataclass
class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Follows one run.

    Args:
        goal: see there.
        keep: writes the adapter as it is into a folder; every process calls it.
        folder: of the checkpoints.
        told: whether this process speaks and writes.
    """

    goal: Goal
    keep: Callable[[Path], object]
    folder: Path
    told: bool
    _started: float = 0.0
    _first: int = 0
    _said: float = field(default=0.0)

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start the clock."""
        self._started, self._first = time.monotonic(), state.global_step

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Say how far it is, at most once in two seconds."""
        logs = logs or {}
        now = time.monotonic()
        if (
            "loss" not in logs
            or not self.told
            or (now - self._said < 2 and state.global_step < state.max_steps)
        ):
            return
        self._said = now
        done = state.global_step - self._first
        left = (now - self._started) / max(done, 1) * (state.max_steps - state.global_step)
        self._say(
            f"step {state.global_step}/{state.max_steps}  loss {float(logs['loss']):.4f}  "
            f"{in_words(left)} left"
        )

    def on_evaluate(self, _args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> Any:
        """Keep the adapter where it is the best so far; stop where none came for long."""
        shown = [
            f"{name} {metrics[f'eval_{name}']:.4f}" for name in _SHOWN if f"eval_{name}" in (metrics or {})
        ]
        self._say(f"dev at step {state.global_step}: " + ", ".join(shown))
        best = self.goal.best(state.log_history)
        if best is None:
            return control
        if best[0] == state.global_step:
            self.keep(self.folder / BEST)
        elif self.goal.patience and best[1] >= self.goal.patience:
            self._say(f"no better {self.goal.figure} since step {best[0]}: stopping")
            control.should_training_stop = True
        return control

    def on_save(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Mark the checkpoint: it is written to its end."""
        if self.told:
            mark(self.folder / f"checkpoint-{state.global_step}")

    def _say(self, line: str) -> None:
        if self.told:
            print(line, file=sys.stderr, flush=True)


def mark(checkpoint: Path) -> None:
    """Say that a checkpoint is whole, once its files are on the disk."""
    for path in checkpoint.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    (checkpoint / WHOLE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; one that a kill cut short is none."""
    found = [path for path in folder.glob("checkpoint-*") if (path / WHOLE).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What the trainer wrote about itself: ``epoch``, ``global_step``, ``log_history``."""
    state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
    return state
