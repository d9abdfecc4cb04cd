"""Makes a TRL trainer look at held-out rows with the harness's figures, and train in seeded order.

Knows nothing about losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.finetune.dev_figures import answered, dev_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.finetune.token_rows import Rows


@dataclass
class Look:
    """One look at dev.

    Attributes:
        rows: held-out rows.
        collate: rows → what the model takes.
        labels: ids of yes, no and except.
        batch: rows of one forward.
    """

    rows: Rows
    collate: Callable[[list[dict[str, Any]]], Mapping[str, Any]]
    labels: Sequence[int]
    batch: int

    def figures(self, trainer: Any) -> dict[str, float]:
        """The same figures in every process; each reads its share of the rows."""
        accelerator = trainer.accelerator
        share = (accelerator.process_index, accelerator.num_processes)
        found = answered(trainer.model, self.rows, self.collate, self.labels, self.batch, share)
        if accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            found = gather_object(found)
        return dev_figures(found)


class LooksAtDev:
    """For a trainer: ``evaluate`` gives the figures of ``look``."""

    look: Look
    args: Any
    state: Any
    control: Any
    callback_handler: Any

    def evaluate(
        self,
        eval_dataset: Any = None,  # noqa: ARG002  (dev is what is looked at)
        ignore_keys: Any = None,  # noqa: ARG002
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Look at dev, log the figures and let the callbacks decide."""
        figures = {**self.look.figures(self), **self.more_figures()}
        metrics = {f"{metric_key_prefix}_{name}": round(value, 6) for name, value in figures.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def more_figures(self) -> dict[str, float]:
        """Figures that only this stage has."""
        return {}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Given by the trainer."""
        super().log(logs, start_time)  # type: ignore[misc]

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """None: an adapter's card is written by `llm-judge finetune card`, not into every checkpoint."""
