"""`llm-judge eval calibrate`: a run on dev rows → thresholds that keep what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.eval_report import RunArgument
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.evals.calibration import Calibration


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
    """
    from llm_judge.cli.report_file import check_writable
    from llm_judge.evals.calibrate import calibrate as fit
    from llm_judge.evals.calibration import Identity, Method, data_digest, write_calibration
    from llm_judge.evals.run_folder import read_manifest, read_outcomes

    if method not in set(Method):
        raise UsageError(f"unknown --method `{method}`", f"choose from {', '.join(Method)}")
    check_writable(out)
    judge = read_manifest(run).get("judge")
    if judge is None:
        raise UsageError(f"`{run}` was not answered by a judge", "calibrate a run of `llm-judge eval run`")
    outcomes = read_outcomes(run)
    identity = Identity(
        policy=judge["policy_digest"],
        prompt=judge["prompt_digest"],
        model=judge["model_digest"],
        adapter=judge["adapter_digest"],
        data=data_digest(outcomes),
    )
    found = fit(outcomes, identity, method=Method(method))
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
                f"{entry.kind} {entry.key}",
                str(entry.n),
                name,
                "not reached" if each.at is None else f"{each.at:.3f}",
            )
    console = Console(highlight=False)
    console.print(table)
    for question, why in found.left_out.items():
        console.print(f"not calibrated: {question}: {why}")
