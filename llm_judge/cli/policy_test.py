"""`llm-judge policy test`: the cases beside the policies, judged by an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import CalibrationFile, EngineSpec, warn_of_gaps
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.policy_test import PolicyTestRun
    from llm_judge.policy.model import Policy

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        help="Policy files, cases files or folders. The shipped guidelines if left out.",
        show_default=False,
    ),
]


def test(
    paths: Paths = None,
    engine: EngineSpec = "local",
    calibration: CalibrationFile = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Only cases whose name, such as `safety/hate/HS1/line 12`, holds this."
        ),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only policies whose meaning differs from git's --base.")
    ] = False,
    base: Annotated[str, typer.Option(metavar="REV", help="What --changed compares with.")] = "HEAD",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most the first N cases of each policy.")
    ] = None,
    alone: Annotated[
        bool,
        typer.Option("--alone", help="Judge each case by its own policy only: faster, areas do not compete."),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show evidence and a reason.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML here.")] = None,
) -> None:
    """Run the cases beside policies: what must fire, must not fire or is exempt.

    A case passes when the verdict, the rule and the exemption are all right. "Could not tell" is counted
    apart, and so is a case marked `todo: true`. The cases of all policies given are judged by all of
    them together, as in production.

      llm-judge policy test policies/safety --limit 5

      llm-judge policy test --changed --base main --junit report.xml

    Exit codes: 0 all pass, 1 a case fails, 2 nothing ran, 3 none fails but some are undecided.
    """
    from llm_judge.calibration import read_calibration
    from llm_judge.cli.progress import item_progress
    from llm_judge.cli.report_file import check_writable, write_text
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.policy_test import choose_cases, read_cases, run_cases

    if alone and calibration is not None:
        raise UsageError("--calibration does not go with --alone", "it is made for all policies together")
    calibrated = None if calibration is None else read_calibration(calibration)
    if junit is not None:
        check_writable(junit)  # before an hour of judging, not after
    policies = _read(paths or [])
    if changed:
        policies = _changed(policies, paths or [], base)
    cases = read_cases(policies)
    chosen = choose_cases(cases, run, limit)
    opened = open_engine(engine)
    with item_progress(len(chosen)) as advance:
        done = run_cases(
            chosen,
            cases,
            policies,
            opened,
            alone=alone,
            explain=explain,
            calibration=calibrated,
            advance=advance,
        )
    warn_of_gaps(done.gaps)
    _show(done, whole=len(chosen) == sum(map(len, cases.values())), as_json=as_json)
    if junit is not None:
        from llm_judge.evals.policy_test_report import to_junit

        write_text(junit, to_junit(done))
    raise typer.Exit(_exit_code(done))


def _read(paths: Sequence[Path]) -> tuple[Policy, ...]:
    from llm_judge.cli.options import read_policies

    ending = ".cases.yaml"
    beside = [
        p.with_name(p.name.removesuffix(ending) + ".yaml") if p.name.endswith(ending) else p for p in paths
    ]
    return read_policies(beside, None)


def _changed(policies: Sequence[Policy], paths: Sequence[Path], base: str) -> tuple[Policy, ...]:
    """The policies that are new, or mean something else than at ``base``."""
    from llm_judge.compile import policy_digest
    from llm_judge.policy.load import parse_policy
    from llm_judge.policy.revision import texts_at
    from llm_judge.resources import content_folder

    before: dict[str, str] = {}
    for path in paths or [content_folder("policies")]:
        for file, text in texts_at(base, path if path.is_dir() else path.parent).items():
            old, _ = parse_policy(text, str(file))
            if old is not None:
                before[old.policy] = policy_digest([old])
    kept = tuple(policy for policy in policies if before.get(policy.policy) != policy_digest([policy]))
    if not kept:
        raise UsageError(
            f"nothing ran: no policy means anything else than at `{base}`",
            "compare with another revision: --base REV",
        )
    return kept


def _show(run: PolicyTestRun, *, whole: bool, as_json: bool) -> None:
    from rich.console import Console

    from llm_judge.evals.policy_test_report import policy_text, summary_text, to_json

    if as_json:
        typer.echo(json.dumps(to_json(run), ensure_ascii=False))
        return
    console = Console(soft_wrap=True, highlight=False)
    for result in run.policies:
        console.print(policy_text(result, whole=whole), end="")
    console.print(summary_text(run))


def _exit_code(run: PolicyTestRun) -> ExitCode:
    from llm_judge.evals.policy_test import State

    if run.states[State.FAIL]:
        return ExitCode.FOUND
    return ExitCode.UNDECIDED if run.states[State.UNDECIDED] else ExitCode.OK
