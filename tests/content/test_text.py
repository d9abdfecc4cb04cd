"""Text is cut into sentences that keep their exact place, in linear time, nothing lost."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.content.content import Modality, Segment
from llm_judge.content.text import MAX_SEGMENT, from_text
from llm_judge.content.windows import windows
from llm_judge.errors import ContentEmpty, ContentTooLarge

LONG_SENTENCES = {
    "english": "Dr. Smith paid 3.50 for a very long and winding story about bread and butter and jam. ",
    "spanish": "¿Quién de ustedes quiere venir con nosotros a la playa el próximo fin de semana largo? ",
    "french": "M. Dupont habite une grande maison blanche au bord de la mer depuis de nombreuses années. ",
    "german": "Am 3. Oktober fahren wir bzw. ihr mit dem Zug in die Berge und bleiben dort eine Woche. ",
    "chinese": "我们明天一起去海边看日出，然后在那里吃早饭，再慢慢地走回家，"
    "路上还要去市场买很多新鲜的水果和蔬菜给奶奶做晚饭，大家都很高兴也很期待。",
    "hindi": "हम सब कल सुबह समुद्र के किनारे घूमने जाएँगे और वहाँ बैठकर बहुत देर तक बातें करेंगे। ",
    "arabic": "هل تريد أن تذهب معنا إلى الشاطئ في عطلة نهاية الأسبوع القادمة مع جميع الأصدقاء؟ ",
}


def _check_tiling(text: str, segments: tuple[Segment, ...]) -> None:
    covered = 0
    for number, segment in enumerate(segments, start=1):
        assert segment.id == number
        assert segment.start is not None and segment.end is not None
        assert text[segment.start : segment.end] == segment.text != ""
        assert text[covered : segment.start].strip() == ""
        assert len(segment.text.encode("utf-8", "surrogatepass")) <= MAX_SEGMENT
        covered = segment.end
    assert text[covered:].strip() == ""


@pytest.mark.parametrize("language", LONG_SENTENCES)
def test_a_sentence_is_a_segment(language: str) -> None:
    sentence = LONG_SENTENCES[language]
    content = from_text(sentence * 5)
    assert [segment.text for segment in content.segments] == [sentence.strip()] * 5


def test_a_short_post_is_one_segment() -> None:
    content = from_text("Hi all! How are you?\nSee you. \U0001f600", id="p1")
    assert [segment.text for segment in content.segments] == ["Hi all! How are you?\nSee you. \U0001f600"]
    assert (content.id, content.modality, content.coverage.seen) == ("p1", Modality.TEXT, 31)


def test_short_sentences_are_merged_but_not_across_paragraphs() -> None:
    content = from_text("One. Two. Three.\n\n" + "Four is a bit longer than the others. " * 8)
    assert content.segments[0].text == "One. Two. Three."
    assert 1 < len(content.segments) < 6


def test_a_run_without_punctuation_is_cut_at_white_space() -> None:
    content = from_text("word " * 500)
    assert all(segment.text.split() == ["word"] * segment.text.count("word") for segment in content.segments)
    _check_tiling("word " * 500, content.segments)


@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" .!?\n。।؟\"'a\u200d\u0301")), min_size=1)
)
def test_segments_tile_everything_but_white_space(text: str) -> None:
    try:
        content = from_text(text * 7)
    except ContentEmpty:
        return
    _check_tiling(text * 7, content.segments)


@pytest.mark.parametrize("piece", ["a", "a. ", "!", '"!', "。", "a\u200b", " ", "\n", "é ", "[!"])
def test_two_megabytes_of_anything_are_cut(piece: str) -> None:
    size = 2 * 1024 * 1024 - 10
    text = "x" + piece * (size // len(piece.encode()))
    _check_tiling(text, from_text(text).segments)


def test_few_characters_of_many_bytes_are_cut_too() -> None:
    text = "\U00010000" * 120
    _check_tiling(text, from_text(text).segments)


def test_the_digest_is_of_the_utf8_bytes() -> None:
    assert from_text("déjà vu").sha256 == hashlib.sha256("déjà vu".encode()).hexdigest()
    assert from_text("a \ud800 lone surrogate").segments  # JSON can hold one


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\u200d\ufeff", "\U000e0041\u2066"])
def test_nothing_to_see_is_empty(text: str) -> None:
    with pytest.raises(ContentEmpty, match=r"`a\.txt` is empty"):
        from_text(text, source="a.txt")


def test_too_large_names_size_cap_and_option() -> None:
    with pytest.raises(ContentTooLarge, match="is 10 MiB of text, the cap is 2 MiB") as caught:
        from_text("a" * (10 * 1024 * 1024))
    assert caught.value.hint is not None and "--max-text-bytes" in caught.value.hint
    assert from_text("é" * 10, max_bytes=20)
    with pytest.raises(ContentTooLarge):
        from_text("é" * 10, max_bytes=19)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 120), st.integers(0, 4))
def test_windows_hold_every_segment_within_the_cost(lengths: list[int], most: int, overlap: int) -> None:
    text = " ".join("Z" * (220 - length) + "." for length in lengths)
    content = from_text(text)
    cost = {segment.id: length for segment, length in zip(content.segments, lengths, strict=True)}
    found = windows(content, most, lambda segment: cost[segment.id], overlap)
    ids = [[segment.id for segment in window.segments] for window in found]
    assert sorted({number for window in ids for number in window}) == list(cost)
    assert all(sum(cost[number] for number in window) <= most for window in ids)
    assert all(window == list(range(window[0], window[-1] + 1)) for window in ids)
    for before, after in itertools.pairwise(ids):
        assert before[0] < after[0] and before[-1] < after[-1]
        assert len(set(before) & set(after)) <= overlap
    if len(found) > 1:
        assert all(window.coverage.seen < window.coverage.total == len(text) for window in found)


def test_windows_overlap_and_say_which_they_are() -> None:
    content = from_text(" ".join("Z" * 150 + "." for _ in range(6)))
    found = windows(content, 3, lambda segment: 1)
    assert [[segment.id for segment in window.segments] for window in found] == [[1, 2, 3], [3, 4, 5], [5, 6]]
    assert found[1].coverage.notes == ("window 2 of 3",)
    assert windows(content, 6, lambda segment: 1) == [content]
    with pytest.raises(ContentTooLarge, match=r"segment 1 .* needs 9 tokens, a window holds 8"):
        windows(content, 8, lambda segment: 9)
