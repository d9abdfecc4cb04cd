"""`llm-judge eval report`: a finished run and its baselines → one page of metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.options import DataFolder, Draws
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from llm_judge.evals.run_data import RunData

_SHOWN = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "abstain_rate": "can't tell",
}

RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A folder that `llm-judge eval run` made, such as runs/core-text."),
]


Baselines = Annotated[
    Path | None,
    typer.Option(
        "--baselines",
        metavar="FOLDER",
        help="Where `llm-judge eval baselines` wrote; `baselines` beside the run if left out.",
    ),
]
Against = Annotated[
    list[Path] | None,
    typer.Option("--against", metavar="RUN", help="Another run over the same items; may be given often."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Also score at the thresholds of this file from `llm-judge eval calibrate`, made for the "
        "same judge from other rows.",
    ),
]
RobustnessFile = Annotated[
    Path | None,
    typer.Option(
        "--robustness", metavar="FILE", help="robustness.json of `llm-judge eval robustness --out`."
    ),
]
FindingsFile = Annotated[
    Path | None,
    typer.Option("--findings", metavar="FILE", help="What `llm-judge eval doctor --json` printed."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write the report here: .html, .md or .json."),
]


def report(
    run: RunArgument,
    baselines: Baselines = None,
    against: Against = None,
    calibration: CalibrationFile = None,
    robustness: RobustnessFile = None,
    findings: FindingsFile = None,
    data: DataFolder = None,
    out: ReportFile = None,
    draws: Draws = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as one JSON object.")] = False,
) -> None:
    """Score a run: a table on the terminal, and a page with plots and the worst errors with --out.

    Every number has its count and a 95 % interval; where there is too little, it says n/a and why. The
    baselines, the robustness and the doctor's findings always have their place, run or not. With --data
    the page also holds the words of the listed items, masked until they are clicked.

      llm-judge eval report runs/core-text --data DATA_FOLDER --out report.html
    """
    from llm_judge.calibration import read_calibration
    from llm_judge.evals.eval_report import report_data
    from llm_judge.evals.findings_file import read_findings
    from llm_judge.evals.robustness_file import read_robustness
    from llm_judge.evals.run_data import read_run

    if out is not None:
        _check_out(out)
    calibrated = None if calibration is None else read_calibration(calibration)
    told = None if findings is None else read_findings(findings)
    disguised = None if robustness is None else read_robustness(robustness)
    main = read_run(run)
    others = _baselines(main, baselines or run.parent / "baselines")
    others += [read_run(folder, f"{folder.parent.name}/{folder.name}") for folder in against or ()]
    found = report_data(
        main,
        others,
        item_words(main, data),
        findings=told,
        robustness=disguised,
        calibration=calibrated,
        draws=draws,
    )
    if as_json:
        typer.echo(json.dumps({**found, "texts": {}}, ensure_ascii=False))
    elif out is None:
        _show(found)
    if out is not None:
        _write(found, out)


def _write(found: Mapping[str, Any], out: Path) -> None:
    from llm_judge.cli.report_file import write_text
    from llm_judge.evals.eval_report import to_html, to_markdown

    texts = {".md": to_markdown, ".html": to_html, ".json": _as_text}
    write_text(out, texts[out.suffix.lower()](found))
    typer.echo(f"wrote {out}", err=True)


def _check_out(out: Path) -> None:
    from llm_judge.cli.report_file import check_writable

    if out.suffix.lower() not in (".html", ".md", ".json"):
        raise UsageError(f"`{out}` has no known ending", "end it with .html, .md or .json")
    check_writable(out)


def _show(found: Mapping[str, Any]) -> None:
    """The headline of a report, narrow enough for a terminal; the page has the rest."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    (own, *_) = found["systems"]
    for question in _questions(found):
        title = " ".join(question)
        table = Table(
            title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
        )
        for label in ("system", "n", "yes", *_SHOWN.values()):
            table.add_column(label, no_wrap=True)
        for system in found["systems"]:
            name = "this run" if system is own else system["name"]
            for cell in system["cells"]:
                if (cell["kind"], cell["key"]) == question:
                    counts = (str(cell["counts"][count]) for count in ("n", "positives"))
                    table.add_row(name, *counts, *(_number(cell["metrics"][metric]) for metric in _SHOWN))
        console.print(table)
    if found["calibrated"]:
        _show_calibrated(found["calibrated"], console)
    absent = [system["name"] for system in found["systems"] if not system["ran"]]
    if absent:
        console.print(f"baselines not run: {', '.join(absent)} (llm-judge eval baselines)")
    console.print(
        "95 % intervals below each number; plots, agreement, slices and worst errors: --out report.html"
    )


def _show_calibrated(found: Mapping[str, Any], console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from llm_judge.evals.report_calibrated import threshold_name

    title = "at calibrated thresholds" + (", fitted on these rows" if found["fitted_on"] == "these" else "")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for label in ("question", "threshold", "at", "precision", "recall", "F1"):
        table.add_column(label, no_wrap=label != "question", overflow="fold")
    for row in found["thresholds"]:
        at = "not reached" if row["at"] is None else f"{row['at']:.3f}"
        numbers = (_number(row["metrics"][name]) for name in ("precision", "recall", "f1"))
        table.add_row(row["key"], threshold_name(row), at, *numbers)
    console.print(table)


def _questions(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What this run has labels for, the whole item first."""
    (own, *_) = found["systems"]
    return [(cell["kind"], cell["key"]) for cell in own["cells"] if cell["counts"]["n"]]


def _number(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None:
        return "n/a"
    ends = "" if metric["low"] is None else f"\n{metric['low']:.2f}–{metric['high']:.2f}"
    return f"{metric['value']:.2f}{ends}"


def _as_text(found: Mapping[str, Any]) -> str:
    return json.dumps({**found, "texts": {}}, ensure_ascii=False) + "\n"


def _baselines(main: RunData, folder: Path) -> list[RunData]:
    """The baselines that were run over the suite of this run, and are finished."""
    from llm_judge.evals.run_data import BASELINES, read_run
    from llm_judge.evals.run_folder import OUTCOMES

    return [
        read_run(folder / name / suite, name)
        for name in BASELINES
        for suite in main.suites[:1]
        if (folder / name / suite / OUTCOMES).is_file()
    ]


def item_words(main: RunData, data: Path | None) -> dict[str, str]:
    """Item id → text, where the data are at hand; the run itself keeps no words."""
    from llm_judge.evals.suite import load_suites
    from llm_judge.evals.suite_rows import data_folder, read_items
    from llm_judge.policy.load import load_policies
    from llm_judge.resources import content_folder

    folder = data_folder(data)
    policies = load_policies([content_folder("policies")])
    known = load_suites()
    words: dict[str, str] = {}
    for name in main.suites:
        suite = known.get(name)
        if suite is not None and (folder is not None or not suite.needs_data):
            words |= {item.id: item.text for item in read_items(suite, folder, policies) if item.text}
    return words
