"""`llm-judge eval baselines`: what every score is held against, on the same items."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.eval_run import Limit, SampleBy, Suites, build_judge, read_suite, run_one
from llm_judge.cli.options import DataFolder, Policies, Seed
from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_judge.engines.protocol import Engine
    from llm_judge.evals.lexical_baselines import LexicalJudge
    from llm_judge.evals.outcomes import EvalItem, ItemOutcome
    from llm_judge.evals.suite import Suite
    from llm_judge.policy.model import Policy

    Plan = tuple[Suite, tuple[Policy, ...], list[EvalItem]]

_EVERY_SUITE = "all"
_LEXICAL = ("constant", "keywords", "tfidf")
# Systems that are the packaged model; the one with our adapter is no baseline, and runs only when named.
_MODELS = {"untuned": "local:base", "packaged": "local"}
_FREE_FORM_ITEMS = 200  # one completion an area and item: seconds each on two cores


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
            help="`constant`, `keywords`, `tfidf`, `untuned` or `free-form`; all if left out. `packaged` "
            "adds the packaged model with our adapter.",
        ),
    ] = None,
    data: DataFolder = None,
    policies: Policies = None,
    limit: Limit = None,
    sample: SampleBy = None,
    seed: Seed = 0,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also measure them, and write figures.json and README.md in here."
        ),
    ] = None,
) -> None:
    """Answer the items of suites with baselines: lexical ones, the untuned model, a free-form JSON judge.

    Use the same --limit, --sample and --seed as for the run, so that the items are the same. The lexical
    baselines learn from the train split. The models answer areas only. The free-form judge writes a
    completion for every area and item, so it answers the first 200 items only. Finished ones are kept.

      llm-judge eval baselines core-text --data DATA_FOLDER --limit 2000

      llm-judge eval baselines all --data DATA_FOLDER --limit 100 --which tfidf --which untuned
    """
    from llm_judge.evals.run_data import BASELINES

    wanted = which or list(BASELINES)
    for name in wanted:
        if name not in (*BASELINES, *_MODELS):
            raise UsageError(
                f"there is no baseline `{name}`", f"choose from {', '.join((*BASELINES, *_MODELS))}"
            )
    if figures is not None and not figures.is_dir():
        raise UsageError(f"there is no folder `{figures}` for the figures", "make the folder first")
    plans = [
        read_suite(name, data, policies, limit=limit, sample=sample, seed=seed) for name in _named(suites)
    ]
    systems = _Systems(plans, data, {"limit": limit, "sample": sample, "seed": seed})
    for plan in plans:
        for name in wanted:
            systems.answer(name, plan, out / name / plan[0].suite)
    if figures is not None:
        _write_figures(figures, plans, wanted, out, systems.options)


def _named(suites: Sequence[str]) -> list[str]:
    from llm_judge.evals.suite import load_suites

    return sorted(load_suites()) if list(suites) == [_EVERY_SUITE] else list(suites)


@dataclass(slots=True)
class _Systems:
    """Whatever answers, made when it is first needed and shared by all suites."""

    plans: Sequence[Plan]
    data: Path | None
    options: dict[str, Any]
    _lexical: dict[str, LexicalJudge] = field(default_factory=dict)
    _engines: dict[str, Engine] = field(default_factory=dict)
    _train: list[EvalItem] | None = None

    def answer(self, name: str, plan: Plan, folder: Path) -> None:
        """Answer one suite with one system, unless the folder holds that already."""
        suite, chosen, items = plan
        if name in _MODELS:
            judge = build_judge(chosen, self._engine(_MODELS[name]), explain=False)
            options = {**self.options, "explain": False, "ask": Ask.AREAS.value}
            run_one(suite, judge, items, folder, options, self.data, True)
        elif name in _LEXICAL:
            self._keep(name, plan, items, folder, lambda: self._lexical_answers(name, chosen, items))
        else:
            some = items[:_FREE_FORM_ITEMS]
            answers = functools.partial(_free_form, self._engine(_MODELS["untuned"]), chosen, some)
            self._keep(name, plan, some, folder, answers)

    def _keep(
        self,
        name: str,
        plan: Plan,
        items: Sequence[EvalItem],
        folder: Path,
        answers: Callable[[], list[ItemOutcome]],
    ) -> None:
        from llm_judge.evals.run import items_digest
        from llm_judge.evals.run_folder import RunFolder

        suite, chosen, _ = plan
        identity = {
            "suites": [suite.suite],
            "items": len(items),
            "items_digest": items_digest(items),
            "options": self.options,
            "baseline": name,
            "policies": {policy.policy: policy.version_in_force for policy in chosen},
        }
        with RunFolder(folder, identity, resume=True) as kept:
            if not kept.finished:
                started = time.monotonic()
                if not kept.outcomes:
                    kept.append(answers())
                kept.finish({"seconds": round(time.monotonic() - started, 1)})
        typer.echo(f"{name} on {suite.suite}: {len(items)} items in {folder}")

    def _lexical_answers(
        self, name: str, chosen: Sequence[Policy], items: Sequence[EvalItem]
    ) -> list[ItemOutcome]:
        from llm_judge.evals.lexical_baselines import LexicalJudge

        if name not in self._lexical:
            everything = [item for _, _, each in self.plans for item in each]
            held = {item.id for item in everything}
            taught = [item for item in self._taught() if item.id not in held]
            self._lexical[name] = LexicalJudge(name, taught, everything)
        return self._lexical[name].outcomes(items, [policy.policy for policy in chosen])

    def _taught(self) -> list[EvalItem]:
        if self._train is None:
            self._train = _train(self.data)
        return self._train

    def _engine(self, spec: str) -> Engine:
        from llm_judge.engines.open import open_engine

        if spec not in self._engines:
            self._engines[spec] = open_engine(spec)
        return self._engines[spec]


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


def _free_form(engine: Engine, policies: Sequence[Policy], items: Sequence[EvalItem]) -> list[ItemOutcome]:
    from llm_judge.cli.progress import item_progress
    from llm_judge.compile import compile_policies
    from llm_judge.engines.local import LocalEngine
    from llm_judge.evals.free_form import free_form_outcomes
    from llm_judge.evals.judging import target_of

    if not isinstance(engine, LocalEngine):  # only the in-process model can be asked for free text
        raise UsageError("the free-form judge needs the in-process model")
    compiled = compile_policies(policies, target_of(engine))
    with item_progress(len(items), label="free-form") as advance:
        return free_form_outcomes(engine, compiled, items, advance)


def _write_figures(
    folder: Path, plans: Sequence[Plan], names: Sequence[str], out: Path, options: dict[str, Any]
) -> None:
    from llm_judge.cli.report_file import write_text
    from llm_judge.evals import document
    from llm_judge.evals.baseline_figures import SuiteRuns, as_blocks, figures
    from llm_judge.evals.run_data import read_run

    suites = [
        SuiteRuns(
            suite.suite, suite.split, chosen, [read_run(out / name / suite.suite, name) for name in names]
        )
        for suite, chosen, _ in plans
    ]
    found = figures(suites, options)
    write_text(folder / "figures.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write_text(folder / "README.md", document.to_markdown(as_blocks(found, "make baselines")))
    typer.echo(f"wrote {folder / 'figures.json'} and {folder / 'README.md'}", err=True)
