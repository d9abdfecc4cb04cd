"""`llm-judge records purge`, `verify` and `migrate`: what goes, whether all is there, and in which tables."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from llm_judge.cli.records_options import (
    WAIT_S,
    ActionName,
    AsJson,
    ItemId,
    OutcomeName,
    PolicyId,
    RuleId,
    Store,
    Until,
    Wait,
    filter_of,
    open_database,
    open_store,
)
from llm_judge.errors import ExitCode, StoreError, StoreUnavailable, UsageError


def purge(
    store: Store = None,
    decision: Annotated[
        str | None, typer.Option("--id", metavar="DECISION", help="Only this decision.")
    ] = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Decided so many days ago.")
    ] = None,
    until: Until = None,
    item: ItemId = None,
    action: ActionName = None,
    policy: PolicyId = None,
    rule: RuleId = None,
    outcome: OutcomeName = None,
    content_only: Annotated[
        bool,
        typer.Option(
            "--content-only", help="Erase content, quotes, rationales and notes; the decisions stay."
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="Why; kept for good, so name nobody in it.")
    ] = "retention",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and erase nothing.")] = False,
    wait: Wait = WAIT_S,
) -> None:
    """Erase decisions with their reviews, or only the content in them. The chain stays verifiable.

    Without a condition nothing is erased. What is erased stays erased: importing it again stores nothing.

      llm-judge records purge --store decisions.sqlite3 --older-than 30 --content-only

      llm-judge records purge --store decisions.sqlite3 --item user-4417-post-9 --reason "erasure request 12"
    """
    from llm_judge.store.erasure import Scope, count
    from llm_judge.store.erasure import purge as erase

    if older_than is not None and until is not None:
        raise UsageError("--older-than does not go with --until", "give one of them")
    conditions = (decision, older_than, until, item, action, policy, rule, outcome)
    if all(condition is None for condition in conditions):
        raise UsageError("nothing says what to erase", "give --id, --item, --older-than or another condition")
    wanted = filter_of(
        decision=decision,
        item=item,
        action=action,
        policy=policy,
        rule=rule,
        outcome=outcome,
        until=_days_ago(older_than) if older_than is not None else until,
    )
    scope = Scope.CONTENT if content_only else Scope.ALL
    with open_store(store, wait) as opened:
        if dry_run:
            number = count(opened.database, wanted, scope)
            typer.echo(f"{number} decision{'' if number == 1 else 's'} would be erased")
            return
        done = erase(opened.database, wanted, scope, reason)
    what = "content of " if content_only else ""
    typer.echo(f"erased: {what}{_number(done.decisions, 'decision')}, {_number(done.reviews, 'review')}")


def verify(
    store: Store = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor",
            metavar="SEQUENCE:HASH",
            help="An end of the chain that was printed before and kept elsewhere; it must still be in it.",
        ),
    ] = None,
    as_json: AsJson = False,
    wait: Wait = WAIT_S,
) -> None:
    """Compare every entry, link, look-up row and content with what it must be; exit code 1 if one is not.

    Prints the end of the chain: keep it where whoever may write to the store may not, since a chain that was
    rebuilt as a whole looks right by itself.

      llm-judge records verify --store decisions.sqlite3
    """
    from llm_judge.store.verification import verify as check

    noted = None if anchor is None else _anchor(anchor)
    with open_store(store, wait) as opened:
        try:
            found = check(opened.database, noted)
        except StoreError as error:
            if not isinstance(error, StoreUnavailable):
                error.exit_code = ExitCode.FOUND  # the check ran, and this is what it found
            raise
    if as_json:
        problems = [{"sequence": p.sequence, "what": p.what} for p in found.problems]
        end = {"sequence": found.sequence, "hash": found.hash}
        counts = {"entries": dict(found.kinds), "erased": found.erased, "contents": found.contents}
        typer.echo(json.dumps({"good": found.good, "end": end, **counts, "problems": problems}))
    else:
        for problem in found.problems:
            where = f"entry {problem.sequence}" if problem.sequence else "the store"
            typer.echo(f"{where}: {problem.what}")
        kinds = (
            ", ".join(_number(number, kind) for kind, number in sorted(found.kinds.items())) or "no entries"
        )
        erased = f", {found.erased} erased" if found.erased else ""
        typer.echo(
            f"{'good' if found.good else 'NOT GOOD'}: {kinds}{erased}; end {found.sequence}:{found.hash}"
        )
    raise typer.Exit(ExitCode.OK if found.good else ExitCode.FOUND)


def migrate(
    store: Store = None,
    to: Annotated[
        str, typer.Option("--to", metavar="REVISION", help="`head` for the newest, or a number such as 0001.")
    ] = "head",
    wait: Wait = WAIT_S,
) -> None:
    """Move the tables of a store to those of this version of llm-judge, or back; all of it or nothing.

    Back it up first.

      llm-judge records migrate --store postgresql://judge@db/records
    """
    from llm_judge.store.schema import EMPTY
    from llm_judge.store.schema import migrate as move

    if to == EMPTY:
        raise UsageError("`base` would erase every record", "to begin anew, make a new database")
    database = open_database(store, wait)
    try:
        before, after = move(database, to)
    finally:
        database.close()
    typer.echo(f"{database.name}: revision {before or 'none'} → {after or 'none'}")


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _days_ago(days: int) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        return (datetime.now(UTC) - timedelta(days=days)).isoformat()
    except OverflowError:
        raise UsageError(f"--older-than {days} is before the calendar began", "give fewer days") from None


def _anchor(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", text)
    if found is None:
        raise UsageError("--anchor is not an end of a chain", "it is what `records verify` prints: 12:9f3c…")
    return int(found[1]), found[2]
