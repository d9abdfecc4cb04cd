"""`llm-judge eval calibrate`: a run on dev rows → thresholds that keep what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.eval_report import RunArgument
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.calibration import Calibration


def calibrate(
    run: RunArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Calibration file to write.")
    ] = Path("calibration.json"),
    method: Annotated[
        str, typer.Option(metavar="NAME", help="How probabilities are mended: `temperature` or `isotonic`.")
    ] = "temperature",
) -> None:
    """Fit probabilities and thresholds to a run, area by area and rule by rule.

    A threshold such as `calibrated.precision_95` is where the lower end of the 95 % interval reaches the
    target, so it holds on other rows like these. Never calibrate on rows that you report.

      llm-judge eval calibrate runs/core-text --out calibration.json

      llm-judge judge posts.jsonl --calibration calibration.json
    """
    from llm_judge.calibration import Method, write_calibration
    from llm_judge.cli.report_file import check_writable
    from llm_judge.evals.calibrate import calibrate as fit
    from llm_judge.evals.calibrated import identity_of_run
    from llm_judge.evals.run_data import read_run

    if method not in set(Method):
        raise UsageError(f"unknown --method `{method}`", f"choose from {', '.join(Method)}")
    check_writable(out)
    answered = read_run(run)
    identity = identity_of_run(answered)
    found = fit(answered.outcomes, identity, method=Method(method))
    write_calibration(found, out)
    _show(found)
    typer.echo(f"wrote {out}", err=True)


def _show(found: Calibration) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("question", "n", "threshold", "at")
    for entry in found.entries:
        for name, each in entry.thresholds.items():
            table.add_row(
                entry.key,
                str(entry.n),
                name,
                "not reached" if each.at is None else f"{each.at:.3f}",
            )
    console = Console(highlight=False)
    console.print(table)
    for question, why in found.left_out.items():
        console.print(f"not calibrated: {question}: {why}")
