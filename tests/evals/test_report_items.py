"""Masked words: shape and length stay, inner letters do not, in any script."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_items import outcome

from llm_judge.evals.report_items import (
    MOST_CHARACTERS,
    MOST_ITEMS,
    MOST_OF_A_QUESTION,
    masked,
    shortened,
    worst_errors,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A rose in May.", "A r··e in M·y."),
        ("r.o.s.e 1234", "r.·.·.e 1··4"),
        ("  two\n\tlines ", "  t·o\n\tl···s "),
        ("花园里的玫瑰", "花····瑰"),
        ("", ""),
    ],
)
def test_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@given(st.text())
def test_masking_keeps_length_and_white_space_and_masks_what_is_masked_no_further(text: str) -> None:
    once = masked(text)
    assert len(once) == len(text)
    assert [char for char in once if char.isspace()] == [char for char in text if char.isspace()]
    assert all(one in (other, "·") for one, other in zip(once, text, strict=True))


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shortened("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert shortened("x" * (MOST_CHARACTERS + 1_500)).endswith("x … (1,500 more characters)")


def test_no_question_fills_the_list_of_worst_errors() -> None:
    outcomes = [
        outcome(f"{area}:{number}", None, None, areas={f"garden/{area}": ("clear", True)})
        for area in range(8)
        for number in range(10)
    ]
    misses = worst_errors(
        [replace(one, answers=(replace(one.answers[0], probability=0.1),)) for one in outcomes]
    )["misses"]
    assert len(misses) == MOST_ITEMS
    assert max(Counter(row["key"] for row in misses).values()) == MOST_OF_A_QUESTION
