"""What an adapter must reach, as `finetune/gate.yaml` says it.

Knows nothing about how the figures come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.evals.point_values import Metric
from llm_judge.finetune.recipe_file import load_recipe, parse_recipe
from llm_judge.policy.model import Node
from llm_judge.resources import content_folder
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.source import Source, SourceNode

Share = Annotated[float, Field(ge=0, le=1)]
Nats = Annotated[float, Field(ge=0, le=100)]


class GateLimits(Node):
    """The whole file: liveness, promotion, merge.

    Attributes:
        nonzero_at_least … inversion_above: least figures on the probes; ``liveness`` says what each is.
        promotion_metric, gain_above, loss_at_most: how much better than what is current; see ``promotion``.
        parity_at_most: how far a merged model may be from its adapter, in nats; see ``merge``.
    """

    schema_version: Literal[1] = Field(alias="schema")
    nonzero_at_least: Share
    effect_at_least: Nats
    label_mass_at_least: Share
    content_moves_at_least: Share
    rule_moves_at_least: Share
    content_order_above: Share
    rule_order_above: Share
    inversion_above: Share
    promotion_metric: Metric
    gain_above: Annotated[float, Field(ge=0)]
    loss_at_most: Annotated[float, Field(ge=0)]
    parity_at_most: Nats


def default_limits() -> Path:
    """The file that ships with the project."""
    return content_folder("finetune") / "gate.yaml"


def load_limits(path: Path) -> GateLimits:
    """Read the limits.

    Raises:
        PolicyError: the file cannot be read, or is wrong; ``diagnostics`` holds every problem.
    """
    return load_recipe(path, GateLimits, _wrong)


def parse_limits(text: str, file: str) -> tuple[GateLimits | None, list[Diagnostic]]:
    """Read the limits from text; None and every problem in file order where anything is wrong."""
    return parse_recipe(text, file, GateLimits, _wrong)


def _wrong(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    metric = root.get("promotion_metric")
    if metric is not None and metric.text in set(Metric) and not Metric(metric.text).has_interval:
        message = f"{quoted(metric.text)} has no interval, so no gain of it can be shown"
        yield source.error("P006", metric.span, message, "name another metric")
