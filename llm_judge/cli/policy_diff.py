"""`llm-judge policy diff`: what changed between two versions, and what that does to items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import EngineSpec
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.impact import Impact
    from llm_judge.policy.diff import PolicyDiff
    from llm_judge.policy.model import Policy
    from llm_judge.policy.snapshot import Snapshot

FORMATS = ("table", "markdown", "html", "json")


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="File, folder or git revision (main, HEAD~1).")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="File, folder or git revision.")],
    impact: Annotated[
        Path | None,
        typer.Option(
            metavar="CASES|SUITE",
            help="Judge these items by both versions: a cases file, a folder of them, or JSONL rows "
            '`{"id": …, "text": …, "lang": …}`.',
        ),
    ] = None,
    engine: EngineSpec = "local",
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="`table`, `markdown`, `html` or `json`.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here.")] = None,
    folder: Annotated[
        Path,
        typer.Option(metavar="PATH", help="Where the policies are when OLD and NEW are both revisions."),
    ] = Path("policies"),
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Judge the first N items.")] = None,
    whole: Annotated[
        bool, typer.Option("--all-policies", help="Judge by all policies, not only by those that changed.")
    ] = False,
) -> None:
    """Say what changed between two versions of the guidelines, in plain words.

    Severities, exemptions, rules, definitions, wording (word by word), thresholds and actions; layout
    and comments do not count. With --impact, the items whose verdict or decision flips, by rule and by
    language.

      llm-judge policy diff HEAD policies/safety/hate.yaml

      llm-judge policy diff main policies --impact policies --format markdown --out change.md

    Exit codes: 0 no change of meaning, 1 changes found, 2 could not run.
    """
    from llm_judge.cli.report_file import check_writable
    from llm_judge.policy.case_diff import with_cases
    from llm_judge.policy.diff import diff_policies
    from llm_judge.policy.snapshot import open_snapshots

    chosen = "json" if as_json else form
    if chosen not in FORMATS:
        raise UsageError(f"unknown --format `{form}`", f"choose from {', '.join(FORMATS)}")
    if out is not None:
        check_writable(out)
    before, after = open_snapshots(old, new, folder)
    texts = {name: (text, after.texts[name]) for name, text in before.texts.items() if name in after.texts}
    diffs = with_cases(diff_policies(before.policies, after.policies, texts), before.cases, after.cases)
    measured = None if impact is None else _measure(impact, before, after, diffs, engine, limit, whole)
    _show(before.name, after.name, diffs, measured, chosen, out)
    raise typer.Exit(ExitCode.FOUND if any(each.meaning for each in diffs) else ExitCode.OK)


def _measure(
    path: Path,
    before: Snapshot,
    after: Snapshot,
    diffs: Sequence[PolicyDiff],
    engine: str,
    limit: int | None,
    whole: bool,
) -> Impact | None:
    """Judge the items by what changed; None, after saying so, where nothing did."""
    from llm_judge.cli.progress import item_progress
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.impact import measure_impact
    from llm_judge.evals.impact_items import read_items

    items = read_items(path, before.policies, after.policies)[:limit]
    changed = {each.policy for each in diffs if each.meaning} | {each.origin for each in diffs if each.origin}
    if not changed and not whole:
        typer.echo("no policy changed its meaning, so nothing was judged", err=True)
        return None

    old, new = _in_force(before.policies, after.policies), _in_force(after.policies, before.policies)
    if not whole:
        old = [policy for policy in old if policy.policy in changed]
        new = [policy for policy in new if policy.policy in changed]
    opened = open_engine(engine)
    with item_progress(2 * len(items)) as advance:
        return measure_impact(old, new, diffs, items, opened, advance)


def _in_force(policies: Sequence[Policy], others: Sequence[Policy]) -> list[Policy]:
    """Leave out a policy that this version no longer, or not yet, judges by while the other one does."""
    from llm_judge.policy.load import JUDGED

    elsewhere = {policy.policy for policy in others if policy.status in JUDGED}
    return [policy for policy in policies if policy.status in JUDGED or policy.policy not in elsewhere]


def _show(
    old: str,
    new: str,
    diffs: Sequence[PolicyDiff],
    impact: Impact | None,
    form: str,
    out: Path | None,
) -> None:
    from llm_judge.cli.report_file import print_blocks, write_text
    from llm_judge.evals.diff_report import diff_blocks, diff_json, impact_blocks
    from llm_judge.evals.document import to_html, to_markdown

    blocks = [*diff_blocks(old, new, diffs), *(impact_blocks(impact) if impact is not None else [])]
    if form == "table":
        print_blocks(blocks, out)
        return
    if form == "json":
        text = json.dumps(diff_json(old, new, diffs, impact), ensure_ascii=False, indent=2) + "\n"
    elif form == "markdown":
        text = to_markdown(blocks)
    else:
        text = to_html(f"Policy changes: {old} → {new}", blocks)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
