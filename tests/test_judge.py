"""The joined steps: areas gate rules, the worst window speaks, explanations cost only where they tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import (
    BANDS,
    OPEN,
    compiled,
    make_calibration,
    make_content,
    make_entry,
    make_policy,
    make_rule,
    opened,
)

from llm_judge.calibration import Entry
from llm_judge.content.content import Content, Modality
from llm_judge.content.text import from_text
from llm_judge.engines.scripted import ScriptedEngine, ScriptedRead
from llm_judge.errors import ContentDamaged, EngineError, UsageError
from llm_judge.judge import Explain, Judge, JudgeSettings
from llm_judge.policy.model import Action, ActionStep, OnError, Policy
from llm_judge.record import DecisionRecord
from llm_judge.verdict import Outcome, Thresholds, Verdict

FIRES = {"yes": 0.95, "no": 0.05}
UNSURE = {"yes": 0.5, "no": 0.5}
EXEMPT = {"yes": 0.05, "no": 0.05, "except": 0.9}
CLEAR = {"yes": 0.01, "no": 0.98}
REMOVE = (ActionStep(do=Action.REMOVE),)
RULES = tuple(
    make_rule(f"R{n}", actions) for n, actions in enumerate(((), ("satire", "study"), ("news",)), 1)
)
PLANTS = make_policy("garden/plants", RULES, actions=REMOVE)
SALES = make_policy("market/sales", (make_rule("S1"), make_rule("S2")))


def judge(engine: ScriptedEngine, *policies: Policy, **settings: Any) -> Judge:
    return Judge(
        compiled(*(policies or (PLANTS,))), engine, JudgeSettings(**{"thresholds": BANDS} | settings)
    )


def by_rule(record: DecisionRecord) -> dict[str, Verdict]:
    return {verdict.rule.partition("#")[2]: verdict for verdict in record.verdicts}


def test_rules_of_clear_areas_are_not_asked() -> None:
    engine = ScriptedEngine(reads=[ScriptedRead("area:market/sales", "", OPEN)])
    record = judge(engine, PLANTS, SALES).judge(make_content("Buy it."))
    assert engine.questions_read == 2 + 2
    assert {rule: v.asked for rule, v in by_rule(record).items()} == {
        **dict.fromkeys(("R1", "R2", "R3"), False),
        **dict.fromkeys(("S1", "S2"), True),
    }
    assert record.action is Action.ALLOW


@pytest.mark.parametrize(
    ("area", "asked"),
    [
        ({"yes": 0.19, "no": 0.81}, False),
        ({"yes": 0.21, "no": 0.79}, True),
        ({"yes": 0.001, "no": 0.1}, True),  # it did not follow the format: not clearly clear
    ],
)
def test_the_gate_opens_unless_the_area_is_clearly_clear(area: dict[str, float], asked: bool) -> None:
    engine = ScriptedEngine(reads=[ScriptedRead("area:*", "", area)])
    assert {v.asked for v in judge(engine).judge(make_content("Hm.")).verdicts} == {asked}


def test_the_record_says_what_opened_an_area() -> None:
    engine = ScriptedEngine(
        reads=[ScriptedRead("area:market/sales", "drowning", OPEN), ScriptedRead("area:*", "", CLEAR)]
    )
    record = judge(engine, PLANTS, SALES, window_tokens=160).judge(long_content(31))
    assert [(area.area, area.opened) for area in record.areas] == [
        ("garden/plants", False),
        ("market/sales", True),  # in one window of several, which speaks for all
    ]
    written = record.as_json()["areas"]
    assert [area["probability"] for area in written] == pytest.approx([0.0101, OPEN["yes"]], abs=0.01)


def test_all_contents_share_two_reads() -> None:
    engine = opened()
    judge(engine, PLANTS, SALES, explain=Explain.NEVER).judge_batch([make_content(t) for t in "abcd"])
    assert engine.read_calls == 3  # areas, rules and (none) exemptions
    assert engine.questions_read == 4 * (2 + 5)


def long_content(bad: int) -> Content:
    lines = [
        f"Sentence {n} is about {'drowning' if n == bad else 'watering'} plants today." for n in range(60)
    ]
    return make_content(*lines)


@pytest.mark.parametrize("bad", [0, 31, 59])
def test_the_worst_window_of_a_long_text_speaks_with_its_own_evidence(bad: int) -> None:
    answer = {
        "evidence": [bad + 1],
        "exemption": "none",
        "severity": 1,
        "rationale": "x",
        "verdict": "violates",
    }
    engine = opened(("R1", "drowning", FIRES), completions=[("drowning", answer)])
    content = long_content(bad)
    record = judge(engine, window_tokens=160).judge(content)
    assert engine.questions_read > 4 * 4  # several windows, each with one area and three rules
    fired = by_rule(record)["R1"]
    assert (fired.outcome, record.action) == (Outcome.VIOLATES, Action.REMOVE)
    (found,) = fired.evidence
    assert (found.segment, found.start, found.end) == (bad + 1, *_place(content, bad))
    assert [v.rule for v in record.verdicts] == [f"garden/plants#R{n}" for n in (1, 2, 3)]


def _place(content: Content, number: int) -> tuple[int | None, int | None]:
    return content.segments[number].start, content.segments[number].end


def test_evidence_from_outside_the_window_is_dropped() -> None:
    answer = {
        "evidence": [1, 60],
        "exemption": "none",
        "severity": 1,
        "rationale": "x",
        "verdict": "violates",
    }
    engine = opened(("R1", "drowning", FIRES), completions=[("drowning", answer)])
    fired = by_rule(judge(engine, window_tokens=160).judge(long_content(59)))["R1"]
    assert [e.segment for e in fired.evidence] == [60]


def test_every_window_fits_the_model() -> None:
    engine = opened(context_tokens=1100)
    text = "Please water the plants every day and do not forget them. " * 400
    small = Judge(compiled(PLANTS, context_tokens=1100), engine)
    assert small.judge(from_text(text + "<|im_end|> " * 2000)).error is None


def test_long_facts_take_their_room_from_the_window() -> None:
    context = 1000
    engine = opened(context_tokens=context)
    target = compiled(PLANTS, context_tokens=context)
    content = make_content(*["One two three four five."] * 300, facts=("measured words " * 300,))
    assert Judge(target, engine, JudgeSettings(window_tokens=context)).judge(content).error is None


def test_the_likeliest_exemption_is_named() -> None:
    engine = opened(
        ("R2#study", "", {"yes": 0.7, "no": 0.3}), ("R2#satire", "", UNSURE), ("R[23]", "", EXEMPT)
    )
    record = judge(engine, explain=Explain.NEVER).judge(make_content("For my thesis."))
    found = by_rule(record)
    assert (found["R2"].outcome, found["R2"].exemption) == (Outcome.EXEMPT, "study")
    assert (found["R3"].outcome, found["R3"].exemption) == (Outcome.EXEMPT, "news")
    assert engine.questions_read == 1 + 3 + 2  # the only exemption of R3 needs no question
    assert record.action is Action.ALLOW


MIXED = (("R1", "", FIRES), ("R2", "", UNSURE), ("R3", "", EXEMPT), ("S1", "", CLEAR))


@pytest.mark.parametrize(
    ("settings", "explanations"),
    [
        ({"explain": Explain.NEVER}, [None] * 5),
        ({"explain": Explain.AUTO}, ["disagrees", "agrees", "agrees", None, None]),
        ({"explain": Explain.AUTO, "explain_at_most": 1}, ["disagrees", "skipped", "skipped", None, None]),
        ({"explain": Explain.AUTO, "explain_at_most": 0}, ["skipped"] * 3 + [None, None]),
        (
            {"explain": Explain.ALWAYS, "explain_at_most": 9},
            ["disagrees", "agrees", "agrees", "agrees", "agrees"],
        ),
    ],
)
def test_what_is_explained(settings: dict[str, Any], explanations: list[str | None]) -> None:
    clear = {"evidence": [1], "exemption": "none", "severity": 1, "rationale": "x", "verdict": "clear"}
    exempt = {**clear, "verdict": "exempt"}
    engine = opened(*MIXED, completions=[("description of R3", exempt), ("", clear)])
    record = judge(engine, PLANTS, SALES, **settings).judge(make_content("Hm."))
    assert [v.explanation for v in record.verdicts] == explanations


def test_a_rule_whose_answer_ignored_the_format_is_not_explained() -> None:
    ignored = {"yes": 0.002, "no": 0.001}
    engine = opened(("*", "", ignored))
    record = judge(engine).judge(make_content("A day."))
    assert {v.outcome for v in record.verdicts} == {Outcome.ABSTAIN}
    assert {v.explanation for v in record.verdicts} == {None}


def test_what_can_change_a_decision_marks_the_run_and_explaining_does_not() -> None:
    plain = judge(ScriptedEngine()).run.settings_digest
    assert judge(ScriptedEngine(), explain=Explain.ALWAYS).run.settings_digest == plain
    for changed in ({"window_tokens": 300}, {"thresholds": Thresholds(fires_at=0.7)}):
        assert judge(ScriptedEngine(), **changed).run.settings_digest != plain


def test_another_calibration_is_another_run_and_decision_and_none_leaves_no_trace() -> None:
    found = [
        judge(ScriptedEngine(), calibration=each).judge(make_content("Hm."))
        for each in (
            None,
            make_calibration(of=compiled(PLANTS)),
            make_calibration(make_entry("garden/plants", x=0.5), of=compiled(PLANTS)),
            make_calibration(make_entry("garden/plants", x=0.5), of=compiled(PLANTS)),
        )
    ]
    assert len({record.decision_id for record in found}) == 3
    assert found[2].decision_id == found[3].decision_id
    digests = [record.as_json()["run"].get("calibration_digest") for record in found]
    assert digests[0] is None
    assert digests[1] != digests[2] == digests[3]
    assert "calibration_digest" not in found[0].as_json()["run"]


@pytest.mark.parametrize(
    ("entries", "outcomes"),
    [
        ([], ["abstain", "abstain", "abstain"]),  # as BANDS say
        ([make_entry("garden/plants", (0.3, 0.45))], ["violates"] * 3),
        ([make_entry("garden/plants", (0.3, 0.45)), make_entry("garden/plants#R1")], ["violates"] * 3),
        (
            [make_entry("garden/plants", (0.3, 0.45)), make_entry("garden/plants#R1", (0.51, 0.9))],
            ["clear", "violates", "violates"],
        ),
        ([make_entry("garden/plants#R2", (0.1, 0.45))], ["abstain", "violates", "abstain"]),
        ([make_entry("market/sales", (0.3, 0.45))], ["abstain", "abstain", "abstain"]),
    ],
)
def test_a_rule_fires_by_its_own_band_else_its_areas_else_the_settings(
    entries: list[Entry], outcomes: list[str]
) -> None:
    calibration = make_calibration(*entries, of=compiled(PLANTS))
    record = judge(opened(("*", "", UNSURE)), calibration=calibration).judge(make_content("Hm."))
    assert [verdict.outcome.value for verdict in record.verdicts] == outcomes
    assert [verdict.probability for verdict in record.verdicts] == pytest.approx([0.5] * 3)  # as read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "q" * 64}, "the calibration was made for another policy: policy `qqqqqqqqqqqq`, not `"),
        ({"prompt": "q"}, "made for another prompt"),
        ({"model": "q"}, "made for another model"),
        ({"adapter": "q"}, "made for another adapter"),
    ],
)
def test_a_calibration_of_something_else_is_refused_before_anything_is_judged(
    changes: dict[str, str], message: str
) -> None:
    mine = make_calibration(of=compiled(PLANTS))
    other = mine.model_copy(update={"identity": mine.identity.model_copy(update=changes)})
    judge(ScriptedEngine(), calibration=mine)
    with pytest.raises(UsageError, match=message):
        judge(ScriptedEngine(), calibration=other)


def test_a_judge_starts_with_gaps_and_says_which() -> None:
    named = make_policy(
        actions=(ActionStep(probability_at_least="calibrated.precision_95", do=Action.REMOVE),)
    )
    calibration = make_calibration(shared={"precision_95": None}, of=compiled(named, SALES))
    started = judge(opened(("R1", "", FIRES)), named, SALES, calibration=calibration)
    assert [(gap.policy, gap.threshold) for gap in started.gaps] == [("garden/plants", "precision_95")]
    record = started.judge(make_content("Drown it."))
    assert record.action is Action.ALLOW
    assert record.as_json()["decision"]["gaps"][0]["effect"] == "never"


def test_rules_that_were_not_asked_are_never_explained() -> None:
    record = judge(ScriptedEngine(), explain=Explain.ALWAYS).judge(make_content("Hm."))
    assert {v.explanation for v in record.verdicts} == {None}


def test_the_smallest_answer_of_the_schema_cites_a_segment() -> None:
    record = judge(opened(("R1", "", FIRES))).judge(make_content("Drown it.", "Please."))
    assert [e.quote for e in by_rule(record)["R1"].evidence] == ["Drown it."]


def test_a_content_that_cannot_fit_fails_alone() -> None:
    engine = opened(("R1", "drown", FIRES))
    contents = [make_content("Please drown it.", id="a"), make_content("word " * 600, id="b", source="b.txt")]
    contents.append(make_content("Please water it.", id="c"))
    first, second, third = judge(engine).judge_batch(contents)
    assert [r.item["id"] for r in (first, second, third)] == ["a", "b", "c"]
    assert (first.action, first.error, third.action, third.error) == (Action.REMOVE, None, Action.ALLOW, None)
    assert second.error is not None
    assert second.error["type"] == "ContentTooLarge"
    assert (second.action, second.decision, second.item["source"]) == (Action.REVIEW, None, "b.txt")


def test_a_batch_of_contents_that_cannot_fit_asks_nothing() -> None:
    engine = opened()
    (record,) = judge(engine).judge_batch([make_content("word " * 600)])
    assert record.error
    assert engine.questions_read == 0
    assert judge(engine).judge_batch([]) == []


@pytest.mark.parametrize(
    ("on_errors", "action"),
    [
        ((OnError.ALLOW, OnError.ALLOW), Action.ALLOW),
        ((OnError.ALLOW, OnError.REVIEW), Action.REVIEW),
        ((OnError.REMOVE, OnError.REVIEW), Action.REMOVE),
    ],
)
def test_an_item_that_failed_gets_the_strictest_on_error(
    on_errors: tuple[OnError, OnError], action: Action
) -> None:
    policies = [PLANTS.model_copy(update={"on_error": on_errors[0]})]
    policies.append(SALES.model_copy(update={"on_error": on_errors[1]}))
    record = judge(ScriptedEngine(), *policies).error_record("x", ContentDamaged("`x` is cut off"))
    assert (record.action, record.decision) == (action, None)


def test_rules_are_asked_only_of_their_kind_of_content() -> None:
    rules = (make_rule("R1", modalities=(Modality.IMAGE,)), make_rule("R2"))
    plants = make_policy(rules=rules, modalities=(Modality.TEXT,))
    images = make_policy("market/sales", modalities=(Modality.IMAGE,))
    engine = opened()
    text = judge(engine, plants, images).judge(make_content("Hm."))
    assert list(by_rule(text)) == ["R2"]
    assert engine.questions_read == 2
    assert [
        v.rule
        for v in judge(opened(), plants, images).judge(make_content("Hm.", modality=Modality.IMAGE)).verdicts
    ] == [
        "garden/plants#R1",
        "market/sales#R1",
    ]


def test_content_that_no_rule_is_about_asks_nothing() -> None:
    engine = opened()
    record = judge(engine, make_policy(modalities=(Modality.TEXT,))).judge(
        make_content("x", modality=Modality.AUDIO)
    )
    assert (record.verdicts, record.action, engine.questions_read) == ((), Action.ALLOW, 0)


def test_an_engine_that_cannot_answer_is_not_a_decision() -> None:
    engine = ScriptedEngine(failures=[("drown", "it broke")])
    with pytest.raises(EngineError, match="it broke"):
        judge(engine).judge(make_content("Please drown it."))


def test_an_unknown_threshold_is_found_before_anything_is_judged() -> None:
    wrong = make_policy(actions=(ActionStep(probability_at_least="calibrated.nosuch", do=Action.REMOVE),))
    with pytest.raises(UsageError, match="nosuch"):
        judge(ScriptedEngine(), wrong)
    known = make_calibration(shared={"nosuch": 0.5}, of=compiled(wrong))
    judge(ScriptedEngine(), wrong, calibration=known)


def test_a_record_says_what_was_judged_and_by_what() -> None:
    content = make_content("Water it.", facts=("nudity score 0.01",), language="en", source="a.txt")
    record = judge(ScriptedEngine()).judge(content)
    assert record.item["sha256"] == content.sha256
    assert {k: record.item[k] for k in ("id", "modality", "source", "language", "segments", "facts")} == {
        "id": "item",
        "modality": "text",
        "source": "a.txt",
        "language": "en",
        "segments": 1,
        "facts": ["nudity score 0.01"],
    }
    assert record.run.policy_digest == compiled(PLANTS).digest
    assert record.run.engine.engine == "scripted"
    assert set(record.timings_ms) == {"prompt", "areas", "rules", "exemptions", "explain"}


SENTENCES = st.sampled_from(
    ["Drown it.", "Perhaps.", "A joke.", "Water it.", "Buy it.", "word " * 500, "Long plain words here. " * 9]
)


@settings(max_examples=25)
@given(st.lists(st.lists(SENTENCES, min_size=1, max_size=8), max_size=4))
def test_a_batch_equals_one_by_one(items: list[list[str]]) -> None:
    def engine() -> ScriptedEngine:
        return opened(("R1", "Drown", FIRES), ("R2", "Perhaps", UNSURE), ("R[23]", "joke", EXEMPT))

    contents = [make_content(*lines, id=str(n)) for n, lines in enumerate(items)]
    together = judge(engine(), PLANTS, SALES, window_tokens=120).judge_batch(contents)
    alone = [judge(engine(), PLANTS, SALES, window_tokens=120).judge(content) for content in contents]
    assert [_without_time(record) for record in together] == [_without_time(record) for record in alone]


def _without_time(record: DecisionRecord) -> dict[str, Any]:
    return {**record.as_json(), "created_at": None, "timings_ms": None}


def test_asks_about_chosen_policies_only_and_names_that_decision_apart() -> None:
    whole = judge(opened(), PLANTS, SALES).judge_batch([make_content("Hm.")])[0]
    (part,) = judge(opened(), PLANTS, SALES).judge_batch([make_content("Hm.")], [frozenset({SALES.policy})])
    assert {area.area for area in part.areas} == {SALES.policy}
    assert part.areas == tuple(area for area in whole.areas if area.area == SALES.policy)
    assert part.decision_id != whole.decision_id
