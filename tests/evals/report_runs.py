"""Runs made up by a seeded generator, for tests of the report."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from llm_judge.evals.outcomes import ANY, Answer, ItemOutcome, Kind
from llm_judge.evals.perturb_family import MARK
from llm_judge.evals.robustness import robustness
from llm_judge.evals.robustness_file import FamilyCounts, Robustness
from llm_judge.evals.run_data import RunData

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> and `a|b` **bold**"
AREAS = ("safety/hate", "safety/harassment", "regulated/fraud", "privacy/personal_information")
_LANGUAGES = ("en", "de", "ko", "pt-BR", "hi")
_SOURCES = ("set_one", "set_two")
_SLICES = ("negation", "quoted speech", "slur reclaimed", "spelling")
_MANIFEST: dict[str, Any] = {
    "schema": 1,
    "suites": ["core-text"],
    "items_digest": "ab" * 32,
    "options": {"limit": None, "sample": 400, "seed": 0},
    "judge": {
        "policy_digest": "12" * 32,
        "prompt_digest": "34" * 32,
        "engine": "local",
        "model": "made-up",
        "adapter_digest": None,
    },
    "policies": {**dict.fromkeys(AREAS, "1.0.0"), "mature/graphic": "1.2.0"},
    "versions": {"python": "3.11", "torch": "2.13.0"},
    "finished": True,
    "seconds": 12.5,
}


def made_run(name: str = "tuned", count: int = 400, sharpness: float = 2.0, seed: int = 0) -> RunData:
    """The truth of an item depends on its number only, so runs of one size pair up."""
    source = random.Random(f"{name}{seed}")
    outcomes = tuple(_item(number, sharpness, source) for number in range(count))
    return RunData(name, _MANIFEST, outcomes)


def made_robustness(families: tuple[str, ...] = ("perturb:leet", "inject:order_no")) -> Robustness:
    """Each family makes a duller judge; pictures changed nothing that is asked about, and left some out."""
    before = made_run(count=100)
    changed = []
    for place, family in enumerate(families):
        for outcome in made_run(family, 100, 1.5 - place / 2).outcomes:
            name = f"{outcome.item}{MARK}{family.partition(':')[2]}"
            changed.append(replace(outcome, item=name, slices=(*outcome.slices, family)))
    counts = tuple(FamilyCounts(family, "made up", None, 100, {}) for family in families)
    drawn = FamilyCounts("perturb:drawn", "in a picture", "image", 98, {"nothing can be drawn": 2})
    return Robustness(
        schema=1,
        suite="core-text",
        items=100,
        items_digest="cd" * 32,
        judge=dict(_MANIFEST["judge"]),
        policies={},
        options={"limit": 100},
        draws=20,
        families=(*counts, drawn),
        rows=tuple(robustness(before.outcomes, changed, draws=20)),
    )


def words_of(run: RunData) -> dict[str, str]:
    """Mild words for every other item, hostile ones for the rest."""
    mild = {outcome.item: f"Words number {n}.\nA second line." for n, outcome in enumerate(run.outcomes)}
    return mild | dict.fromkeys(list(mild)[::2], HOSTILE)


def _item(number: int, sharpness: float, source: random.Random) -> ItemOutcome:
    fixed = random.Random(number)
    answers: list[Answer] = []
    for place, area in enumerate(AREAS):
        applies = fixed.random() < 0.3
        known = fixed.random() < 0.6 and place < 3
        answers += _area(area, applies, applies if known else None, sharpness, source)
    areas = [answer for answer in answers if answer.kind is Kind.AREA]
    likeliest = max((a.probability for a in areas if a.probability is not None), default=None)
    known_any = True if any(a.truth for a in areas) else False if fixed.random() < 0.7 else None
    first = _answer(Kind.ITEM, ANY, known_any, likeliest)
    failed = number % 97 == 96
    return ItemOutcome(
        item=f"{_SOURCES[number % 2]}:{number}",
        sha256=f"{number:064x}",
        suite="core-text",
        source=_SOURCES[number % 2],
        modality="text",
        lang=fixed.choice(_LANGUAGES),
        slices=(fixed.choice(_SLICES),),
        group=f"g{number // 2}",
        answers=() if failed else (first, *answers),
        action="review" if likeliest is None or likeliest > 0.7 else "allow",
        ms=20 + source.random() * 60,
        tokens=300.0,
        error=f"ContentDamaged: `{HOSTILE}` cannot be read" if failed else None,
    )


def _area(
    area: str, applies: bool, truth: bool | None, sharpness: float, source: random.Random
) -> list[Answer]:
    score = source.gauss(sharpness if applies else 0.0, 1.0) - sharpness / 2 - 0.4
    probability = None if source.random() < 0.02 else 1 / (1 + math.exp(-1.5 * score))
    whole = _answer(Kind.AREA, area, truth, probability)
    asked = probability is None or probability > 0.2
    return [whole, replace(whole, kind=Kind.RULE, key=f"{area}#R1", asked=asked)]


def _answer(kind: Kind, key: str, truth: bool | None, probability: float | None) -> Answer:
    said = "unreadable"
    if probability is not None:
        said = "violates" if probability >= 0.6 else "abstain" if probability >= 0.4 else "clear"
    return Answer(kind, key, truth, probability, 0.0, 0.9 if probability is not None else 0.1, said)
