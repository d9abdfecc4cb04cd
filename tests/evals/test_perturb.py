"""Perturbations: the label stays, the words can be told, and the same seed gives the same bytes."""

from __future__ import annotations

import base64
import io
import re
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_items import eval_item

from llm_judge.content.normalise import clean
from llm_judge.errors import UsageError
from llm_judge.evals import inject, perturb
from llm_judge.evals.perturb_family import Family, media_file

ALL = {**perturb.FAMILIES, **inject.FAMILIES}
TEXT = [family for family in ALL.values() if family.medium is None]
WORDS = "The gardener next door waters every single tomato"
TEXTS = st.text(min_size=1, max_size=60).filter(str.strip)


def made(item: object, family: Family, seed: int = 0) -> object:
    return (perturb if family.kind == "perturb" else inject).perturbed(item, family.name, seed)


def changed_words(name: str, text: str = WORDS, seed: int = 0, lang: str = "en") -> str:
    found = made(eval_item("a", text, lang=lang), ALL[name], seed).text
    assert found is not None
    return found


def test_names_are_unique_over_both_kinds() -> None:
    assert len(ALL) == len(perturb.FAMILIES) + len(inject.FAMILIES)
    assert {name: family.name for name, family in ALL.items()} == {name: name for name in ALL}


@given(TEXTS, st.integers(), st.sampled_from(TEXT), st.sampled_from(["en", "de", "zh", "xx", "pt-BR", ""]))
def test_any_text_stays_a_text_and_its_labels_stay(text: str, seed: int, family: Family, lang: str) -> None:
    known = {"safety/hate": True, "safety/violence": False}
    item = eval_item("set:1", text, areas=known, rules={"safety/hate#HS1": "yes"}, harmful=True, lang=lang)
    item = replace(item, group="pair-7", target="nobody")
    found = made(item, family, seed)
    assert found.text is not None
    assert found.text.strip()
    assert found.text.encode("utf-8").decode("utf-8") == found.text
    assert found == made(item, family, seed)
    assert (found.id, found.slices) == (f"set:1~{family.name}", ("plain", f"{family.kind}:{family.name}"))
    same = replace(item, id=found.id, text=found.text, slices=found.slices)
    assert found == same


@given(TEXTS, st.integers())
def test_what_was_put_in_can_be_taken_out(text: str, seed: int) -> None:
    assert re.sub("[\u200b\u2060\ufeff]", "", changed_words("zero_width", text, seed)) == re.sub(
        "[\u200b\u2060\ufeff]", "", text
    )
    assert changed_words("spacing", text, seed).replace(" ", "") == text.replace(" ", "")
    assert base64.b64decode(changed_words("base64", text, seed)).decode() == text
    assert text in changed_words("padding", text, seed)
    assert text in changed_words("foreign_frame", text, seed)
    for name in ("homoglyph", "leet", "casing"):
        assert len(changed_words(name, text, seed)) == len(text)


@given(TEXTS, st.integers(), st.sampled_from([f for f in inject.FAMILIES.values() if f.medium is None]))
def test_an_injection_leaves_every_word_standing(text: str, seed: int, family: Family) -> None:
    rest = iter(changed_words(family.name, text, seed))
    assert all(char in rest for char in text if char != " ")  # in this order


@pytest.mark.parametrize("family", TEXT, ids=lambda family: family.name)
def test_every_family_changes_an_ordinary_text(family: Family) -> None:
    item = eval_item("a", WORDS)
    assert len({made(item, family, seed).text for seed in range(20)} - {WORDS}) >= 1
    assert made(item, family, 1).text != WORDS


def test_a_reader_still_reads_it() -> None:
    assert clean(changed_words("zero_width"))[0] == WORDS
    assert changed_words("casing").casefold() == WORDS.casefold()
    digits = str.maketrans("43105789", "aeiostbg")
    assert changed_words("leet").translate(digits).casefold() == WORDS.casefold()
    lookalike = changed_words("homoglyph")
    assert {unicodedata.name(char).split()[0] for char in lookalike if char.isalpha()} > {"LATIN"}
    typed = changed_words("typos").split()
    assert [(word[0], word[-1]) for word in typed] == [(word[0], word[-1]) for word in WORDS.split()]
    assert sum(one != other for one, other in zip(typed, WORDS.split(), strict=True)) == 2  # a quarter of 7


def test_padding_speaks_the_language_and_a_frame_another() -> None:
    assert re.search("[äöüß]|Bus", changed_words("padding", lang="de"))
    frames = {changed_words("foreign_frame", seed=seed).partition("\n")[0] for seed in range(40)}
    assert len(frames) > 5
    assert not any("message today" in frame for frame in frames)


def test_spans_follow_the_words_they_mark() -> None:
    item = eval_item("a", WORDS, spans=((4, 12),))
    assert made(item, ALL["leet"]).spans == ((4, 12),)
    padded = made(item, ALL["padding"])
    ((start, end),) = padded.spans
    assert padded.text[start:end] == "gardener"
    assert made(item, ALL["spacing"]).spans == ()


def test_variants_leave_out_what_would_not_change() -> None:
    items = [eval_item("a", WORDS), eval_item("b", "今天")]
    items += [eval_item("c", None, media="x.png"), eval_item("d", " ")]
    assert [item.id for item in perturb.variants(items, ["leet", "padding"], 0)] == [
        "a~leet",
        "a~padding",
        "b~padding",
    ]


def test_an_order_to_the_judge_unsettles_what_it_may_break_itself() -> None:
    known = {"safety/hate": False, "security/platform_security": False}
    rules = {"safety/hate#HS1": "no", "security/platform_security#PS3": "no"}
    benign = eval_item("a", WORDS, areas=known, rules=rules, harmful=False)
    (found,) = inject.variants([benign], ["fake_turn"], 0)
    assert (found.areas, found.rules) == ({"safety/hate": False}, {"safety/hate#HS1": "no"})
    assert found.harmful is None
    assert made(replace(benign, harmful=True), ALL["fake_turn"]).harmful is True


@pytest.mark.parametrize("module", [perturb, inject])
def test_wrong_use_is_one_clear_line(module: object) -> None:
    with pytest.raises(UsageError, match="no family `shout`"):
        module.perturbed(eval_item("a", WORDS), "shout", 0)
    with pytest.raises(UsageError, match="no family `shout`"):
        list(module.variants([], ["shout"], 0))
    with pytest.raises(UsageError, match="`a` has no text"):
        module.perturbed(eval_item("a", " \n"), next(iter(module.FAMILIES)), 0)
    with pytest.raises(UsageError, match="makes no files"):
        media_file(eval_item("a", WORDS), ALL["leet"], 0)


@pytest.mark.parametrize("name", ["drawn", "order_drawn"])
def test_a_picture_shows_the_words_in_several_lines(name: str) -> None:
    from PIL import Image

    item = eval_item("a", WORDS * 3, spans=((0, 3),))
    found, file = made(item, ALL[name]), media_file(item, ALL[name], 0)
    assert (found.text, found.media, found.modality, found.spans) == (None, file.name, "image", ())
    assert file == media_file(item, ALL[name], 0)
    with Image.open(io.BytesIO(file.data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        grey = image.convert("L")
    rows = [grey.crop((0, y, grey.width, y + 1)).getextrema()[0] < 128 for y in range(grey.height)]
    lines = sum(now and not before for before, now in zip([False, *rows], rows, strict=False))
    assert lines >= 4
    assert not rows[0]
    assert not rows[-1]


@pytest.mark.parametrize(
    ("text", "says"),
    [("x" * 2_001, "2,001 characters is too long"), ("\u200b\ufeff", "nothing of the text can be drawn")],
)
def test_what_cannot_be_drawn_names_the_item(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"`a~drawn`: .*{says}"):
        media_file(eval_item("a", text), ALL["drawn"], 0)


def test_without_a_synthesiser_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs espeak-ng") as caught:
        media_file(eval_item("a", WORDS), ALL["spoken"], 0)
    assert caught.value.hint == "apt-get install espeak-ng"


def test_the_words_reach_the_synthesiser_as_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in program that writes down what it was given."""
    program = tmp_path / "espeak-ng"
    program.write_text('#!/bin/sh\necho "$@" | sed "s: /[^ ]*::" >&2\n[ "$4" = xx ] && exit 1\ncat > "$6"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    item = eval_item("a", "--help me water it", lang="zh")
    file = media_file(item, ALL["spoken"], 0)
    assert (file.data, file.modality) == (b"--help me water it", "audio")
    assert made(item, ALL["spoken"]).media == file.name
    with pytest.raises(UsageError, match="`a~spoken`: espeak-ng could not speak `xx`"):
        media_file(replace(item, lang="xx"), ALL["spoken"], 0)
    with pytest.raises(UsageError, match="is not a language tag"):
        media_file(replace(item, lang="-f/etc"), ALL["spoken"], 0)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_real_voice_speaks() -> None:
    assert media_file(eval_item("a", WORDS), ALL["spoken"], 0).data[:4] == b"RIFF"
