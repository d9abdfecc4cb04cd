"""`llm-judge eval robustness`: the same items disguised, or with orders to the judge hidden in them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.eval_run import Limit, SampleBy, build_judge, read_suite
from llm_judge.cli.options import DataFolder, EngineSpec, Policies, Seed
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.robustness import Delta, RobustnessRow


def robustness(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite of texts.")],
    families: Annotated[
        list[str] | None,
        typer.Option("--family", metavar="NAME", help="Only this family; all that judge text if left out."),
    ] = None,
    data: DataFolder = None,
    engine: EngineSpec = "local",
    policies: Policies = None,
    limit: Limit = 50,
    sample: SampleBy = None,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Change items so that their labels stay, judge both, and count what flips.

    Perturbations: zero_width, homoglyph, leet, spacing, casing, typos, padding, foreign_frame, base64.
    Injections: order_no, order_allow, order_translated, fake_turn, closed_fence, special_tokens,
    fake_verdict, fake_policy.

      llm-judge eval robustness guideline-cases --limit 100 --family leet --family order_no
    """
    from llm_judge.cli.progress import item_progress
    from llm_judge.engines.open import open_engine
    from llm_judge.evals import inject, perturb
    from llm_judge.evals.robustness import robustness as compare
    from llm_judge.evals.run import run_identity, run_items
    from llm_judge.evals.run_folder import RunFolder

    of_text = [name for each in (perturb, inject) for name, f in each.FAMILIES.items() if f.medium is None]
    wanted = families or of_text
    for name in wanted:
        if name not in of_text:
            raise UsageError(f"there is no family `{name}` for texts", f"families: {', '.join(of_text)}")
    _, chosen, items = read_suite(suite, data, policies, limit=limit, sample=sample, seed=seed)
    items = [item for item in items if item.text is not None]
    changed = [
        variant
        for each in (perturb, inject)
        for variant in each.variants(items, [name for name in wanted if name in each.FAMILIES], seed)
    ]
    judge = build_judge(chosen, open_engine(engine), explain=False)
    everything = [*items, *changed]
    with (
        tempfile.TemporaryDirectory() as folder,
        RunFolder(Path(folder) / "run", run_identity(judge, everything, {})) as run,
        item_progress(len(everything)) as advance,
    ):
        run_items(judge, everything, run, advance=advance)
        rows = compare(run.outcomes[: len(items)], run.outcomes[len(items) :])
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], ensure_ascii=False))
    else:
        _show(rows)


def _show(rows: Sequence[RobustnessRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("family", "question", "pairs", "flips", "recall", "false positives")
    for row in rows:
        recall, false = (_change(delta) for delta in (row.recall, row.false_positives))
        table.add_row(
            row.family, f"{row.kind} {row.key}", str(row.flips.total), str(row.flips), recall, false
        )
    Console(highlight=False).print(table)


def _change(delta: Delta) -> str:
    if delta.value is None or delta.low is None or delta.high is None:
        return "n/a"
    return f"{delta.value:+.2f} ({delta.low:+.2f} to {delta.high:+.2f})"
