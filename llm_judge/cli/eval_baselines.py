"""`llm-judge eval baselines`: what every score is held against, on the same items."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.eval_run import Ask, AskAbout, Limit, SampleBy, Suites, build_judge, read_suite, run_one
from llm_judge.cli.options import DataFolder, Policies, Seed
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.engines.protocol import Engine
    from llm_judge.evals.outcomes import EvalItem, ItemOutcome
    from llm_judge.evals.suite import Suite
    from llm_judge.policy.model import Policy

_LEXICAL = ("constant", "keywords", "tfidf")
_FREE_FORM_ITEMS = 200  # one completion an area and item: a second each on two cores


def baselines(
    suites: Suites,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Made in here: BASELINE/SUITE.")
    ] = Path("runs/baselines"),
    which: Annotated[
        list[str] | None,
        typer.Option(
            "--which",
            metavar="NAME",
            help="`constant`, `keywords`, `tfidf`, `untuned` or `free-form`; all if left out.",
        ),
    ] = None,
    data: DataFolder = None,
    policies: Policies = None,
    ask: Ask = AskAbout.LABELLED,
    limit: Limit = None,
    sample: SampleBy = None,
    seed: Seed = 0,
) -> None:
    """Answer the items of suites with baselines: lexical ones, the untuned model, a free-form JSON judge.

    Use the same --limit, --sample and --seed as for the run, so that the items are the same. The lexical
    baselines learn from the train split. The free-form judge writes a completion for every area and item,
    so it answers the first 200 items only.

      llm-judge eval baselines core-text --data DATA_FOLDER --limit 2000
    """
    from llm_judge.engines.open import open_engine
    from llm_judge.evals.run_data import BASELINES

    untuned = functools.cache(lambda: open_engine("local:base"))
    wanted = which or list(BASELINES)
    for name in wanted:
        if name not in BASELINES:
            raise UsageError(f"there is no baseline `{name}`", f"choose from {', '.join(BASELINES)}")
    plans = [read_suite(name, data, policies, limit=limit, sample=sample, seed=seed) for name in suites]
    train: list[EvalItem] | None = None
    for suite, chosen, items in plans:
        options = {"limit": limit, "sample": sample, "seed": seed}
        for name in wanted:
            if name == "untuned":
                judge = build_judge(chosen, untuned(), explain=False)
                run_one(
                    suite,
                    judge,
                    items,
                    out / name / suite.suite,
                    {**options, "explain": False, "ask": ask.value},
                    data,
                    True,
                )
                continue
            if name in _LEXICAL and train is None:
                train = _train(data)
            engine = untuned() if name == "free-form" else None
            _run_one(name, suite, chosen, items, train or [], engine, out / name / suite.suite, options)


def _train(data: Path | None) -> list[EvalItem]:
    from llm_judge.evals.suite import load_suites
    from llm_judge.evals.suite_rows import data_folder
    from llm_judge.evals.train_items import split_items
    from llm_judge.policy.load import load_policies
    from llm_judge.resources import content_folder

    folder = data_folder(data)
    if folder is None:
        raise UsageError("lexical baselines learn from the train split", "give its folder with --data")
    everything = load_policies([content_folder("policies")])
    return split_items(load_suites().values(), folder, everything, "train")


def _run_one(
    name: str,
    suite: Suite,
    policies: Sequence[Policy],
    items: Sequence[EvalItem],
    train: Sequence[EvalItem],
    engine: Engine | None,
    folder: Path,
    options: Mapping[str, object],
) -> None:
    from llm_judge.evals.run import items_digest
    from llm_judge.evals.run_folder import RunFolder

    answered = list(items[:_FREE_FORM_ITEMS] if name == "free-form" else items)
    identity = {
        "suites": [suite.suite],
        "items": len(answered),
        "items_digest": items_digest(answered),
        "options": options,
        "baseline": name,
        "policies": {policy.policy: policy.version_in_force for policy in policies},
    }
    with RunFolder(folder, identity, resume=True) as kept:
        if not kept.finished:
            started = time.monotonic()
            if not kept.outcomes:
                kept.append(_answers(name, policies, answered, train, engine))
            kept.finish({"seconds": round(time.monotonic() - started, 1), "train_items": len(train)})
    typer.echo(f"{name} on {suite.suite}: {len(answered)} items in {folder}")


def _answers(
    name: str,
    policies: Sequence[Policy],
    items: Sequence[EvalItem],
    train: Sequence[EvalItem],
    engine: Engine | None,
) -> list[ItemOutcome]:
    from llm_judge.cli.progress import item_progress

    if engine is None:
        from llm_judge.evals.lexical_baselines import lexical_outcomes

        held = {item.id for item in items}
        taught = [item for item in train if item.id not in held]
        return lexical_outcomes(name, taught, items, [policy.policy for policy in policies])
    with item_progress(len(items), label=name) as advance:
        return _free_form(engine, policies, items, advance)


def _free_form(
    engine: Engine,
    policies: Sequence[Policy],
    items: Sequence[EvalItem],
    advance: Callable[[int], None],
) -> list[ItemOutcome]:
    from llm_judge.compile import compile_policies
    from llm_judge.engines.local import LocalEngine
    from llm_judge.evals.free_form import free_form_outcomes
    from llm_judge.evals.judging import target_of

    if not isinstance(engine, LocalEngine):  # only the in-process model can be asked for free text
        raise UsageError("the free-form judge needs the in-process model")
    return free_form_outcomes(engine, compile_policies(policies, target_of(engine)), items, advance)
