"""Baselines learn from words alone, say so for what they cannot read, and repeat themselves exactly."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from labelled_items import eval_item

from llm_judge.errors import UsageError
from llm_judge.evals.keyword_baseline import terms_of
from llm_judge.evals.lexical_baselines import BASELINES, LexicalJudge
from llm_judge.evals.outcomes import EvalItem, ItemOutcome, Kind

AREA = "garden/pests"
CALM = [
    "water",
    "garden",
    "evening",
    "sweep",
    "path",
    "before",
    "dinner",
    "with",
    "old",
    "broom",
    "and",
    "then",
]
RUDE = ["slugs", "wilt"]


def texts(prefix: str, number: int, seed: int) -> list[EvalItem]:
    """Every other item applies and has one telling word among everyday ones."""
    rng = random.Random(seed)
    found = []
    for i in range(number):
        words = rng.sample(CALM, 8) + ([rng.choice(RUDE)] if i % 2 else [])
        rng.shuffle(words)
        item = eval_item(f"{prefix}{i}", " ".join(words), areas={AREA: bool(i % 2)}, harmful=bool(i % 2))
        found.append(item)
    return found


TRAIN, ITEMS = texts("t", 120, 1), texts("d", 30, 2)


def lexical_outcomes(
    name: str, train: Sequence[EvalItem], items: Sequence[EvalItem], areas: Sequence[str], seed: int = 0
) -> list[ItemOutcome]:
    return LexicalJudge(name, train, items, seed).outcomes(items, areas)


def probabilities(found: Sequence[ItemOutcome], key: str) -> list[float | None]:
    return [answer.probability for each in found for answer in each.answers if answer.key == key]


@pytest.mark.parametrize("name", ["keywords", "tfidf"])
def test_a_telling_word_is_learnt(name: str) -> None:
    found = lexical_outcomes(name, TRAIN, ITEMS, [AREA])
    assert [each.item for each in found] == [item.id for item in ITEMS]
    for item, each in zip(ITEMS, found, strict=True):
        whole, area = each.answers
        assert (whole.kind, whole.key, whole.truth) == (Kind.ITEM, "any", item.harmful)
        assert (area.kind, area.key, area.truth) == (Kind.AREA, AREA, item.areas[AREA])
        for answer in each.answers:
            assert answer.outcome == ("violates" if item.harmful else "clear")
            assert answer.probability is not None
            assert (answer.probability >= 0.5) == item.harmful
        assert (each.action, each.error) == ("review" if item.harmful else "allow", None)


def test_the_constant_is_the_share_of_the_train_items() -> None:
    taught = [eval_item(f"t{i}", "x", areas={AREA: i < 2}) for i in range(8)]
    found = lexical_outcomes("constant", taught, ITEMS, [AREA, "garden/none"])
    assert probabilities(found, AREA) == [0.3] * 30  # (2 + 1)/(8 + 2)
    assert probabilities(found, "garden/none") == [0.5] * 30  # nothing is known
    assert {answer.outcome for each in found for answer in each.answers if answer.key == AREA} == {"clear"}


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_input_gives_the_same_outcomes(name: str) -> None:
    once = lexical_outcomes(name, TRAIN, ITEMS, [AREA], seed=3)
    assert once == lexical_outcomes(name, TRAIN, ITEMS, [AREA], seed=3)
    alone = lexical_outcomes(name, TRAIN, ITEMS[5:6], [AREA], seed=3)
    assert probabilities(alone, AREA) == pytest.approx(probabilities(once[5:6], AREA))


@pytest.mark.parametrize("name", ["keywords", "tfidf"])
def test_one_answer_teaches_no_words(name: str) -> None:
    taught = [eval_item(f"t{i}", "slugs", areas={AREA: True}) for i in range(8)]
    assert probabilities(lexical_outcomes(name, taught, ITEMS, [AREA]), AREA) == [0.9] * 30


def test_only_labels_that_are_known_teach() -> None:
    """Unlabelled train items change the weights of words, but never what counts as an answer."""
    unknown = [eval_item(f"u{i}", "slugs", areas={}) for i in range(500)]
    found = probabilities(lexical_outcomes("keywords", [*TRAIN, *unknown], ITEMS, [AREA]), AREA)
    assert found == probabilities(lexical_outcomes("keywords", TRAIN, ITEMS, [AREA]), AREA)


@pytest.mark.parametrize("name", BASELINES)
def test_odd_texts_are_answered_and_media_are_in_error(name: str) -> None:
    odd = ["", "…", "🌱", "今天浇水", "x" * 200_000, "\ud800 half"]
    items = [eval_item(f"o{i}", text) for i, text in enumerate(odd)]
    media = eval_item("m", None, media="a.png", modality="image")
    *read, picture = lexical_outcomes(name, TRAIN, [*items, media], [AREA])
    assert all(0 < answer.probability < 1 for each in read for answer in each.answers)
    if name == "constant":
        assert len(picture.answers) == 2
    else:
        assert picture.answers == ()
        assert picture.error == "ContentUnsupported: this baseline reads no image"
    assert lexical_outcomes(name, TRAIN, [media], [AREA])[0].error == picture.error
    assert lexical_outcomes(name, TRAIN, [], [AREA]) == []


def test_own_terms_count_as_whole_words() -> None:
    """No train text has them, so that they can only come from the list."""
    area = "safety/harassment"
    taught = [eval_item(f"t{i}", "idiot" if i % 2 else "hello", areas={area: bool(i % 2)}) for i in range(4)]
    items = [eval_item("a", "You idiot!"), eval_item("b", "idiotic"), eval_item("c", "hi")]
    whole, part, none = probabilities(lexical_outcomes("keywords", taught, items, [area]), area)
    assert (whole, part, none) == (0.75, 0.25, 0.25)  # (2 + 1)/(2 + 2) and (0 + 1)/(2 + 2)


def test_terms_of_scripts_with_and_without_spaces() -> None:
    assert terms_of("Don't WATER it, 2 times") == ["don't", "water", "it", "times"]
    assert terms_of("我喝汤 ok") == ["我喝", "喝汤", "ok"]
    assert terms_of("1 2 …") == []


def test_wrong_use_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="no baseline `magic`"):
        lexical_outcomes("magic", TRAIN, ITEMS, [AREA])
    with pytest.raises(UsageError, match="has no text to learn from"):
        lexical_outcomes("tfidf", [], ITEMS, [AREA])
    with pytest.raises(UsageError, match="`d0` is to be learnt from and answered"):
        lexical_outcomes("tfidf", [*TRAIN, ITEMS[0]], ITEMS, [AREA])


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_suites_share_what_was_learnt_once(name: str) -> None:
    both = LexicalJudge(name, TRAIN, ITEMS)
    parts = both.outcomes(ITEMS[:9], [AREA]) + both.outcomes(ITEMS[9:], [AREA])
    assert parts == lexical_outcomes(name, TRAIN, ITEMS, [AREA])
