"""Tasks of Inspect: any suite, or the cases of the guidelines, judged in this process and scored per area.

``inspect eval llm_judge/guideline_cases`` finds them through the entry point of the package. Needs the extra
``inspect`` and registers itself with Inspect when it is imported, so nothing imports it at its top. Items are
judged one by one: slower than ``llm-judge eval run``, but no answer depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import Generate, Solver, TaskState, solver

from llm_judge.engines.open import open_engine
from llm_judge.errors import ExitCode, JudgeError, UsageError
from llm_judge.evals.inspect_samples import (
    item_metadata,
    labelled_areas,
    labels_of_item,
    placeholder,
    target_of,
)
from llm_judge.evals.inspect_score import guidelines, metrics_of, output_of, stored
from llm_judge.evals.judging import build_judges
from llm_judge.evals.outcomes import Ask, EvalItem
from llm_judge.evals.run import judge_item, read_member, run_identity
from llm_judge.evals.suite import load_suite
from llm_judge.evals.suite_files import media_tar
from llm_judge.evals.suite_rows import asked_policies, data_folder, read_items
from llm_judge.policy.load import load_policies
from llm_judge.policy.shape import suggestion
from llm_judge.resources import content_folder
from llm_judge.source import quoted

if TYPE_CHECKING:
    from llm_judge.judge import Judge

Paths = str | list[str] | None


@dataclass(frozen=True)
class _Work:
    """What the solver of one task needs; ``turn`` lets one item at a time into the engine."""

    judge: Judge
    items: dict[str, EvalItem]
    media: Callable[[str], bytes] | None
    ask: Ask
    turn: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))


@task
def guideline_cases(
    engine: str = "local",
    policies: Paths = None,
    limit: int | None = None,
    sample: str | None = None,
    seed: int = 0,
    ask: str = "labelled",
) -> Task:
    """The cases that stand beside the policies; needs no labelled data.

    Args:
        engine: as for ``llm-judge eval run``.
        policies: file or folder, or a list of them; the shipped guidelines if left out.
        limit, sample, seed: a balanced sample, as for ``llm-judge eval run``; Inspect's own ``--limit`` takes
            the first items.
        ask: ``labelled`` or ``all``.
    """
    options = {"limit": limit, "sample": sample, "seed": seed, "ask": ask}
    return _task("guideline-cases", None, engine, policies, options, words=True)


@task
def suite(
    suite: str,
    data: str | None = None,
    engine: str = "local",
    policies: Paths = None,
    limit: int | None = None,
    sample: str | None = None,
    seed: int = 0,
    ask: str = "labelled",
    words: bool = False,
) -> Task:
    """Any suite, named or as a file.

    Args:
        suite: see ``llm-judge eval suites``.
        data: folder of the labelled sets; ``LLM_JUDGE_DATA`` if left out.
        words: whether the log holds the words of the items.
        engine, policies, limit, sample, seed, ask: as for ``guideline_cases``.
    """
    options = {"limit": limit, "sample": sample, "seed": seed, "ask": ask}
    return _task(suite, data, engine, policies, options, words=words)


def _task(
    name: str, data: str | None, engine: str, policies: Paths, options: dict[str, Any], *, words: bool
) -> Task:
    """Read the items, open the engine and describe both; wrong input is one line instead of a traceback."""
    with _errors_as_messages():
        ask = _asking(options["ask"])
        read = load_suite(name)
        folder = data_folder(None if data is None else Path(data))
        chosen = asked_policies(read, load_policies(_paths(policies)))
        drawn = {key: options[key] for key in ("limit", "sample", "seed")}
        items = read_items(read, folder, chosen, **drawn)
        tar = None if folder is None else media_tar(folder, read)
        media = None if tar is None else partial(read_member, tar)
        judges = build_judges(chosen, open_engine(engine))
        if len(judges) > 1:
            raise UsageError("the policies of this suite do not fit the model together", "choose fewer")
    (judge,) = judges
    areas = labelled_areas(labels_of_item(item) for item in items)
    return Task(
        dataset=MemoryDataset([_sample(item, words) for item in items], name=read.suite),
        solver=_solver(_Work(judge, {item.id: item for item in items}, media, ask)),
        scorer=guidelines(areas),
        metrics=metrics_of(areas),
        model=f"none/{judge.engine.info.model}",  # Inspect calls no model; the log shows which one answered
        metadata=run_identity(judge, items, options),
    )


def _solver(work: _Work) -> Solver:
    """The judge as a solver; made inside, so that Inspect records no argument of it."""

    @solver(name="judge")
    def judge() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001  # Inspect's shape
            item = work.items[str(state.sample_id)]

            def judged() -> Any:
                return judge_item(work.judge, item, media=work.media, ask=work.ask)

            outcome = await anyio.to_thread.run_sync(judged, limiter=work.turn)
            for key, value in stored(outcome).items():
                state.store.set(key, value)
            state.output = output_of(outcome, work.judge.engine.info.model)
            state.messages.append(state.output.message)
            return state

        return solve

    made: Callable[[], Solver] = judge
    return made()


def _sample(item: EvalItem, words: bool) -> Sample:
    return Sample(
        id=item.id,
        input=item.text if words and item.text else placeholder(item.id),
        target=target_of(labels_of_item(item)),
        metadata=item_metadata(item),
    )


def _asking(word: str) -> Ask:
    known = [each.value for each in Ask]
    if word not in known:
        raise UsageError(f"there is no way to ask called {quoted(word)}", suggestion(word, known, "ways"))
    return Ask(word)


def _paths(policies: Paths) -> list[Path]:
    if not policies:
        return [content_folder("policies")]
    return [Path(path) for path in ([policies] if isinstance(policies, str) else policies)]


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    """Inspect's command line is made with Click, which prints its own errors without a traceback."""
    try:
        yield
    except JudgeError as error:
        raise _CouldNotRun("\n".join(filter(None, (error.message, error.hint)))) from error


class _CouldNotRun(click.ClickException):
    """Ends the command line with our own exit code."""

    exit_code = int(ExitCode.COULD_NOT_RUN)
