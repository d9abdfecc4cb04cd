"""`llm-judge eval inspect`: a finished run → an eval log that Inspect opens."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from llm_judge.cli.eval_report import RunArgument, item_words
from llm_judge.cli.extras import require_extra
from llm_judge.cli.options import DataFolder


def inspect(
    run: RunArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Folder of logs; made if it is not there."),
    ] = Path("logs"),
    data: DataFolder = None,
) -> None:
    """Write a run as a log of Inspect (UK AISI's `inspect-ai`), one sample an item, scored per area.

    The log holds every digest and version of the run. With --data it also holds the words of the items;
    without it only those of the shipped guideline cases. Our judge also runs inside Inspect, as the tasks
    `llm_judge/guideline_cases` and `llm_judge/suite`.

      llm-judge eval inspect runs/core-text --out logs

      inspect view --log-dir logs
    """
    require_extra("a log of Inspect", "inspect", ("inspect_ai",))
    from llm_judge.evals.inspect_log import write_log
    from llm_judge.evals.run_data import read_run
    from llm_judge.evals.run_folder import OUTCOMES

    found = read_run(run)
    words = item_words(found, data)
    # A manifest keeps no time of day, and the file of outcomes is the last thing that a run writes of itself.
    ended = datetime.fromtimestamp((run / OUTCOMES).stat().st_mtime, UTC)
    path = write_log(found, words, ended, out)
    worded = sum(outcome.item in words for outcome in found.outcomes)
    typer.echo(f"{path}: {len(found.outcomes)} samples, {worded} with their words")
