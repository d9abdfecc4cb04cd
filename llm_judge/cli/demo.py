"""`llm-judge demo`: the shipped items under the shipped guidelines, with the packaged model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.options import EngineSpec

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.record import DecisionRecord


def demo(
    engine: EngineSpec = "local",
    explain: Annotated[str, typer.Option(metavar="WHEN", help="`never`, `auto` or `always`.")] = "auto",
) -> None:
    """Judge the shipped demo items: texts, pictures, sound clips and videos in several languages.

    Shows every decision with its evidence, what the item was made to be, and the time it took. The
    worst rule of each item is explained. The packaged model shows that the path works; it judges weakly.
    """
    import io
    import time

    from rich.console import Console

    from llm_judge.batch.items import items_from_arguments
    from llm_judge.batch.run import run_batches
    from llm_judge.cli.judge import build_judge
    from llm_judge.cli.progress import item_progress
    from llm_judge.engines.protocol import limits_for
    from llm_judge.report import RecordPrinter, Tally
    from llm_judge.resources import content_folder

    console = Console()
    path = content_folder("evals") / "demo" / "items.jsonl"
    wanted = _expectations(path)
    started = time.monotonic()
    judge = build_judge(None, None, engine, explain, explain_at_most=1)
    console.print(
        f"model {judge.run.engine.model} ({judge.run.engine.dtype}), "
        f"{len(judge.compiled.rules)} rules in {len(judge.compiled.areas)} policies, "
        f"ready after {time.monotonic() - started:.1f} s",
        highlight=False,
    )
    tally = Tally()
    printer = RecordPrinter(console, judge.compiled, as_json=False, batch=8)
    agreed: list[bool] = []
    started = time.monotonic()
    with item_progress(len(wanted), console) as advance:
        items = items_from_arguments([str(path)], io.BytesIO(), limits_for(judge.engine))
        for record in run_batches(judge, items, batch_items=8):
            tally.add(record)
            printer.add(record, note=f"made to be: {wanted[str(record.item['id'])]['expect']}")
            agreed += _agrees(record, wanted[str(record.item["id"])])
            advance(1)
    printer.finish()
    seconds = time.monotonic() - started
    console.print(tally.line(), highlight=False)
    console.print(
        f"{seconds:.1f} s for {len(wanted)} items with perception ({seconds / len(wanted):.2f} s an item); "
        f"{sum(agreed)} of {len(agreed)} clear-cut items came out as they were made "
        "(a demo, not a measurement)",
        highlight=False,
    )


def _expectations(path: Path) -> dict[str, dict[str, Any]]:
    import json

    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row for row in rows}


def _agrees(record: DecisionRecord, row: dict[str, Any]) -> list[bool]:
    """Whether a rule fires where one should and the item is allowed where none should.

    Nothing for borderline items; an item that could not be decided did not come out as it was made.
    """
    if row["expect"] == "borderline":
        return []
    fires = any(verdict.outcome.value == "violates" for verdict in record.verdicts)
    return [fires if row["expect"] == "violates" else record.action.value == "allow"]
