"""`llm-judge eval suites`: what can be scored, and which areas no data scores."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def suites(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List the suites, and the areas of the guidelines that none of them can score.

    llm-judge eval suites
    """
    from rich.console import Console
    from rich.table import Table

    from llm_judge.evals.suite import areas_without_data, load_suites
    from llm_judge.policy.load import load_policies
    from llm_judge.resources import content_folder

    found = load_suites()
    policies = load_policies([content_folder("policies")])
    bare = areas_without_data(found, policies)
    if as_json:
        rows = [
            {
                "suite": suite.suite,
                "title": suite.title,
                "licence": suite.licence,
                "needs_data": suite.needs_data,
                "areas": list(suite.policy_ids),
                "unknown": suite.unknown,
            }
            for suite in found.values()
        ]
        typer.echo(json.dumps({"suites": rows, "areas_without_data": bare}, ensure_ascii=False))
        return
    table = Table("suite", "what", "areas", "needs --data")
    for suite in found.values():
        named = ", ".join(suite.policy_ids) or "all"
        areas = named if len(suite.policy_ids) <= 3 else f"{len(suite.policy_ids)} areas"
        table.add_row(suite.suite, suite.title, areas, "yes" if suite.needs_data else "no")
    Console().print(table)
    typer.echo(f"areas that no labelled set scores: {', '.join(bare) or 'none'}")
