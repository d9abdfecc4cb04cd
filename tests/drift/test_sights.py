"""A window counts what is in it, and nothing that left it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_judge.drift.sights import BINS, EDGES, Seen, Window
from llm_judge.verdict import Outcome

RULES = ("a/b#R1", "a/b#R2")
seen = st.lists(
    st.tuples(
        st.sampled_from((*RULES, "a/b#new")),
        st.sampled_from(list(Outcome)),
        st.none() | st.floats(0, 1),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda each: each[0],
)


@given(st.lists(seen, max_size=12), st.integers(1, 5))
def test_a_window_is_what_was_added_last(records: list[list[Seen]], size: int) -> None:
    window, fresh = Window(RULES, size), Window(RULES)
    for record in records:
        window.add(record)
    for record in records[-size:]:
        fresh.add(record)
    assert window.counts() == fresh.counts()
    assert window.records == min(size, len(records))


def test_each_kind_of_verdict_has_its_place() -> None:
    window = Window(RULES)
    for outcome, probability, asked in (
        (Outcome.VIOLATES, 0.95, True),
        (Outcome.ABSTAIN, 0.5, True),
        (Outcome.UNREADABLE, None, True),
        (Outcome.CLEAR, 0.05, False),
        (Outcome.CLEAR, EDGES[0], True),
    ):
        window.add([("a/b#R1", outcome, probability, asked)])
    (counts,) = window.counts().values()
    assert (counts.flagged, counts.abstained, counts.items) == (1, 2, 5)
    filled = [name for name, count in zip(BINS, counts.scores, strict=True) if count]
    assert filled == ["unreadable", "not asked", "up to 0.02", "up to 0.6", "over 0.9"]
