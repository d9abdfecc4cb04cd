"""`llm-judge eval robustness`: the same items disguised, or with orders to the judge hidden in them."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.eval_run import Limit, SampleBy, build_judge, read_suite
from llm_judge.cli.options import DataFolder, Draws, EngineSpec, Policies, Seed
from llm_judge.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.evals.perturb_family import Family
    from llm_judge.evals.robustness import Delta, Rate
    from llm_judge.evals.robustness_file import Robustness
    from llm_judge.evals.robustness_plan import Plan
    from llm_judge.judge import Judge


Families = Annotated[
    list[str] | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Only this family; may be given often. `all` adds pictures and speech; all families of text if "
        "left out.",
    ),
]
KeptFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        help="Keep the run and robustness.json in this folder; nothing is kept if left out.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped; needs --out.")]


def robustness(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite of texts.")],
    families: Families = None,
    out: KeptFolder = None,
    resume: Resume = False,
    data: DataFolder = None,
    engine: EngineSpec = "local",
    policies: Policies = None,
    limit: Limit = 50,
    sample: SampleBy = None,
    seed: Seed = 0,
    draws: Draws = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Change items so that their labels stay, judge both, and count what flips.

    Perturbations: zero_width, homoglyph, leet, spacing, casing, typos, padding, foreign_frame, base64;
    drawn (in a picture), spoken (needs espeak-ng). Injections: order_no, order_allow, order_translated,
    fake_turn, closed_fence, special_tokens, fake_verdict, fake_policy; order_drawn, order_spoken.

    Pictures and speech take seconds an item, so they run when named, or with `--family all`.

      llm-judge eval robustness guideline-cases --limit 100 --family leet --family order_no

      llm-judge eval robustness guideline-cases --family all --out runs/robustness
    """
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.robustness_plan import chosen_families

    if resume and out is None:
        raise UsageError("--resume needs a folder to go on in", "name it with --out")
    wanted = chosen_families(families or ())
    read, chosen, items = read_suite(suite, data, policies, limit=limit, sample=sample, seed=seed)
    planned = _planned(items, wanted, seed)
    judge = build_judge(chosen, open_engine(engine), explain=False)
    options = {"limit": limit, "sample": sample, "seed": seed, "families": [each.name for each in wanted]}
    _tell(_measured(read.suite, judge, planned, options, out, resume, draws), out, as_json=as_json)


def _tell(found: Robustness, out: Path | None, *, as_json: bool) -> None:
    from llm_judge.evals.robustness_file import ROBUSTNESS, write_robustness

    if out is not None:
        write_robustness(found, out / ROBUSTNESS)
        typer.echo(f"wrote {out / ROBUSTNESS}", err=True)
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in found.rows], ensure_ascii=False))
    else:
        _show(found)


def _planned(items: Sequence[EvalItem], families: Sequence[Family], seed: int) -> Plan:
    """The changed items, and a line for each family that left some out."""
    from llm_judge.cli.progress import item_progress
    from llm_judge.evals.robustness_plan import left_out, plan

    with item_progress(len(items), label="changing") as advance:
        planned = plan(items, families, seed, advance)
    for line in left_out(planned.families):
        typer.echo(line, err=True)
    return planned


def _measured(
    suite: str,
    judge: Judge,
    planned: Plan,
    options: Mapping[str, object],
    out: Path | None,
    resume: bool,
    draws: int,
) -> Robustness:
    """Judge originals and changed items, and compare them."""
    from llm_judge.cli.progress import item_progress
    from llm_judge.evals.outcomes import Ask
    from llm_judge.evals.robustness import robustness as compare
    from llm_judge.evals.robustness_file import Robustness
    from llm_judge.evals.run import run_identity, run_items
    from llm_judge.evals.run_folder import RunFolder

    everything = [*planned.originals, *planned.changed]
    identity = run_identity(judge, everything, options)
    with (
        _folder(out) as folder,
        RunFolder(folder, identity, resume=resume) as run,
        item_progress(len(everything)) as advance,
    ):
        run_items(judge, everything, run, media=planned.file, ask=Ask.LABELLED, advance=advance)
        outcomes = run.outcomes
    count = len(planned.originals)
    return Robustness(
        schema=1,
        suite=suite,
        items=count,
        items_digest=identity["items_digest"],
        judge=identity["judge"],
        policies=identity["policies"],
        options=dict(options),
        draws=draws,
        families=planned.families,
        rows=tuple(compare(outcomes[:count], outcomes[count:], draws=draws)),
    )


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder to keep a run in, or one that is thrown away."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield Path(scratch) / "run"
        except Interrupted as error:
            raise Interrupted("stopped, and nothing was kept", "name a folder with --out") from error


def _show(found: Robustness) -> None:
    """The rows over whole items and over all areas together, narrow enough for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from llm_judge.evals.outcomes import Kind
    from llm_judge.evals.robustness import ALL_AREAS

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for label in ("family", "pairs", "of", "flips", "recall", "false alarms"):
        table.add_column(label, no_wrap=True)
    for family in found.families:
        rows = [row for row in found.rows if row.family == family.name]
        for row in rows:
            if row.kind is Kind.ITEM or row.key == ALL_AREAS:
                asked = "items" if row.kind is Kind.ITEM else "areas"
                changes = (_change(each) for each in (row.recall, row.false_positives))
                table.add_row(family.name, str(row.pairs), asked, _share(row.flips), *changes)
        if not rows:
            table.add_row(family.name, "0", *["n/a"] * 4)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "change of the flagged share, before→after/of, for violating items and for the rest; 95 % intervals "
        "below, none under 10 groups; each area: --json, or llm-judge eval report RUN --robustness FILE"
    )


def _share(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "n/a" if rate.value is None else f"{rate.value:.2f}"
    return f"{rate.value:.2f}\n{rate.low:.2f}–{rate.high:.2f}"


def _change(delta: Delta) -> str:
    if delta.value is None:
        return "n/a"
    value = f"{delta.value:+.2f} {delta.before}→{delta.after}/{delta.total}"
    if delta.low is None or delta.high is None:
        return value
    return f"{value}\n{delta.low:+.2f}…{delta.high:+.2f}"
