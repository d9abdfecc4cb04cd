"""How well an adapter answers on dev rows: area and rule questions, as the judge asks them.

    python -m llm_judge.finetune.measure DATA_FOLDER [--engine local:FOLDER] [--rows 400] [--json FILE]

Rows are the dev share of our own and a balanced sample of the labelled dev split; a question is asked only
where its answer is known. Every AUROC has its number of positives and negatives and a 95 % bootstrap
interval over rows. Thresholds are chosen from these figures, so they are dev figures, not test figures.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_judge.compile import NO, CompiledPolicy, Question, compile_policies
from llm_judge.content.text import from_text
from llm_judge.content.windows import windows
from llm_judge.engines.open import open_engine
from llm_judge.engines.protocol import Engine, Reading, ReadRequest
from llm_judge.errors import ContentError, JudgeError
from llm_judge.evals.judging import target_of
from llm_judge.evals.suite import load_suites
from llm_judge.finetune.balance import sampled_rows
from llm_judge.finetune.labelled import labelled_rows
from llm_judge.finetune.rows import LabelledRow, own_rows
from llm_judge.finetune.tree_training import auroc
from llm_judge.policy.load import load_policies
from llm_judge.prompt import build_prompt
from llm_judge.resources import content_folder
from llm_judge.verdict import yes_probability

FAR_AREAS = 3  # areas known not to apply that are asked of one row
RESAMPLES = 500
GATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
CLEAR_BELOW = (0.1, 0.15, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3)
FIRES_AT = (0.5, 0.6, 0.7, 0.8)
WINDOW_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """One question about one row: what is true, P(not ``no``) and P(``yes``) among the labels."""

    row: int
    source: str
    kind: str
    area: str
    applies: bool
    probability: float
    fires: float = 0.0


def main() -> None:
    """Read the dev rows and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with dev.parquet")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--per-cell", type=int, default=8, help="rows of each source, language and answer")
    parser.add_argument("--rows", type=int, default=400, help="rows measured, drawn at random")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    try:
        policies = load_policies([content_folder("policies")])
        rows = own_rows(policies, "dev")
        labelled, _ = labelled_rows(
            options.data, "dev", policies, list(load_suites(policies=policies).values())
        )
        rows += sampled_rows(labelled, options.per_cell, seed=3)
        rows = random.Random(4).sample(rows, min(options.rows, len(rows)))
        engine = open_engine(options.engine)
        compiled = compile_policies(policies, target_of(engine))
        answers = list(ask(engine, compiled, rows))
    except JudgeError as error:
        parser.exit(
            error.exit_code, f"error: {error.message}\n" + (f"  = help: {error.hint}\n" if error.hint else "")
        )
    figures = report(answers)
    figures["policy_digest"] = compiled.digest
    figures["adapter_digest"] = engine.info.adapter_digest
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def ask(engine: Engine, compiled: CompiledPolicy, rows: Sequence[LabelledRow]) -> Iterable[Answer]:
    """Ask every row what is known about it, 32 rows at a time."""
    draw = random.Random(5)
    for start in range(0, len(rows), 32):
        requests, wanted = [], []
        for number, row in enumerate(rows[start : start + 32], start):
            try:
                content = windows(
                    from_text(row.text), WINDOW_TOKENS, lambda s: engine.count_tokens(s.text) + 4
                )[0]
            except ContentError:
                continue
            asked = _questions(compiled, row, draw)
            if asked:
                prompt = build_prompt(compiled, content, engine.special_tokens)
                requests.append(ReadRequest(prompt, tuple(question for question, _, _ in asked)))
                wanted.append((number, row, asked))
        for (number, row, asked), readings in zip(wanted, engine.read(requests), strict=True):
            for (question, area, applies), reading in zip(asked, readings, strict=True):
                kind = question.id.partition(":")[0]
                met, fires = met_probability(reading), yes_probability(reading) or 0.0
                yield Answer(number, row.source, kind, area, applies, met, fires)


def met_probability(reading: Reading) -> float:
    """P(not ``no``) among the labels: an exempt rule is met all the same."""
    return 1 - math.exp(reading.logprobs[NO]) / sum(map(math.exp, reading.logprobs.values()))


def _questions(
    compiled: CompiledPolicy, row: LabelledRow, draw: random.Random
) -> list[tuple[Question, str, bool]]:
    known = [area for area in compiled.areas if area.policy.policy in row.areas]
    applies = [area for area in known if row.areas[area.policy.policy]]
    about = (row.about or "").partition("#")[0]
    near = [a for a in known if a not in applies and a.policy.policy == about]
    far = [a for a in known if a not in applies and a not in near]
    chosen = [*applies, *near, *draw.sample(far, min(FAR_AREAS, len(far)))]
    asked = [(a.question, a.policy.policy, a in applies) for a in chosen]
    for area in [*applies, *near]:
        for rule in area.rules:
            if rule.key in row.rules:
                asked.append((rule.question, area.policy.policy, row.rules[rule.key] != NO))
    return asked


def report(answers: Sequence[Answer]) -> dict[str, Any]:
    """AUROC by kind and source, by area, what each gate would open, and what thresholds do to own rules."""
    figures: dict[str, Any] = {"by": [], "gates": [], "clear": [], "fires": []}
    own = [a for a in answers if a.source == "own"]
    labelled = [a for a in answers if a.source != "own"]
    for name, chosen in (("own rows", own), ("labelled sets", labelled)):
        for kind in ("area", "rule"):
            figures["by"].append(_figure(f"{name}, {kind}", [a for a in chosen if a.kind == kind]))
    areas = [a for a in answers if a.kind == "area"]
    for area in sorted({a.area for a in areas}):
        figures["by"].append(_figure(area, [a for a in areas if a.area == area]))
    for source in sorted({a.source for a in areas} - {"own"}):
        figures["by"].append(_figure(f"set {source}", [a for a in areas if a.source == source]))
    for gate in GATES:
        figures["gates"].append(
            {"gate": gate}
            | {
                f"{name}_{'recall' if positive else 'opened'}": _share(chosen, positive, gate)
                for name, chosen in (
                    ("own", [a for a in own if a.kind == "area"]),
                    ("labelled", [a for a in labelled if a.kind == "area"]),
                )
                for positive in (True, False)
            }
        )
    rules = [a for a in own if a.kind == "rule"]
    for at in CLEAR_BELOW:
        cleared = {
            side: sum(a.probability < at for a in rules if a.applies == side) for side in (True, False)
        }
        figures["clear"].append({"below": at, "of_applying": cleared[True], "of_others": cleared[False]})
    for at in FIRES_AT:
        fired = [a.applies for a in rules if a.fires >= at]
        figures["fires"].append({"from": at, "fired": len(fired), "right": sum(fired)})
    return figures


def _share(answers: Sequence[Answer], positive: bool, gate: float) -> float:
    chosen = [a.probability >= gate for a in answers if a.applies == positive]
    return round(float(np.mean(chosen)), 4) if chosen else float("nan")


def _figure(name: str, answers: Sequence[Answer]) -> dict[str, Any]:
    truth = np.asarray([a.applies for a in answers], dtype=bool)
    scores = np.asarray([a.probability for a in answers])
    positives = int(truth.sum())
    found: dict[str, Any] = {"name": name, "positives": positives, "negatives": len(truth) - positives}
    if min(positives, len(truth) - positives) < 5:
        return {**found, "auroc": None, "interval": None}
    by_row: dict[int, list[int]] = {}
    for place, answer in enumerate(answers):
        by_row.setdefault(answer.row, []).append(place)
    clusters = [np.asarray(places) for places in by_row.values()]
    draw = np.random.default_rng(1)
    resampled = []
    for _ in range(RESAMPLES):
        places = np.concatenate([clusters[i] for i in draw.integers(0, len(clusters), len(clusters))])
        resampled.append(auroc(truth[places], scores[places]))
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return {**found, "auroc": round(auroc(truth, scores), 3), "interval": [round(low, 3), round(high, 3)]}


def show(figures: dict[str, Any]) -> None:
    """Print the figures: AUROC, gates, thresholds."""
    for row in figures["by"]:
        value = (
            "n/a"
            if row["auroc"] is None
            else f"{row['auroc']:.3f} ({row['interval'][0]:.3f} to {row['interval'][1]:.3f})"
        )
        print(f"{row['name']:34} {row['positives']:5} + {row['negatives']:5} -  AUROC {value}")
    for row in figures["gates"]:
        print("  ".join(f"{name} {value:.3f}" for name, value in row.items()))
    for row in (*figures["clear"], *figures["fires"]):
        print("own rules: " + "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
