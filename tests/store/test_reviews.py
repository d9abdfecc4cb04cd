"""Reviews: the last word on a rule counts; corrections go to training, with the text where it is kept."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from stored_records import TEXT, clear, firing

from llm_judge.errors import StoreError, UsageError
from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.lookups import Filter
from llm_judge.store.reviews import Review, add_review, overrides_of
from llm_judge.verdict import Outcome

FIRES = firing()
R1, R2 = "garden/plants#R1", "garden/plants#R2"


def say(store: DecisionStore, rule: str, verdict: Outcome, **more: str) -> Review:
    return add_review(store.database, Review(FIRES.decision_id, rule, verdict, "ana", **more))


def test_a_review_is_kept_with_what_the_judge_said(store: DecisionStore) -> None:
    store.put(FIRES)
    kept = say(store, R2, Outcome.EXEMPT, exemption="satire", note="a joke")
    assert (kept.said, kept.corrects, kept.note) == ("clear", True, "a joke")
    assert not say(store, R1, Outcome.VIOLATES).corrects
    stored = store.get(FIRES.decision_id)
    assert stored is not None
    assert [(review.rule, review.exemption) for review in stored.reviews] == [(R2, "satire"), (R1, None)]


def test_a_damaged_review_is_told_in_one_line(store: DecisionStore) -> None:
    store.put(FIRES)
    say(store, R1, Outcome.CLEAR)
    store.database.write(lambda c: c.execute(text("UPDATE entries SET payload = '{}' WHERE kind = 'review'")))
    with pytest.raises(StoreError, match="a review in the record store is damaged"):
        store.get(FIRES.decision_id)


def test_the_last_word_counts_and_only_corrections_are_exported(keeping: DecisionStore) -> None:
    keeping.put(FIRES, TEXT.encode())
    say(keeping, R1, Outcome.CLEAR)
    say(keeping, R2, Outcome.CLEAR)
    (line,) = overrides_of(keeping.database, Filter())
    assert line == {
        "decision": FIRES.decision_id,
        "text": TEXT,
        "rule": R1,
        "verdict": "clear",
        "said": "violates",
    }
    say(keeping, R1, Outcome.VIOLATES)
    assert overrides_of(keeping.database, Filter()) == []


def test_without_the_text_its_digest_is_exported(store: DecisionStore) -> None:
    store.put(FIRES)
    say(store, R1, Outcome.CLEAR)
    (line,) = overrides_of(store.database, Filter())
    assert (line["sha256"], "text" in line) == (FIRES.item["sha256"], False)
    assert overrides_of(store.database, Filter(item="other")) == []


@pytest.mark.parametrize(
    ("review", "message"),
    [
        (Review("nobody", R1, Outcome.CLEAR, "ana"), "there is no decision `nobody`"),
        (Review("d1", "garden/plants#R9", Outcome.CLEAR, "ana"), "has no verdict of rule"),
        (Review("d1", R1, Outcome.ABSTAIN, "ana"), "cannot say `abstain`"),
        (Review("d1", R1, Outcome.CLEAR, " "), "needs a reviewer"),
        (Review("d1", R1, Outcome.CLEAR, "ana", exemption="satire"), "an exemption goes with"),
        (Review("d1", R1, Outcome.CLEAR, "ana", note="x" * 4001), "over 4,000 characters"),
    ],
)
def test_a_wrong_review_is_refused(review: Review, message: str, store: DecisionStore) -> None:
    store.put(clear(1))
    with pytest.raises(UsageError, match=message):
        add_review(store.database, review)
    assert overrides_of(store.database, Filter()) == []
