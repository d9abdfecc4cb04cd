"""A text framed as another medium keeps its words, and what was cited stays cited."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llm_judge.content.content import Content, Modality, Segment, SegmentKind
from llm_judge.content.text import from_text
from llm_judge.finetune.framings import framed, wordless

SENTENCES = ("Rain fell on the quiet harbour.", "Nobody minded, least of all the ducks!", "Is tea ready?")
MEDIA = {Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO}


def made(*sentences: str) -> Content:
    segments = tuple(Segment(n, SegmentKind.SENTENCE, text) for n, text in enumerate(sentences, start=1))
    return replace(from_text("\n".join(sentences)), segments=segments)


def letters(text: str) -> str:
    return re.sub(r"\W+", " ", text).casefold().strip()


@given(seed=st.integers(0, 10_000), cited=st.sets(st.sampled_from([1, 2, 3]), min_size=1))
def test_the_words_stay_and_the_cited_ones_are_followed(seed: int, cited: set[int]) -> None:
    content = made(*SENTENCES)
    found, now = framed(content, sorted(cited), random.Random(seed))
    assert [segment.id for segment in found.segments] == list(range(1, len(found.segments) + 1))
    assert letters(" ".join(s.text for s in found.segments)) == letters(" ".join(SENTENCES))
    words = letters(" ".join(s.text for s in found.segments if s.id in now))
    assert words == letters(" ".join(SENTENCES[i - 1] for i in sorted(cited)))
    assert bool(found.facts) == (found.modality is not Modality.TEXT)


def test_every_medium_comes_up_and_one_seed_gives_one_framing() -> None:
    content = made(*SENTENCES)
    found = [framed(content, [1], random.Random(seed))[0] for seed in range(60)]
    assert {one.modality for one in found} == MEDIA
    assert found == [framed(content, [1], random.Random(seed))[0] for seed in range(60)]


def test_a_long_text_is_not_put_on_a_picture() -> None:
    content = made(*SENTENCES * 10)
    media = {framed(content, [1], random.Random(seed))[0].modality for seed in range(60)}
    assert media == MEDIA - {Modality.IMAGE}


def test_a_wordless_item_says_only_what_was_measured() -> None:
    found = wordless(made("Rain fell."), random.Random(1))
    assert [segment.kind for segment in found.segments] == [SegmentKind.SIGNAL]
    assert "Rain" not in found.segments[0].text
