"""The sections of a report that list items: worst errors, and labels that may be wrong.

Knows nothing about formats; words are masked by whoever shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.report_items import LEAST_LABELS, MOST_ITEMS, MOST_OF_A_QUESTION
from llm_judge.evals.report_parts import Case, Section, question

if TYPE_CHECKING:
    from llm_judge.evals.report_parts import Data


def worst(data: Data) -> Section:
    """Surest wrong decisions, misses and false alarms apart."""
    text = (
        "The wrong decisions that the judge was surest of, at most "
        f"{MOST_ITEMS} of each kind and {MOST_OF_A_QUESTION} of a question, each item once. Words are masked "
        "until you ask for them: they can be offensive.",
    )
    names = {
        "misses": "Misses: violating, not flagged",
        "false_alarms": "False alarms: flagged, not violating",
    }
    cases = [(names[name], tuple(_case(data, row) for row in rows)) for name, rows in data["worst"].items()]
    return Section("worst", "Worst errors", text, cases=tuple(cases))


def noise(data: Data) -> Section:
    """Labels that the judge, the baselines or a near-duplicate contradict."""
    text = (
        "Labels that may be wrong, for a person to look at; no number here counts them out. Confident "
        "disagreement: the judge gives the other answer at least the probability it usually gives where "
        f"that is the label ({LEAST_LABELS} labels of that kind needed). First come those whose label the "
        "baselines contradict too.",
    )
    confident = tuple(
        _case(data, row, f"; {row['others_against']} of {row['others']} other runs say the same")
        for row in data["noise"]
    )
    opposite = tuple(
        Case(each["message"], name, data["texts"].get(name))
        for each in data["opposite"]
        for name in each["ids"]
    )
    found = data["opposite_found"]
    more = f" (the first {len(data['opposite'])} of {found})" if found > len(data["opposite"]) else ""
    groups = [
        ("Confident disagreement", confident),
        (f"Near-duplicates with opposite labels{more}", opposite),
    ]
    return Section("noise", "Label-noise candidates", text, cases=tuple(groups))


def _case(data: Data, row: Data, more: str = "") -> Case:
    label = {True: "applies", False: "does not apply", None: "unknown"}[row["truth"]]
    probability = "none" if row["probability"] is None else f"{row['probability']:.3f}"
    facts = (
        f"{question(row)}: label “{label}”, judged {row['outcome']} (probability {probability}), "
        f"language {row['lang']}{more}"
    )
    return Case(facts, row["item"], data["texts"].get(row["item"]))
