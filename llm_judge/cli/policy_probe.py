"""`llm-judge policy probe`: does the model follow the policy text?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import EngineSpec, Only, read_policies
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.probe_plan import PolicyPlan
    from llm_judge.evals.probe_report import ProbeRun


def probe(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Policy files or folders. The shipped guidelines if left out.",
            show_default=False,
        ),
    ] = None,
    engine: EngineSpec = "local",
    only: Only = None,
    probes: Annotated[
        list[str] | None,
        typer.Option("--probes", metavar="NAME", help="Only this probe; give it several times for several."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Items of each rule and verdict; more for narrower intervals."),
    ] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="Which items and topics are chosen.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with every check in it.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the report here: JSON, or .md, .html, .txt by its name.",
        ),
    ] = None,
) -> None:
    """Edit the guidelines in known ways and measure which verdicts move.

    A rule is inverted, a clause or an exemption added or removed, another rule edited, the severities
    reversed, the words paraphrased. Of each edit it is known which answers must move and which must
    stay. The items are the policies' own cases and examples. Nothing is explained, so a rule takes
    seconds; the shipped guidelines take some ten minutes.

      llm-judge policy probe policies/safety/hate.yaml

      llm-judge policy probe --probes inverted --probes paraphrased --limit 4 --out probe.json
    """
    from llm_judge.cli.report_file import check_writable

    if out is not None:
        check_writable(out)
    plans = _plans(paths or [], only, probes, limit, seed)
    _show(_run(plans, engine, seed, limit), as_json, out)


def _plans(
    paths: Sequence[Path], only: Sequence[str] | None, probes: Sequence[str] | None, limit: int, seed: int
) -> list[PolicyPlan]:
    from llm_judge.evals.policy_test import read_cases
    from llm_judge.evals.probe_plan import PROBES, plan_policy
    from llm_judge.policy.load import select

    known = [probe.name for probe in PROBES]
    for name in probes or ():
        if name not in known:
            raise UsageError(f"there is no probe `{name}`", f"choose from {', '.join(known)}")
    policies = read_policies(paths, None)
    wanted = {policy.policy: [rule.id for rule in policy.rules] for policy in select(policies, only or [])}
    policies = tuple(policy for policy in policies if policy.policy in wanted)
    cases = read_cases(policies)
    plans = []
    for policy in policies:
        items = [each.case for each in cases[policy.policy]]
        rules = wanted[policy.policy]
        plans.append(plan_policy(policy, items, rules=rules, probes=probes, limit=limit, seed=seed))
    if not any(plan.checks for plan in plans):
        raise UsageError("nothing to probe: the rules have neither cases nor examples that are texts")
    return plans


def _run(plans: Sequence[PolicyPlan], engine: str, seed: int, limit: int) -> ProbeRun:
    from llm_judge.cli.progress import item_progress
    from llm_judge.compile import policy_digest
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.probe import run_plan
    from llm_judge.evals.probe_report import ProbeRun

    opened = open_engine(engine)
    started = time.monotonic()
    outcomes = []
    with item_progress(sum(len(plan.asks) for plan in plans), label="reading") as advance:
        for plan in plans:
            outcomes += run_plan(plan, opened, advance)
    digest = policy_digest([plan.policy for plan in plans])
    return ProbeRun(tuple(outcomes), opened.info, digest, seed, limit, time.monotonic() - started)


def _show(run: ProbeRun, as_json: bool, out: Path | None) -> None:
    from llm_judge.cli.report_file import print_blocks, write_text
    from llm_judge.evals.document import to_html, to_markdown
    from llm_judge.evals.probe_report import probe_blocks, probe_json

    blocks = probe_blocks(run)
    data = json.dumps(probe_json(run), ensure_ascii=False)
    if as_json:
        typer.echo(data)
    else:
        print_blocks(blocks)
    if out is None:
        return
    ending = out.suffix.lower()
    if ending == ".txt":
        print_blocks(blocks, out)
    elif ending in (".md", ".html"):
        write_text(out, to_markdown(blocks) if ending == ".md" else to_html("Steerability", blocks))
    else:
        write_text(out, data + "\n")
    typer.echo(f"wrote {out}", err=True)
