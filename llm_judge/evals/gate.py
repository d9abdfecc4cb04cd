"""A gate: what a run must reach, and by how much it may fall behind another → what it fails.

```yaml
floors:                       # the value itself, on the items of this run
  - {kind: area, key: safety/hate, metric: recall, at_least: 0.6}
ceilings:                     # for what is better when low
  - {kind: item, key: any, metric: false_positive_rate, at_most: 0.05, dimension: suite, value: benign}
no_regression:                # against the baseline run, on the items of both
  - {kind: area, key: safety/hate, metric: auroc, by: 0.01}
```

A regression counts where the whole paired interval of the change is worse than ``by``. What cannot be shown
(no such cell, too few items, no interval) fails too: a gate that says nothing must not pass. Knows nothing
about how metrics come about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from llm_judge.errors import UsageError
from llm_judge.evals.cells import EVERYTHING, CellKey, Dimension
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import Metric
from llm_judge.policy.load import wrong_files
from llm_judge.policy.model import Node
from llm_judge.policy.shape import did_you_mean, shape
from llm_judge.source import Source, decode, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.evals.compare import Comparison, Difference
    from llm_judge.evals.estimate import Estimate
    from llm_judge.evals.metrics import Cell
    from llm_judge.source import SourceNode


class Demand(Node):
    """Which metric of which cell."""

    kind: Kind
    key: Annotated[str, Field(min_length=1, max_length=200)]
    metric: Metric
    dimension: Dimension = Dimension.OVERALL
    value: Annotated[str, Field(min_length=1, max_length=200)] = EVERYTHING

    @property
    def cell(self) -> CellKey:
        """The cell it is about."""
        return CellKey(self.kind, self.key, self.dimension, self.value)

    def __str__(self) -> str:
        """``recall of area safety/hate``."""
        return f"{self.metric} of {self.cell}"


class Floor(Demand):
    """The least a metric may be."""

    at_least: float


class Ceiling(Demand):
    """The most a metric may be."""

    at_most: float


class NoRegression(Demand):
    """By how much a metric may be worse than in the baseline run, in its own unit."""

    by: Annotated[float, Field(ge=0)]


class Gate(Node):
    """All that is demanded."""

    floors: tuple[Floor, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    no_regression: tuple[NoRegression, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A demand that is not met, and why, in one line."""

    demand: Demand
    reason: str

    def __str__(self) -> str:
        """``recall of area safety/hate: 0.48 (0.41–0.55) is under the floor 0.6``."""
        return f"{self.demand}: {self.reason}"


def load_gate(path: Path) -> Gate:
    """Read a gate.

    Raises:
        PolicyError: the file cannot be read, or is wrong; ``diagnostics`` holds every problem.
    """
    text, found = decode(read(path), str(path))
    gate = None
    if text is not None:
        gate, found = parse_gate(text, str(path))
    if gate is None:
        raise wrong_files(found)
    return gate


def parse_gate(text: str, file: str) -> tuple[Gate | None, list[Diagnostic]]:
    """Read a gate from text; None and every problem in file order where anything is wrong."""
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, gate, wrong = shape(root, Gate, source)
    found += wrong
    if not found and gate is not None:
        found += _meaningless(gate, tree, source)
    found.sort(key=lambda diagnostic: diagnostic.span)
    return (None if found else gate), found


def failures(gate: Gate, cells: Sequence[Cell], comparison: Comparison | None = None) -> tuple[Failure, ...]:
    """Return every demand of a gate that is not met, in the order of the file.

    Args:
        gate: what is demanded.
        cells: of the run, by every dimension the gate names.
        comparison: of the baseline run and this one; needed where the gate has ``no_regression``.

    Raises:
        UsageError: the gate asks for a comparison and there is none.
    """
    if gate.no_regression and comparison is None:
        raise UsageError("the gate has `no_regression`, which needs a baseline run", "name two runs")
    by_key = {cell.at: cell.metrics for cell in cells}
    changes = {} if comparison is None else {cell.at: cell.metrics for cell in comparison.cells}
    met: list[tuple[Demand, str | None]] = []
    met += [(floor, _missing(floor, by_key) or _too_low(floor, by_key[floor.cell])) for floor in gate.floors]
    met += [(top, _missing(top, by_key) or _too_high(top, by_key[top.cell])) for top in gate.ceilings]
    met += [
        (kept, _missing(kept, changes) or _worse(kept, changes[kept.cell])) for kept in gate.no_regression
    ]
    return tuple(Failure(demand, why) for demand, why in met if why is not None)


def _too_low(floor: Floor, metrics: Mapping[str, Estimate]) -> str | None:
    found = metrics[floor.metric]
    if found.value is None:
        return f"{found}, so it is not shown"
    return f"{found} is under the floor {floor.at_least}" if found.value < floor.at_least else None


def _too_high(ceiling: Ceiling, metrics: Mapping[str, Estimate]) -> str | None:
    found = metrics[ceiling.metric]
    if found.value is None:
        return f"{found}, so it is not shown"
    return f"{found} is over the ceiling {ceiling.at_most}" if found.value > ceiling.at_most else None


def _worse(demand: NoRegression, metrics: Mapping[str, Difference]) -> str | None:
    change = metrics[demand.metric].change
    if change.low is None or change.high is None:
        return f"no regression cannot be shown: {change.reason}"
    best = -change.low if demand.metric.lower_is_better else change.high
    return f"changed by {change}, worse than {demand.by} allows" if best < -demand.by else None


def _missing(demand: Demand, known: Mapping[CellKey, object]) -> str | None:
    if demand.cell in known:
        return None
    if close := did_you_mean(str(demand.cell), [str(cell) for cell in known]):
        return f"there is no such cell; did you mean {close}?"
    return "there is no such cell in the run"


def _meaningless(gate: Gate, tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Yield what is well formed and still no demand."""
    if not (gate.floors or gate.ceilings or gate.no_regression):
        yield source.error("P006", tree.span, "this gate demands nothing", "add `floors` or `no_regression`")
    for demand in gate.no_regression:
        place = demand.place("metric")
        if place is not None and not demand.metric.has_interval:
            message = f"`{demand.metric}` has no interval, so no regression of it can be shown"
            yield source.error("P006", place, message, "demand a ceiling instead")
    for each in (*gate.floors, *gate.ceilings, *gate.no_regression):
        place = each.place("dimension") or each.place("value")
        if place is not None and (each.dimension is Dimension.OVERALL) != (each.value == EVERYTHING):
            message = "a slice needs both `dimension` and `value`"
            yield source.error("P001", place, message, "such as `dimension: language, value: hi`")
