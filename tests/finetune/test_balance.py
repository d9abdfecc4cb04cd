"""Equally much of everything, the same for the same seed, and no prompt with two answers."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from llm_judge.finetune.balance import Caps, balanced, capped_pairs, consistent, sampled_rows
from llm_judge.finetune.rows import LabelledRow
from llm_judge.finetune.training_rows import Contrast, Kind, TrainingRow, Variant


def ask(number: int, answer: str, **changes: object) -> TrainingRow:
    labels = ("yes", "no")
    made = TrainingRow(
        "p", "", f"q{number}", answer, Kind.AREA, "a/b", Variant.PLAIN, "set", "en", "0", "1", labels
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_sample_is_capped_by_set_language_and_answers() -> None:
    many = [LabelledRow(f"n{i}", "en", "set", {"a/b": False}) for i in range(50)]
    rows = [
        *many,
        LabelledRow("p", "en", "set", {"a/b": True}),
        LabelledRow("d", "de", "set", {"a/b": False}),
    ]
    sample = sampled_rows(rows, 5, seed=3)
    assert Counter((row.lang, row.areas["a/b"]) for row in sample) == {
        ("en", False): 5,
        ("en", True): 1,
        ("de", False): 1,
    }
    assert sample == sampled_rows(rows, 5, seed=3)
    assert sample != sampled_rows(rows, 5, seed=4)


def test_a_set_does_not_give_its_answer_away() -> None:
    asks = [ask(i, "no") for i in range(300)] + [ask(i + 300, "yes") for i in range(40)]
    asks += [ask(i + 400, "yes", source="positives") for i in range(90)]
    kept, left_out = balanced(asks, Caps(answer_ratio=2, single_answer=30), random.Random(1))
    assert Counter((row.source, row.answer) for row in kept) == {
        ("set", "yes"): 40,
        ("set", "no"): 80,
        ("positives", "yes"): 30,
    }
    assert left_out == {"one answer too often in a set": 280}


def test_an_edit_does_not_give_its_answer_away() -> None:
    asks = [ask(i, "no" if i == 60 else "yes", key=f"a/b{i}", variant=Variant.INVERTED) for i in range(61)]
    kept, left_out = balanced(asks, Caps(), random.Random(1))
    assert Counter(row.answer for row in kept) == {"yes": 10, "no": 1}
    assert left_out == {"one answer too often after an edit": 50}


def test_no_language_of_an_area_fills_the_file() -> None:
    asks = [ask(100 * s + i, "yes" if i % 2 else "no", source=f"set{s}") for s in range(4) for i in range(40)]
    kept, left_out = balanced(asks, Caps(per_area_language=25), random.Random(1))
    assert Counter(row.answer for row in kept) == {"yes": 25, "no": 25}
    assert left_out == {"enough of this area, language and answer": 110}


def test_a_prompt_has_one_answer_and_stands_once() -> None:
    kept, left_out = consistent([ask(1, "yes"), ask(1, "no"), ask(2, "no"), ask(2, "no"), ask(3, "yes")])
    assert [row.question for row in kept] == ["q2", "q3"]
    assert left_out == {"one prompt with two answers": 2, "the same prompt again": 1}
    pairs = [ask(1, "yes", rejected="no"), ask(1, "yes", rejected="except")]
    assert consistent(pairs) == (pairs, {})


def test_pairs_are_capped_by_contrast_and_no_label_wins_always() -> None:
    labels = [ask(i, "no" if i % 5 else "yes", rejected="x", contrast=Contrast.LABEL) for i in range(100)]
    json = [ask(i, f"{i}", labels=(), rejected="x", contrast=Contrast.RULE) for i in range(30)]
    kept, left_out = capped_pairs([*labels, *json], 20, random.Random(1))
    assert Counter((row.contrast, row.answer) for row in kept if row.labels) == {
        (Contrast.LABEL, "yes"): 10,
        (Contrast.LABEL, "no"): 10,
    }
    assert len(kept) == 40
    assert left_out.total() == 90
