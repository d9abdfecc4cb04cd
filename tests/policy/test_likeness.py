"""Sentences are compared by their words; the fast search finds what comparing all pairs finds."""

from hypothesis import given
from hypothesis import strategies as st

from llm_judge.policy.likeness import Sentence, first_alike, near_equal, sentence

words = st.frozensets(st.sampled_from("abcdefgh"), max_size=6)


def alike(one, other):
    return list(first_alike([sentence(one), sentence(other)])) == [(0, 1)]


def test_order_number_and_small_words_do_not_matter():
    assert alike("Claims a refund for goods that were received.", "Claiming refunds for the received goods")
    assert not alike("Claims a refund for goods that were received.", "Offers receipts for a refund.")


def test_a_negation_makes_the_opposite():
    assert not alike("Claims a refund for goods that were received.", "Claims no refund for received goods.")
    assert not sentence("It's neither lost nor sold.").negated
    assert sentence("It isn’t lost.").negated


def test_sentences_without_words_are_alike_to_nothing():
    assert not alike("!", "!")
    assert not alike("漢字を売る", "薬を売る")


@given(st.lists(st.builds(Sentence, words, st.booleans()), max_size=12))
def test_the_fast_search_finds_every_repetition(sentences):
    found = {later: earlier for earlier, later in first_alike(sentences)}
    kept = []
    for later, each in enumerate(sentences):
        matches = [
            earlier
            for earlier in kept
            if sentences[earlier].negated == each.negated and near_equal(sentences[earlier].words, each.words)
        ]
        assert found.get(later) == (matches[0] if matches else None)
        if not matches:
            kept.append(later)
