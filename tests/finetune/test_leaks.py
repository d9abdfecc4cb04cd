"""A planted leak is left out and counted, and so is a text with two labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from labelled_sets import write
from samples import make_policy, make_rule

from llm_judge.evals.near_duplicates import normalised
from llm_judge.finetune.leaks import (
    held_out_texts,
    opposite,
    without_equals,
    without_groups,
    without_near,
)
from llm_judge.finetune.liveness_probes import load_probes, probe_folder
from llm_judge.finetune.rows import OWN, REVIEW, LabelledRow
from llm_judge.policy.load import load_policies
from llm_judge.policy.model import Example
from llm_judge.resources import content_folder

LONG = "The gardener next door waters every single tomato plant before the sun is up, and sings to them."
NEAR = LONG.replace("sun is up", "sun is out")
OTHER = "Two neighbours argued for an hour about where the hedge should end, then had tea together."


def row(text: str, applies: bool = True, **changes: object) -> LabelledRow:
    made = LabelledRow(text, "en", "set", {"garden/plants": applies}, id=text[:9])
    return replace(made, **changes)  # type: ignore[arg-type]


def test_everything_that_is_scored_is_held_out(tmp_path: Path) -> None:
    write(tmp_path, {"source": "set", "text": "A row of dev."}, split="dev")
    shown = Example(content="An example.", verdict="clear", because="It is.")
    policies = (
        *load_policies([content_folder("policies") / "safety"]),
        make_policy("garden/plants", (make_rule(examples=(shown,)),)),
    )
    held = held_out_texts(tmp_path, policies, [row("Turns before, then a row.")])
    assert {"a row of dev", "an example", "turns before then a row"} <= set(held)
    # A case, a demo item and a bench item.
    assert normalised("Could you send me the slides from Monday?") in held
    assert normalised("We planted tomatoes on the balcony this morning. The cat supervised.") in held
    assert {normalised(text) for text in load_probes(probe_folder()).texts} <= set(held)
    cases = (content_folder("policies") / "safety" / "hate.cases.yaml").read_text("utf-8")
    assert sum(text in normalised(cases) for text in held if len(text) > 30) >= 10
    assert len(held) == len(set(held))


@pytest.mark.parametrize("text", [LONG, f"  {LONG.upper()}!! "])
def test_an_equal_text_is_a_leak(text: str) -> None:
    kept, reasons = without_equals([row(text), row(OTHER)], [normalised(LONG)])
    assert [each.text for each in kept] == [OTHER]
    assert reasons == {("equals a held-out text", "set"): 1}


def test_a_nearly_equal_text_is_a_leak_and_the_work_is_counted() -> None:
    told: list[int] = []
    held = [normalised(OTHER), normalised(LONG)]
    kept, reasons = without_near(
        [row(NEAR), row("Short."), row("Quite another sentence.")], held, told.append
    )
    assert [each.text for each in kept] == ["Short.", "Quite another sentence."]
    assert reasons == {("nearly equals a held-out text", "set"): 1}
    assert sum(told) == len(held)
    assert without_near([], held) == ([], {})


def test_texts_with_opposite_labels_are_all_left_out() -> None:
    kept, reasons = without_equals([row(LONG), row(LONG, False, id="b"), row(OTHER)], [])
    assert [each.text for each in kept] == [OTHER]
    assert reasons == {("equal texts with opposite labels", "set"): 2}
    kept, reasons = without_near([row(LONG), row(NEAR, False, id="b"), row(OTHER)], ["nothing alike"])
    assert [each.text for each in kept] == [OTHER]
    assert reasons == {("nearly equal texts with opposite labels", "set"): 2}


def test_repeated_rows_are_left_out_once() -> None:
    more = row(LONG, areas={"market/sales": False}, id="b")
    kept, reasons = without_equals([row(LONG), row(f"{LONG} "), more], [])
    assert kept == [row(LONG), more] or kept == [more, row(LONG)]
    assert reasons == {("the same text and labels again", "set"): 1}


@pytest.mark.parametrize(
    "changes",
    [{"source": REVIEW}, {"group": "pair"}, {"areas": {"market/sales": False}}, {"source": OWN, "areas": {}}],
)
def test_what_differs_on_purpose_or_says_nothing_is_no_contradiction(changes: dict[str, object]) -> None:
    one = row(LONG, group="pair")
    assert opposite(one, row(LONG, False, id="b"))
    assert not opposite(one, replace(row(LONG, False, id="b"), **changes))  # type: ignore[arg-type]


def test_a_group_is_not_split() -> None:
    rows = [row(LONG, group="pair"), row(OTHER, group="other"), row("Alone.", group="Alone.")]
    kept, reasons = without_groups(rows, [row("Held out.", group="pair"), row("Alone.", group="Alone.")])
    assert kept == rows[1:]
    assert reasons == {("its group has held-out rows", "set"): 1}
