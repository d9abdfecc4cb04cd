"""Which rows are trained on and which are only measured on: read, freed of leaks and noise, sampled.

Knows nothing about prompts.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_judge.finetune.balance import sampled_rows
from llm_judge.finetune.disagreements import Disagreement, misses, read_overrides
from llm_judge.finetune.labelled import labelled_rows, training_suites
from llm_judge.finetune.leaks import held_out_texts, without_equals, without_groups, without_near
from llm_judge.finetune.rows import OWN, own_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from llm_judge.evals.suite import Suite
    from llm_judge.finetune.data_recipe import DataRecipe
    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.policy.model import Policy

    # What is done and how much of it → a block that is told how far it is.
    Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]

_SPARE = 1.2  # rows taken for each that is wanted, since some leak


@dataclass(slots=True)
class Selected:
    """What is left, and what is not.

    Attributes:
        train, dev: rows.
        disagreements: pairs of right and wrong answers about texts that may be trained on.
        left_out: (reason, source) → rows.
    """

    train: list[LabelledRow]
    dev: list[LabelledRow]
    disagreements: list[Disagreement] = field(default_factory=list)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def harmless(self) -> list[LabelledRow]:
        """Our own rows of train that break nothing."""
        return [row for row in self.train if row.source == OWN and row.harmless]


def select_rows(
    recipe: DataRecipe,
    data: Path,
    policies: Sequence[Policy],
    progress: Progress,
    *,
    runs: Sequence[Path] = (),
    overrides: Path | None = None,
) -> Selected:
    """Read the labelled sets and our own rows, and leave out what must not be trained on.

    Args:
        recipe: caps and what to leave out.
        data: folder of the labelled sets; both splits are needed, dev for the leak check.
        policies: all areas; those the recipe leaves out are held out but not asked about.
        progress: shows how far it is.
        runs: folders of eval runs whose misses become pairs.
        overrides: file of reviewers' corrections.

    Raises:
        UsageError: a file is missing, damaged or wrong.
        PolicyError: a label map or a cases file is wrong.
    """
    asked = [policy for policy in policies if policy.policy not in recipe.leave_out_policies]
    with progress("reading", None):
        suites = training_suites(policies)
        labelled, left_out = _labelled(recipe, data, "train", asked, suites)
        dev, _ = _labelled(recipe, data, "dev", asked, suites)
        own, own_dev = (own_rows(asked, split) for split in ("train", "dev"))
        held = held_out_texts(data, policies, [*dev, *own_dev])
        labelled, other = _in_languages(labelled, recipe.languages)
        labelled, split = without_groups(labelled, dev)
        dev, own, own_dev = (_in_languages(rows, recipe.languages)[0] for rows in (dev, own, own_dev))
        sound, reasons = without_equals([*labelled, *own], held)
    left_out += other + split + reasons
    by_digest = {row.digest: row for row in sound}
    wrong, unknown = _disagreements(runs, overrides, by_digest, asked, held)
    left_out += unknown
    needed = {each.row.digest: each.row for each in wrong}
    taken = sampled_rows(_not_own(sound), int(_SPARE * recipe.per_cell) + 1, recipe.seed)
    draw = random.Random(recipe.seed)
    own, own_dev = (_some(rows, recipe.own_rows, draw) for rows in (_own(sound), own_dev))
    candidates = {id(row): row for row in (*taken, *needed.values(), *own)}
    with progress("comparing texts", len(held)) as advance:
        kept, reasons = without_near(list(candidates.values()), held, advance)
    left_out += reasons
    alive = {id(row) for row in kept}
    train = sampled_rows([row for row in taken if id(row) in alive], recipe.per_cell, recipe.seed)
    spare = Counter(row.source for row in _not_own(sound)) - Counter(row.source for row in train)
    left_out.update({("enough of this set, language and answers", name): n for name, n in spare.items()})
    return Selected(
        train=[*train, *(row for row in own if id(row) in alive)],
        dev=[*sampled_rows(dev, recipe.dev_per_cell, recipe.seed), *own_dev],
        disagreements=[each for each in wrong if id(needed[each.row.digest]) in alive],
        left_out=left_out,
    )


def _labelled(
    recipe: DataRecipe, data: Path, split: str, policies: Sequence[Policy], suites: Sequence[Suite]
) -> tuple[list[LabelledRow], Counter[tuple[str, str]]]:
    return labelled_rows(
        data,
        split,
        policies,
        suites,
        alike=recipe.alike,
        leave_out=recipe.leave_out,
        agreement_at_least=recipe.agreement_at_least,
    )


def _in_languages(
    rows: Sequence[LabelledRow], languages: Sequence[str]
) -> tuple[list[LabelledRow], Counter[tuple[str, str]]]:
    kept = [row for row in rows if not languages or row.lang.partition("-")[0] in languages]
    other = Counter(row.source for row in rows) - Counter(row.source for row in kept)
    return kept, Counter({("another language", name): count for name, count in other.items()})


def _disagreements(
    runs: Sequence[Path],
    overrides: Path | None,
    rows: dict[str, LabelledRow],
    policies: Sequence[Policy],
    held: Sequence[str],
) -> tuple[list[Disagreement], Counter[tuple[str, str]]]:
    found: list[Disagreement] = []
    left_out: Counter[tuple[str, str]] = Counter()
    for run in runs:
        of_run, unknown = misses(run, rows)
        found += of_run
        if unknown:
            left_out["item of a run that is no training row", run.name] += unknown
    if overrides is not None:
        rules = {
            f"{policy.policy}#{rule.id}": tuple(exemption.id for exemption in rule.exemptions)
            for policy in policies
            for rule in policy.rules
        }
        corrected, unknown_texts = read_overrides(overrides, rows, rules)
        sound, leaks = without_equals([each.row for each in corrected], held)
        kept = {row.digest for row in sound}
        found += [each for each in corrected if each.row.digest in kept]
        left_out += unknown_texts + leaks
    return found, left_out


def _some(rows: Sequence[LabelledRow], most: int, draw: random.Random) -> list[LabelledRow]:
    return draw.sample(list(rows), min(most, len(rows)))


def _own(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    return [row for row in rows if row.source == OWN]


def _not_own(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    return [row for row in rows if row.source != OWN]
