"""`llm-judge records list`, `show` and `review`: look at decisions, and say what is right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.records_options import (
    WAIT_S,
    ActionName,
    AsJson,
    DecisionId,
    ItemId,
    OutcomeName,
    PolicyId,
    RuleId,
    Since,
    Store,
    Until,
    Wait,
    filter_of,
    open_store,
)
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.store.decision_store import StoredDecision
    from llm_judge.store.reviews import Review

_MOST_RULES = 3  # named in one row


def list_(
    store: Store = None,
    action: ActionName = None,
    policy: PolicyId = None,
    rule: RuleId = None,
    outcome: OutcomeName = None,
    item: ItemId = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Decisions on a page.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(min=1, metavar="SEQUENCE", help="The next page: what was stored before this one."),
    ] = None,
    as_json: AsJson = False,
    wait: Wait = WAIT_S,
) -> None:
    """List decisions, those stored last first.

    llm-judge records list --store decisions.sqlite3 --rule regulated/fraud#FS5 --outcome violates
    """
    wanted = filter_of(
        action=action, policy=policy, rule=rule, outcome=outcome, item=item, since=since, until=until
    )
    with open_store(store, wait) as opened:
        found = opened.find(wanted, before=before, limit=limit)
    if as_json:
        for stored in found:
            typer.echo(json.dumps(_as_json(stored)))
    elif found:
        _print_list(found)
    if len(found) == limit:
        typer.echo(f"there may be more: --before {found[-1].sequence}", err=True)
    elif not found:
        typer.echo("no decision matches", err=True)


def show(decision: DecisionId, store: Store = None, as_json: AsJson = False, wait: Wait = WAIT_S) -> None:
    """Show one decision with its evidence, its reviews and its place in the chain.

    llm-judge records show 5f0c2a… --store decisions.sqlite3
    """
    from llm_judge.report import printable

    with open_store(store, wait) as opened:
        stored = opened.get(decision)
    if stored is None:
        raise UsageError(f"there is no decision `{decision}`", "`llm-judge records list` shows some")
    if as_json:
        typer.echo(json.dumps(_as_json(stored)))
        return
    typer.echo(f"decision {stored.decision_id}, entry {stored.sequence}, stored {stored.recorded_at}")
    typer.echo(f"hash {stored.hash}")
    if stored.erased is not None:
        gone = stored.erased
        typer.echo(f"erased {gone.at} by entry {gone.sequence}: {printable(gone.reason)}")
    if stored.record is not None:
        _print_record(stored.record)
    for review in stored.reviews:
        typer.echo(printable(_review_line(review)))


def review(
    decision: DecisionId,
    rule: Annotated[str, typer.Option("--rule", metavar="POLICY#RULE", help="The rule that is judged anew.")],
    verdict: Annotated[
        str, typer.Option("--verdict", metavar="NAME", help="What is right: `violates`, `clear` or `exempt`.")
    ],
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who says so.", envvar="USER", show_envvar=False)
    ],
    exemption: Annotated[
        str | None, typer.Option("--exemption", metavar="ID", help="Which exemption applies, with `exempt`.")
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", metavar="WORDS", help="Why; erased when content is.")
    ] = None,
    store: Store = None,
    wait: Wait = WAIT_S,
) -> None:
    """Say what is right about one rule of one decision. The last word on a rule counts.

    llm-judge records review 5f0c2a… --rule safety/hate#HS1 --verdict clear --by ana --note "a song title"
    """
    from llm_judge.report import printable
    from llm_judge.store.reviews import Review, add_review
    from llm_judge.verdict import Outcome

    if verdict not in {each.value for each in Outcome}:
        raise UsageError(f"unknown verdict `{verdict}`", "choose violates, clear or exempt")
    given = Review(decision, rule, Outcome(verdict), by, exemption, note)
    with open_store(store, wait) as opened:
        kept = add_review(opened.database, given)
    typer.echo(printable(_review_line(kept)))


def _as_json(stored: StoredDecision) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(stored)


def _print_list(found: Sequence[StoredDecision]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from llm_judge.report import printable

    table = Table()
    for name in ("entry", "decision", "decided", "action", "why", "item"):
        table.add_column(name, no_wrap=name == "decision", overflow="fold")
    for stored in found:
        record = stored.record or {}
        cells = (str(record["created_at"]), str(record["action"]), _why(record), str(record["item"]["id"]))
        plain = [Text(printable(cell)) for cell in cells]
        table.add_row(str(stored.sequence), stored.decision_id, *plain)
    Console().print(table)


def _why(record: Mapping[str, Any]) -> str:
    if record["error"]:
        return str(record["error"]["message"])
    rules = record["decision"]["determining_rules"] if record["decision"] else []
    if rules:
        more = f" and {len(rules) - _MOST_RULES} more" if len(rules) > _MOST_RULES else ""
        return ", ".join(rules[:_MOST_RULES]) + more
    return "could not tell" if record["decision"] and record["decision"]["abstentions"] else ""


def _print_record(record: Mapping[str, Any]) -> None:
    from rich.console import Console

    from llm_judge.report import records_table
    from llm_judge.store.record_document import record_of

    Console().print(records_table([(record_of(record), str(record["created_at"]))], {}))


def _review_line(review: Review) -> str:
    exemption = f" ({review.exemption})" if review.exemption else ""
    note = f": {review.note}" if review.note else ""
    said = "as the judge said" if not review.corrects else f"the judge said {review.said}"
    head = (
        f"review {review.recorded_at} by {review.reviewer}: {review.rule} {review.verdict.value}{exemption}"
    )
    return f"{head}, {said}{note}"
