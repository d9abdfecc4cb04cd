"""`llm-judge eval doctor`: what is wrong with labelled data before anybody trusts a number made from it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import DataFolder, Policies, read_policies
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.doctor import Finding


def doctor(
    data: DataFolder = None,
    policies: Policies = None,
    most: Annotated[
        int, typer.Option("--most", min=1, metavar="N", help="Findings shown of each code; counts are whole.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding as one JSON array.")] = False,
) -> None:
    """Look for leaks and wrong labels: rows of dev or cases of guidelines that also stand in train, equal
    or nearly equal texts with opposite labels, repeated ids, split groups, areas with one answer only.

    Exit code 1 where an error is found. Ids are shown, never texts. Takes some minutes on 300,000 rows.

      llm-judge eval doctor --data DATA_FOLDER
    """
    from llm_judge.evals.doctor import examine
    from llm_judge.evals.findings_file import findings_json
    from llm_judge.evals.suite import load_suite, load_suites
    from llm_judge.evals.suite_rows import data_folder, read_items
    from llm_judge.evals.train_items import split_items

    folder = data_folder(data)
    if folder is None:
        raise UsageError("there is nothing to examine", "give the folder of the labelled sets with --data")
    chosen = read_policies(policies, None)
    suites = load_suites().values()
    train, dev = (split_items(suites, folder, chosen, split) for split in ("train", "dev"))
    cases = read_items(load_suite("guideline-cases"), None, chosen)
    known = {policy.policy for policy in chosen}
    known |= {f"{policy.policy}#{rule.id}" for policy in chosen for rule in policy.rules}
    found = examine(train, dev, cases, known)
    if as_json:
        typer.echo(json.dumps(findings_json(found), ensure_ascii=False))
    else:
        _show(found, most)
        typer.echo(f"examined {len(train)} rows of train, {len(dev)} of dev and {len(cases)} cases")
    raise typer.Exit(ExitCode.FOUND if any(each.level == "error" for each in found) else ExitCode.OK)


def _show(found: Sequence[Finding], most: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("code", "level", "what", "fix")
    shown: Counter[str] = Counter()
    for each in found:
        shown[each.code] += 1
        if shown[each.code] <= most:
            table.add_row(each.code, each.level, each.message, each.fix)
    console = Console(highlight=False)
    console.print(table if found else "nothing found")
    console.print(", ".join(f"{code}: {count}" for code, count in shown.items()))
