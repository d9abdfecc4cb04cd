"""`llm-judge eval`: labelled items in, numbers with counts and intervals out, one file a command."""

from __future__ import annotations

import typer

from llm_judge.cli import eval_baselines as baselines_command
from llm_judge.cli import eval_cache as cache_command
from llm_judge.cli import eval_calibrate as calibrate_command
from llm_judge.cli import eval_compare as compare_command
from llm_judge.cli import eval_doctor as doctor_command
from llm_judge.cli import eval_inspect as inspect_command
from llm_judge.cli import eval_report as report_command
from llm_judge.cli import eval_robustness as robustness_command
from llm_judge.cli import eval_run as run_command
from llm_judge.cli import eval_suites as suites_command
from llm_judge.cli.extras import require_extra

_NEEDED = ("krippendorff", "matplotlib", "pyarrow", "scipy", "sklearn")

app = typer.Typer(
    help="Score judges on labelled sets, and compare, calibrate and doubt the scores.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def check_extra() -> None:
    """Score judges on labelled sets, and compare, calibrate and doubt the scores."""
    require_extra("evaluation", "eval", _NEEDED)


app.command("suites")(suites_command.suites)
app.command("run")(run_command.run)
app.command("report")(report_command.report)
app.command("baselines")(baselines_command.baselines)
app.command("compare")(compare_command.compare)
app.command("calibrate")(calibrate_command.calibrate)
app.command("robustness")(robustness_command.robustness)
app.command("doctor")(doctor_command.doctor)
app.command("inspect")(inspect_command.inspect)
app.command("cache")(cache_command.cache)
