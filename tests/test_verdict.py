"""Readings and completions become verdicts; what could not be told is never called clear."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import BANDS, compiled, make_content, make_policy, make_reading, make_rule

from llm_judge.content.content import Modality, Segment, SegmentKind
from llm_judge.engines.protocol import Completion, Reading
from llm_judge.verdict import (
    Outcome,
    Verdict,
    resolve,
    verdict_from_reading,
    verdicts_not_asked,
    with_explanation,
    worst_verdict,
    yes_probability,
)

PLAIN, ONE, TWO = compiled(
    make_policy(rules=(make_rule("R1"), make_rule("R2", ("news",)), make_rule("R3", ("news", "satire"))))
).rules
CONTENT = make_content("Water it.", "Drown it.", "Leave it.")
GOOD = {"evidence": [2], "exemption": "none", "severity": 2, "rationale": "Says so.", "verdict": "violates"}


def read(rule: Any = PLAIN, label_mass: float | None = None, **probabilities: float) -> Verdict:
    return verdict_from_reading(rule, make_reading(label_mass, **probabilities), BANDS)


@pytest.mark.parametrize(
    ("probabilities", "outcome"),
    [
        ({"yes": 0.95, "no": 0.05}, Outcome.VIOLATES),
        ({"yes": 0.65, "no": 0.35}, Outcome.VIOLATES),
        ({"yes": 0.59, "no": 0.41}, Outcome.ABSTAIN),
        ({"yes": 0.41, "no": 0.59}, Outcome.ABSTAIN),
        ({"yes": 0.39, "no": 0.61}, Outcome.CLEAR),
        ({"yes": 0.01, "no": 0.98}, Outcome.CLEAR),
        ({"yes": 0.06, "no": 0.04}, Outcome.ABSTAIN),  # label mass .1: it said something else
        ({"yes": 1e-9, "no": 0.04}, Outcome.ABSTAIN),
        ({"yes": math.nan, "no": 0.5}, Outcome.UNREADABLE),
        ({"yes": 0.5, "no": 0.0}, Outcome.UNREADABLE),  # minus infinity
        ({"no": 0.99}, Outcome.UNREADABLE),
        ({}, Outcome.UNREADABLE),
    ],
)
def test_reading_becomes_an_outcome(probabilities: dict[str, float], outcome: Outcome) -> None:
    reading = Reading(
        {
            k: math.nan if math.isnan(p) else make_reading(**{k: p}).logprobs[k]
            for k, p in probabilities.items()
        },
        sum(p for p in probabilities.values() if not math.isnan(p)),
    )
    verdict = verdict_from_reading(PLAIN, reading, BANDS)
    assert verdict.outcome is outcome
    assert (verdict.reason is None) == (outcome in (Outcome.VIOLATES, Outcome.CLEAR))
    assert (verdict.probability is None) == (outcome is Outcome.UNREADABLE)


@pytest.mark.parametrize(
    ("yes", "no", "exempt", "outcome"),
    [
        (0.1, 0.1, 0.8, Outcome.EXEMPT),
        (0.3, 0.38, 0.32, Outcome.EXEMPT),
        (0.62, 0.01, 0.37, Outcome.VIOLATES),
        (0.33, 0.36, 0.31, Outcome.ABSTAIN),  # over the bar together, but exempt is not the likelier
        (0.1, 0.5, 0.4, Outcome.ABSTAIN),
        (0.1, 0.75, 0.15, Outcome.CLEAR),
    ],
)
def test_exempt_needs_a_likely_rule_and_a_likelier_exemption(
    yes: float, no: float, exempt: float, outcome: Outcome
) -> None:
    verdict = read(ONE, yes=yes, no=no, except_=exempt)
    assert verdict.outcome is outcome
    assert verdict.exempt_probability == pytest.approx(exempt, abs=1e-3)
    assert verdict.exemption == ("news" if outcome is Outcome.EXEMPT else None)


def test_the_only_exemption_is_known_and_several_are_not() -> None:
    assert read(TWO, yes=0.1, no=0.1, except_=0.8).exemption is None


def test_reasons_name_the_numbers() -> None:
    assert read(yes=0.06, no=0.04).reason == "label mass 0.10 is too low"
    assert read(yes=0.5, no=0.5).reason == "probability 0.50 is in the uncertain band"
    unsure = read(ONE, yes=0.1, no=0.5, except_=0.4)
    assert unsure.reason == "probability 0.10 with 0.40 for exempt is in the uncertain band"


def test_thresholds_are_reached_exactly() -> None:
    half = make_reading(yes=0.5, no=0.5)
    assert verdict_from_reading(PLAIN, half, replace(BANDS, fires_at=0.5)).outcome is Outcome.VIOLATES
    assert verdict_from_reading(PLAIN, half, replace(BANDS, clear_below=0.5)).outcome is Outcome.ABSTAIN
    massed = make_reading(0.5, yes=0.05, no=0.45)
    assert verdict_from_reading(PLAIN, massed, replace(BANDS, min_label_mass=0.5)).outcome is Outcome.CLEAR


@pytest.mark.parametrize("mass", [math.nan, math.inf, -math.inf])
def test_a_label_mass_that_is_no_number_is_unreadable(mass: float) -> None:
    verdict = read(label_mass=mass, yes=0.01, no=0.98)
    assert verdict.outcome is Outcome.UNREADABLE
    assert verdict.label_mass == 0.0


NUMBERS = st.floats() | st.floats(-50, 0)


@given(st.dictionaries(st.sampled_from(["yes", "no", "except"]), NUMBERS), NUMBERS)
def test_any_reading_gives_finite_numbers_or_unreadable(logprobs: dict[str, float], mass: float) -> None:
    verdict = verdict_from_reading(ONE, Reading(logprobs, mass), BANDS)
    assert math.isfinite(verdict.label_mass)
    if verdict.outcome is Outcome.UNREADABLE:
        assert verdict.probability is None
    else:
        assert verdict.probability is not None
        assert 0 <= verdict.probability <= 1
        assert 0 <= verdict.exempt_probability <= 1
    if verdict.outcome is Outcome.CLEAR:
        assert all(map(math.isfinite, logprobs.values()))


def test_tiny_probabilities_keep_their_ratio() -> None:
    assert yes_probability(Reading({"yes": -900.0, "no": -900.0}, 0.0)) == pytest.approx(0.5)


def test_a_rule_that_was_not_asked_is_bounded_by_its_area() -> None:
    (verdict,) = verdicts_not_asked([ONE], 0.05, 1.0)
    assert (verdict.outcome, verdict.asked, verdict.rule) == (Outcome.CLEAR, False, ONE.key)
    assert verdict.probability == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("parts", "worst"),
    [
        ([{"yes": 0.1, "no": 0.9}, {"yes": 0.7, "no": 0.3}, {"yes": 0.2, "no": 0.8}], 1),
        ([{"yes": 0.7, "no": 0.3}, {"yes": 0.9, "no": 0.1}], 1),
        ([{"yes": 0.5, "no": 0.5}, {"yes": 0.01, "no": 0.99}], 0),  # uncertain outranks clear
        ([{"yes": 0.5, "no": 0.5}, {"no": 0.9}], 1),  # unreadable outranks uncertain
        ([{"no": 0.9}, {"yes": 0.61, "no": 0.39}], 1),  # a violation outranks all
        ([{"yes": 0.1, "no": 0.9}, {"yes": 0.1, "no": 0.9}], 0),
    ],
)
def test_the_worst_window_speaks(parts: list[dict[str, float]], worst: int) -> None:
    assert worst_verdict([read(**part) for part in parts]) == worst


def explained(value: Any, verdict: Verdict | None = None, finish: str = "stop") -> Verdict:
    text = value if isinstance(value, str) else json.dumps(value)
    return with_explanation(verdict or read(yes=0.9, no=0.1), Completion(text, finish, 1, 1), CONTENT)


def test_an_explanation_brings_evidence_and_reasons() -> None:
    verdict = explained(GOOD)
    assert [(e.segment, e.quote, e.start, e.end) for e in verdict.evidence] == [(2, "Drown it.", 10, 19)]
    assert (verdict.rationale, verdict.assessed_severity, verdict.explanation) == ("Says so.", 2, "agrees")
    assert (verdict.outcome, verdict.severity) == (Outcome.VIOLATES, 3)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "{", "no", "[]", "null", "[" * 100_000, '{"evidence": [1]', {}),
        *({**GOOD, "evidence": wrong} for wrong in (2, "2", {"1": 1}, None)),
        *({**GOOD, "severity": wrong} for wrong in ("2", True, 2.0)),
        {**GOOD, "rationale": None},
        {**GOOD, "verdict": 1},
        {k: v for k, v in GOOD.items() if k != "verdict"},
    ],
)
def test_an_answer_of_the_wrong_shape_changes_nothing_but_says_so(answer: Any) -> None:
    verdict = explained(answer)
    assert verdict.explanation == "unreadable"
    assert (verdict.outcome, verdict.evidence, verdict.rationale) == (Outcome.VIOLATES, (), None)


def test_an_answer_that_was_cut_off_is_unreadable() -> None:
    assert explained(GOOD, finish="length").explanation == "unreadable"


@pytest.mark.parametrize(
    ("cited", "kept"),
    [([2, 2, 1], [2, 1]), ([9, 2, 0, -1], [2]), ([], []), ([True, 2.0, "2", None, [2], {"2": 2}], [])],
)
def test_evidence_is_only_ever_a_segment_of_the_content(cited: list[Any], kept: list[int]) -> None:
    assert [e.segment for e in explained({**GOOD, "evidence": cited}).evidence] == kept


def test_a_disagreeing_explanation_is_marked_not_obeyed() -> None:
    verdict = explained({**GOOD, "verdict": "clear"})
    assert (verdict.outcome, verdict.explanation) == (Outcome.VIOLATES, "disagrees")


@pytest.mark.parametrize("unsure", [read(yes=0.5, no=0.5), read(no=0.9)])
def test_nothing_can_disagree_with_could_not_tell(unsure: Verdict) -> None:
    assert explained({**GOOD, "verdict": "clear"}, unsure).explanation == "agrees"


def test_an_explanation_names_an_exemption_only_where_none_is_known() -> None:
    answer = {**GOOD, "verdict": "exempt", "exemption": "satire"}
    several, only = (read(rule, yes=0.1, no=0.1, except_=0.8) for rule in (TWO, ONE))
    assert explained(answer, several).exemption == "satire"
    assert explained({**answer, "exemption": "none"}, several).exemption is None
    assert explained(answer, only).exemption == "news"
    assert explained(answer).exemption is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=5)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(JSON | st.fixed_dictionaries(dict.fromkeys(GOOD, JSON)))
def test_no_answer_changes_the_outcome_or_raises(answer: Any) -> None:
    verdict = explained(answer)
    assert verdict.outcome is Outcome.VIOLATES
    assert {e.segment for e in verdict.evidence} <= {1, 2, 3}


@pytest.mark.parametrize(
    "segment",
    [
        Segment(1, SegmentKind.SENTENCE, "words", start=3, end=8),
        Segment(4, SegmentKind.OCR, "words", frame=2, start_s=1.5, box=(1, 2, 3, 4)),
        Segment(2, SegmentKind.TRANSCRIPT, "words", start_s=1.0, end_s=2.5),
    ],
)
def test_evidence_keeps_words_and_place(segment: Segment) -> None:
    content = make_content(modality=Modality.VIDEO, segments=(segment,))
    answer = json.dumps({**GOOD, "evidence": [segment.id]})
    (found,) = with_explanation(read(yes=0.9, no=0.1), Completion(answer, "stop", 1, 1), content).evidence
    assert found == resolve(segment)
    assert (found.segment, found.kind, found.quote) == (segment.id, segment.kind.value, "words")
    for name in ("start", "end", "start_s", "end_s", "frame", "box"):
        assert getattr(found, name) == getattr(segment, name)
