"""What an adapter must reach, as `finetune/gate.yaml` says it.

Knows nothing about how the figures come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.evals.point_values import Metric
from llm_judge.policy.load import wrong_files
from llm_judge.policy.model import Node
from llm_judge.policy.shape import shape
from llm_judge.resources import content_folder
from llm_judge.source import Source, decode, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic

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
    text, found = decode(read(path), str(path))
    limits = None
    if text is not None:
        limits, found = parse_limits(text, str(path))
    if limits is None:
        raise wrong_files(found)
    return limits


def parse_limits(text: str, file: str) -> tuple[GateLimits | None, list[Diagnostic]]:
    """Read the limits from text; None and every problem in file order where anything is wrong."""
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, limits, wrong = shape(root, GateLimits, source)
    found += wrong
    if limits is not None and not limits.promotion_metric.has_interval:
        message = f"`{limits.promotion_metric}` has no interval, so no gain of it can be shown"
        found.append(source.error("P006", tree.span, message, "name another metric"))
    found.sort(key=lambda diagnostic: diagnostic.span)
    return (None if found else limits), found
