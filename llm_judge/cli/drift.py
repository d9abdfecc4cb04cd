"""`llm-judge drift`: keep what rules said over a good time, and see whether they say it still."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_judge.cli.extras import require_extra
from llm_judge.cli.records_options import WAIT_S, AsJson, Since, Store, Until, Wait
from llm_judge.errors import ExitCode, UsageError

app = typer.Typer(
    help="Keep what rules said over a good time, and see whether they say it still.", no_args_is_help=True
)

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE...", help="Record files, as `llm-judge judge --out` writes; or --store."),
]


@app.command("reference")
def reference(
    files: Files = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to.")] = Path("drift.json"),
    store: Store = None,
    since: Since = None,
    until: Until = None,
    wait: Wait = WAIT_S,
) -> None:
    """Count what each rule said in records: a reference for `drift report` and `serve --drift-reference`.

    llm-judge drift reference --store decisions.sqlite3 --since 2026-05-01 --until 2026-06-01 --out may.json
    """
    from llm_judge.cli.report_file import check_writable
    from llm_judge.drift.reference import reference_of
    from llm_judge.durable import replace_file

    check_writable(out)
    with _records(files, store, since, until, wait) as records:
        made = reference_of(records)
    replace_file(out, made.model_dump_json(by_alias=True, indent=1) + "\n")
    typer.echo(f"{out}: {len(made.rules)} rules over {made.records} decisions", err=True)


@app.command("report")
def report(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="As `drift reference` writes it.")],
    files: Files = None,
    store: Store = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    wait: Wait = WAIT_S,
) -> None:
    """Compare records with a reference; exit code 1 where a rule moved beyond chance.

      llm-judge drift report may.json --store decisions.sqlite3 --since 2026-06-01

    A flag or abstain rate moved where the 99.9 % Wilson intervals do not meet; scores moved where the
    population stability index is 0.25 or more, and above what chance gives in 999 of 1,000 cases.
    """
    require_extra("this report", "eval", ("scipy",))
    from llm_judge.cli.report_file import print_blocks
    from llm_judge.drift.reference import read_reference, seen_in_json
    from llm_judge.drift.sights import Window
    from llm_judge.evals.drift_report import drift_blocks, drift_of

    known = read_reference(reference)
    window, others = Window(known.rules), set()
    with _records(files, store, since, until, wait) as records:
        for record in records:
            if (seen := seen_in_json(record)) is not None:
                window.add(seen)
                others |= {rule for rule, *_ in seen} - known.rules.keys()
    if not window.records:
        raise UsageError("there is no decision among the records", "give records of `judge --out` or a store")
    drifts = drift_of(known, window.counts())
    if as_json:
        for each in drifts:
            typer.echo(json.dumps(each.as_json()))
    else:
        print_blocks(drift_blocks(known, window.records, drifts, len(others)))
    raise typer.Exit(ExitCode.FOUND if any(each.moved for each in drifts) else ExitCode.OK)


@contextmanager
def _records(
    files: list[Path] | None, store: str | None, since: str | None, until: str | None, wait: float
) -> Iterator[Iterator[Mapping[str, Any]]]:
    """Records of files, or of a store between two times."""
    if files:
        if since or until:
            raise UsageError("--since and --until go with --store", "give the files of that time")
        from llm_judge.drift.reference import records_in

        yield (record for path in files for record in records_in(path))
        return
    from llm_judge.cli.records_options import filter_of, open_store, require_store

    require_store()
    from llm_judge.store.exchange import decisions

    with open_store(store, wait) as opened:
        wanted = filter_of(since=since, until=until)
        yield (each.record for each in decisions(opened, wanted) if each.record is not None)
