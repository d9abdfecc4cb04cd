"""The join finds exactly the pairs that comparing everything with everything finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.evals.near_duplicates import LEAST_CHARACTERS, SHINGLE, SIMILAR, ShingleIndex, normalised

BASE = "the gardener next door waters every single tomato plant before the sun is up"


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A cut of one text, or of it twice, with a few characters replaced."""
    text = BASE * draw(st.sampled_from([1, 1, 2]))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    chars = list(text if draw(st.booleans()) else text[start:end])
    for _ in range(draw(st.integers(0, 4)) if chars else 0):
        chars[draw(st.integers(0, len(chars) - 1))] = draw(st.sampled_from("qxz"))
    return "".join(chars)


def jaccard(one: str, other: str) -> float:
    sets = [{text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)} for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@settings(max_examples=30)
@given(st.lists(edited(), max_size=12), st.lists(edited(), max_size=12))
def test_it_finds_what_comparing_everything_finds(left: list[str], right: list[str]) -> None:
    index = ShingleIndex(left, right)
    long = [
        [(i, text) for i, text in enumerate(texts) if len(text) >= LEAST_CHARACTERS]
        for texts in (left, right)
    ]
    across = {(i, j): jaccard(a, b) for i, a in long[0] for j, b in long[1]}
    within = {(i, j): jaccard(a, b) for i, a in long[0] for j, b in long[0] if i < j}
    for expected, found in ((across, index.alike(0, 1)), (within, index.alike(0, 0))):
        assert {(i, j): pytest.approx(value) for i, j, value in found} == {
            pair: value for pair, value in expected.items() if value >= SIMILAR
        }


def test_more_texts_than_a_block_holds() -> None:
    texts = [f"{i:07} {i * i:012} {i**3:020}" for i in range(2_500)]
    assert list(ShingleIndex([*texts, f"{texts[2_400]}!"]).alike(0, 0)) == [
        (2_400, 2_500, pytest.approx(jaccard(texts[2_400], f"{texts[2_400]}!")))
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Water  it!", "water it"),
        ("ＷＡＴＥＲ it", "water-it"),
        ("…", " … "),
        ("sun ☀\ufe0f", "sun ☀!"),
        ("a\u0301b", "\u00e1b"),
    ],
)
def test_form_does_not_count(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_other_words_and_marks_do() -> None:
    assert normalised("water it") != normalised("water is")
    assert normalised("कि") != normalised("का")
    assert normalised("water 🌱") != normalised("water 🌵")
    assert normalised("👍🏻") != normalised("👍🏿")
    assert normalised(" \n") == ""


def test_odd_texts_are_compared_too() -> None:
    odd = [normalised(text) for text in ("", "🌱" * 30, "\ud800" * 30, "x" * 100_000, "x" * 100_001)]
    assert [pair[:2] for pair in ShingleIndex(odd, []).alike(0, 0)] == [(3, 4)]
    assert list(ShingleIndex(odd, []).alike(1, 0)) == []
