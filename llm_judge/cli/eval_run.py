"""`llm-judge eval run`: labelled items through the judge, into a run folder that metrics are made from."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import CalibrationFile, DataFolder, EngineSpec, Policies, Seed, warn, warn_of_gaps
from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.calibration import Calibration
    from llm_judge.engines.protocol import Engine
    from llm_judge.evals.answer_cache import AnswerCache
    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.evals.suite import Suite
    from llm_judge.judge import Judge
    from llm_judge.policy.model import Policy


Suites = Annotated[
    list[str],
    typer.Argument(metavar="SUITE…", help="Names of suites (see `llm-judge eval suites`) or suite files."),
]
AskAbout = Annotated[
    Ask,
    typer.Option(
        "--ask",
        help="Ask an item about the policies it has `labelled`; about `all`, which also scores items as a "
        "whole; or about labelled `areas` without their rules, which ranks items and decides nothing. "
        "Prompts are the same for all, and so are answers; an action is about what was asked only.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="At most this many items of each suite.")]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        metavar="N",
        help="Open this many items at once (read pictures, hear speech) ahead of the engine; 1 opens each "
        "when its turn comes. Saves time where cores are idle or the engine waits; the packaged model keeps "
        "two cores busy itself.",
    ),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Ask again what an earlier run asked, and keep no answers."),
]
SampleBy = Annotated[
    str | None,
    typer.Option(
        "--sample",
        metavar="BY",
        help="What a limited sample has equally much of: `answers`, `languages`, `areas`, or `prevalence` "
        "to leave the answers as frequent as they are. As the suite says if left out.",
    ),
]


def run(
    suites: Suites,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Run folders are made in here, one a suite."),
    ] = Path("runs"),
    data: DataFolder = None,
    engine: EngineSpec = "local",
    policies: Policies = None,
    calibration: CalibrationFile = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also explain, so that evidence can be scored; much slower.")
    ] = False,
    ask: AskAbout = Ask.LABELLED,
    limit: Limit = None,
    sample: SampleBy = None,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with runs that were stopped; finished ones stay.")
    ] = False,
    workers: Workers = 1,
    no_cache: NoCache = False,
) -> None:
    """Judge the items of suites and keep what was answered beside what is true.

    A run can be stopped or killed at any time and goes on with --resume. It holds no words of the
    items. `llm-judge eval report` makes metrics and a page from it.

    What the same judge answered about the same content in an earlier run is not asked again; see
    `llm-judge eval cache`. Use --no-cache to measure speed, or for numbers that are equal to the last bit:
    a bf16 model's vary by about 0.001 with what is read in the same batch.

      llm-judge eval run guideline-cases

      llm-judge eval run core-text --data DATA_FOLDER --limit 2000 --out runs/tuned

      llm-judge eval run core-text --data DATA_FOLDER --limit 2000 --engine local:base --out runs/untuned
    """
    from llm_judge.calibration import read_calibration
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.answer_cache import AnswerCache, answers_file

    calibrated = None if calibration is None else read_calibration(calibration)
    plans = [read_suite(name, data, policies, limit=limit, sample=sample, seed=seed) for name in suites]
    opened = open_engine(engine)
    options = {"limit": limit, "sample": sample, "seed": seed, "explain": explain, "ask": ask.value}
    # Every judge before the first run: a calibration of something else must not be found after an hour.
    judges = [build_judge(chosen, opened, explain=explain, calibration=calibrated) for _, chosen, _ in plans]
    with nullcontext() if no_cache else AnswerCache(answers_file(), warn) as cache:
        for (suite, _, items), judge in zip(plans, judges, strict=True):
            warn_of_gaps(judge.gaps)
            folder = out / suite.suite
            run_one(suite, judge, items, folder, options, data, resume, cache=cache, workers=workers)


def read_suite(
    name: str,
    data: Path | None,
    policies: Sequence[Path] | None,
    *,
    limit: int | None,
    sample: str | None,
    seed: int,
) -> tuple[Suite, tuple[Policy, ...], list[EvalItem]]:
    """Load a suite, the policies it is about and its items; raises what each of them raises."""
    from llm_judge.cli.options import read_policies
    from llm_judge.evals.suite import load_suite
    from llm_judge.evals.suite_rows import asked_policies, data_folder, read_items

    suite = load_suite(name)
    chosen = asked_policies(suite, read_policies(policies, None))
    items = read_items(suite, data_folder(data), chosen, limit=limit, sample=sample, seed=seed)
    return suite, chosen, items


def build_judge(
    policies: Sequence[Policy],
    engine: Engine,
    *,
    explain: bool,
    calibration: Calibration | None = None,
) -> Judge:
    """Return one judge over the policies of a suite.

    Raises:
        UsageError: they do not fit the model, or the calibration was made for something else.
    """
    from llm_judge.evals.judging import build_judges

    judges = build_judges(policies, engine, explain=explain, calibration=calibration)
    if len(judges) > 1:
        raise UsageError(
            "the policies of this suite do not fit the model together", "choose fewer with --policies"
        )
    return judges[0]


def run_one(
    suite: Suite,
    judge: Judge,
    items: Sequence[EvalItem],
    folder: Path,
    options: Mapping[str, object],
    data: Path | None,
    resume: bool,
    *,
    cache: AnswerCache | None = None,
    workers: int = 1,
) -> None:
    """Run the items of one suite into its folder; raises what ``run_items`` raises."""
    from functools import partial

    from llm_judge.cli.progress import item_progress
    from llm_judge.evals.run import read_member, run_identity, run_items
    from llm_judge.evals.run_folder import RunFolder
    from llm_judge.evals.suite_files import media_tar
    from llm_judge.evals.suite_rows import data_folder

    source = data_folder(data)
    tar = None if source is None else media_tar(source, suite)
    media = None if tar is None else partial(read_member, tar)
    identity = run_identity(judge, items, options)
    ask = Ask(str(options["ask"]))
    with RunFolder(folder, identity, resume=resume) as kept, item_progress(len(items)) as advance:
        run_items(judge, items, kept, media=media, ask=ask, cache=cache, workers=workers, advance=advance)
        cached = sum(outcome.cached for outcome in kept.outcomes)
    known = f", {cached} of them answered by earlier runs" if cached else ""
    typer.echo(f"{suite.suite}: {len(items)} items in {folder}{known}")
