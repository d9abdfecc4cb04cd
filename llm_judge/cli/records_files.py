"""`llm-judge records import` and `export`: record files in, JSONL and Parquet out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.records_options import (
    WAIT_S,
    ActionName,
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
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from llm_judge.store.decision_store import DecisionStore
    from llm_judge.store.exchange import Imported
    from llm_judge.store.lookups import Filter

_WHAT = ("decisions", "reviews", "overrides")
_MOST_CONFLICTS = 20  # told one by one


def import_(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Record files, as `llm-judge judge --out` writes.")
    ],
    store: Store = None,
    store_content: Annotated[
        bool,
        typer.Option("--store-content", help="Keep the quotes and rationales that the records hold."),
    ] = False,
    wait: Wait = WAIT_S,
) -> None:
    """Put records into the store, which is made where there is none. May be stopped and run again.

    A record that is there already is not stored twice; another one under the same id is left out and told,
    with exit code 1.

      llm-judge judge posts.jsonl --out records.jsonl

      llm-judge records import records.jsonl --store decisions.sqlite3
    """
    from llm_judge.cli.progress import item_progress
    from llm_judge.store.exchange import import_records

    conflicts = 0
    with open_store(store, wait, create=True, store_content=store_content) as opened:
        for path in paths:
            with item_progress(None, label="importing") as advance:
                done = import_records(opened, path, advance)
            _tell(path, done)
            conflicts += len(done.conflicts)
    raise typer.Exit(ExitCode.FOUND if conflicts else ExitCode.OK)


def _tell(path: Path, done: Imported) -> None:
    from llm_judge.report import printable
    from llm_judge.store.decision_store import Put

    for conflict in done.conflicts[:_MOST_CONFLICTS]:
        typer.echo(printable(f"conflict: {conflict.message}"), err=True)
    parts = [f"{done.puts[Put.STORED]} stored"]
    parts += [f"{done.puts[Put.KNOWN]} there already"] if done.puts[Put.KNOWN] else []
    parts += [f"{done.puts[Put.ERASED]} erased before"] if done.puts[Put.ERASED] else []
    parts += [f"{len(done.conflicts)} left out: another record has the id"] if done.conflicts else []
    parts += ["half a line at the end left out"] if done.cut else []
    typer.echo(printable(f"{path}: {'; '.join(parts)}"), err=True)


def export(
    store: Store = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="JSONL, or Parquet by its name; standard output if left out."
        ),
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="`decisions` (which `import` reads), `reviews`, or `overrides`: corrections for "
            "`llm-judge finetune data --overrides`.",
        ),
    ] = "decisions",
    action: ActionName = None,
    policy: PolicyId = None,
    rule: RuleId = None,
    outcome: OutcomeName = None,
    item: ItemId = None,
    since: Since = None,
    until: Until = None,
    wait: Wait = WAIT_S,
) -> None:
    """Write decisions, reviews or corrections to a file. Erased ones are not among them.

    llm-judge records export --store decisions.sqlite3 --since 2026-05-01 --out may.parquet

    llm-judge records export --store decisions.sqlite3 --what overrides --out overrides.jsonl
    """
    from llm_judge.cli.report_file import check_writable

    if what not in _WHAT:
        raise UsageError(f"unknown --what `{what}`", f"choose from {', '.join(_WHAT)}")
    if out is not None:
        check_writable(out)
    wanted = filter_of(
        action=action, policy=policy, rule=rule, outcome=outcome, item=item, since=since, until=until
    )
    with open_store(store, wait) as opened:
        number = _export(opened, wanted, what, out)
    typer.echo(f"{number} {what}", err=True)


def _export(store: DecisionStore, wanted: Filter, what: str, out: Path | None) -> int:
    from dataclasses import asdict

    from llm_judge.store.exchange import decisions, reviews, write_jsonl, write_parquet
    from llm_judge.store.reviews import overrides_of

    as_parquet = out is not None and out.suffix.lower() == ".parquet"
    if what == "overrides":
        if as_parquet:
            raise UsageError("overrides are JSONL", "name the file overrides.jsonl")
        return write_jsonl(overrides_of(store.database, wanted), out)
    if as_parquet and out is not None:
        return write_parquet(decisions(store, wanted) if what == "decisions" else reviews(store, wanted), out)
    if what == "decisions":
        return write_jsonl((each.record for each in decisions(store, wanted)), out)
    return write_jsonl((asdict(review) for review in reviews(store, wanted)), out)
