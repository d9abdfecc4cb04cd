"""`llm-judge eval compare`: two runs over the same items, paired, and a gate over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.compare import Comparison
    from llm_judge.evals.gate import Failure

_SHOWN = ("recall", "precision", "f1", "auroc", "auprc", "abstain_rate")


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A finished run.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another one over the same items.")],
    gate: Annotated[
        Path | None,
        typer.Option(
            "--gate", metavar="FILE", help="Demands on the later run; exit code 1 if one is not met."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=0, metavar="N", help="Resamples behind each interval.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Compare two runs item by item: what flips, whether for the better, and what it costs.

    Differences carry paired 95 % intervals. A gate file holds `floors`, `ceilings` and `no_regression`.

      llm-judge eval compare runs/untuned/core-text runs/tuned/core-text

      llm-judge eval compare runs/main/core-text runs/new/core-text --gate gate.yaml
    """
    from llm_judge.evals import compare as comparing
    from llm_judge.evals.gate import failures, load_gate
    from llm_judge.evals.metrics import measure
    from llm_judge.evals.run_folder import read_outcomes

    demands = load_gate(gate) if gate is not None else None
    one, other = read_outcomes(before), read_outcomes(after)
    found = comparing.compare(one, other, draws=draws)
    missed = failures(demands, measure(other, draws=draws), found) if demands is not None else ()
    if as_json:
        typer.echo(json.dumps({**found.as_json(), "failures": [str(each) for each in missed]}))
    else:
        _show(found, missed, gated=demands is not None)
    raise typer.Exit(ExitCode.FOUND if missed else ExitCode.OK)


def _show(found: Comparison, missed: Sequence[Failure], *, gated: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from llm_judge.evals.cells import Dimension
    from llm_judge.evals.outcomes import Kind

    console = Console(highlight=False)
    table = Table(
        "question", "metric", "before", "after", "change (95 %)", title=f"{found.items} items in both"
    )
    for cell in found.cells:
        if cell.at.dimension is not Dimension.OVERALL or cell.at.kind is Kind.RULE:
            continue
        for name in _SHOWN:
            row = cell.metrics[name]
            values = ["n/a" if value is None else f"{value:.3f}" for value in (row.before, row.after)]
            table.add_row(f"{cell.at.kind} {cell.at.key}", name, *values, str(row.change))
    console.print(table)
    console.print(f"actions that flip: {found.actions.share}; time ×{found.latency}; tokens ×{found.tokens}")
    left_out = found.only_before + found.only_after + found.changed
    if left_out:
        console.print(f"left out, in one run only or with other content: {left_out}")
    for each in missed:
        console.print(f"not met: {each}")
    if gated and not missed:
        console.print("the gate is met")
