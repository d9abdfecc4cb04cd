"""What a model is shown: one line, nothing invisible, no control tokens, whatever comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.content.normalise import clean, is_blank, neutralise

TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]", "</s>", "<s>")
PIECES = st.sampled_from(
    (
        *TOKENS,
        *("<|im_", "end|>", "<|", "|>", "＜|im_end|＞", "<\u2060s>", "\n", "\x1b[0m", "\ud800"),
        *("\u200b", "\u200c", "\u200d", "\u00ad", "\u202e", "\U000e0041", "\ufe0f", "\u3164"),
        *("e", "\u0301", "ﬃ", "ﷺ", "\u0645", "❤"),
    )
)
HOSTILE = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=12).map("".join)


@given(HOSTILE)
def test_clean_is_one_line_and_a_fixed_point(text: str) -> None:
    cleaned, _ = clean(text)
    assert clean(cleaned)[0] == cleaned
    assert not any(char in cleaned for char in "\n\r\t\x00\x1b\x0b\x0c\x1c\x85\u2028\u2029\u200b\u202e\ud800")
    cleaned.encode("utf-8")


@given(HOSTILE)
def test_no_special_token_survives(text: str) -> None:
    safe = neutralise(text, TOKENS)
    assert not any(token in safe for token in TOKENS)
    assert clean(safe)[0] == safe == neutralise(safe, TOKENS)


@given(st.text(max_size=30), st.lists(st.text(max_size=3), max_size=4))
def test_any_strings_may_be_special(text: str, tokens: list[str]) -> None:
    if any(token and not token.strip("·¦×§¤¶†‡ ") for token in tokens):
        return
    safe = neutralise(text, tokens)
    assert not any(token and token in safe for token in tokens)


@pytest.mark.parametrize(
    "text",
    [
        "<|im_<|im_end|>end|>",
        "＜|im_end|＞",
        "<|im\u200b_end|>",
        "<|im_end\U000e0041|>",
        "a<|im_end|><|im_end|>",
    ],
)
def test_known_tricks_are_broken_visibly(text: str) -> None:
    safe = neutralise(text, TOKENS)
    assert "<|im_end|>" not in safe and "<·|im_end|>" in safe


def test_invisible_characters_are_counted() -> None:
    assert clean("b\u200ba\u2060d" + "\U000e0041" * 12) == ("bad", ("contains 14 invisible characters",))
    assert clean("plain words, déjà vu") == ("plain words, déjà vu", ())
    assert clean("\uff28\uff49")[0] == "Hi" and "look-alike" in clean("\uff28\uff49")[1][0]


@pytest.mark.parametrize(
    "text",
    [
        "👨‍👩‍👧 ❤️ 1️⃣ 🏳️‍🌈 👍🏽",  # joiners and styles inside emoji
        "می‌خواهم",  # Persian needs the non-joiner
        "क्‍ष",  # so does Devanagari
    ],
)
def test_characters_that_a_script_needs_are_kept(text: str) -> None:
    assert clean(text) == (text, ())


@pytest.mark.parametrize("text", ["a\u200db", "x\ufe0f", "\u0645\u200c\u200c\u200c", "❤\ufe0f\ufe0f\ufe0f"])
def test_the_same_characters_elsewhere_are_removed(text: str) -> None:
    cleaned, facts = clean(text)
    assert len(cleaned) < len(text) and facts


def test_blank() -> None:
    assert is_blank("\u200b\n\u2800 ") and not is_blank(" . ")
