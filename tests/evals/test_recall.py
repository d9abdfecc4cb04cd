"""Answers are found again for the same question to the same judge, whole, and hold no words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_items import eval_item
from samples import OPEN, compiled, make_calibration, make_policy, make_rule

from llm_judge.engines.protocol import EngineInfo
from llm_judge.engines.scripted import ScriptedEngine, ScriptedRead
from llm_judge.evals import versions
from llm_judge.evals.answer_cache import AnswerCache
from llm_judge.evals.outcomes import Ask, EvalItem, ItemOutcome
from llm_judge.evals.run import run_identity, run_items
from llm_judge.evals.run_folder import RunFolder
from llm_judge.judge import Explain, Judge, JudgeSettings
from llm_judge.verdict import Thresholds

pytest.importorskip("pyarrow")
PLANTS = make_policy("garden/plants", (make_rule("R1"), make_rule("R2", ("satire",))))
TOOLS = make_policy("garden/tools", (make_rule("T1"),))
READS = [
    ScriptedRead("area:*", "Watering", {"yes": 0.01, "no": 0.98}),
    ScriptedRead("area:*", "", OPEN),
    ScriptedRead("rule:*#R1", "", {"yes": 0.95, "no": 0.04}),
    ScriptedRead("rule:*", "", {"yes": 0.3, "no": 0.6}),
]
SAYS = {
    "evidence": [1],
    "exemption": "none",
    "severity": 2,
    "rationale": "Drowning is named.",
    "verdict": "violates",
}


def judge(*policies: object, **changes: object) -> Judge:
    engine = ScriptedEngine(reads=READS, completions=[("", SAYS)])
    chosen = policies or (PLANTS, TOOLS)
    how = {"explain": Explain.NEVER} | changes
    return Judge(compiled(*chosen), engine, JudgeSettings(**how))  # type: ignore[arg-type]


def about(name: str, text: str, *areas: str, **more: object) -> EvalItem:
    return eval_item(name, text, areas=dict.fromkeys(areas, True), **more)


ITEMS = [
    about("a", "Drowning a plant.", "garden/plants", spans=((0, 8),)),
    about("b", "Watering a plant.", "garden/plants"),
    about("c", "A rusty spade.", "garden/tools", "garden/plants"),
    about("d", " ", "garden/tools"),
]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[ItemOutcome]]:
    """Run items with one cache; only outcomes count, so every run has a folder of its own."""
    numbers = iter(range(100))

    def go(
        by: Judge, items: list[EvalItem] = ITEMS, ask: Ask = Ask.LABELLED, **how: object
    ) -> list[ItemOutcome]:
        folder = tmp_path / str(next(numbers))
        with (
            AnswerCache(tmp_path / "answers", pytest.fail) as cache,
            RunFolder(folder, run_identity(by, items, {})) as kept,
        ):
            run_items(by, items, kept, ask=ask, **({"cache": cache} | how))  # type: ignore[arg-type]
            return kept.outcomes

    return go


def asked(by: Judge) -> int:
    engine = by.engine
    assert isinstance(engine, ScriptedEngine)
    return engine.questions_read


def cached(outcomes: list[ItemOutcome]) -> str:
    """The ids of items that were answered before."""
    return "".join(outcome.item for outcome in outcomes if outcome.cached)


@pytest.mark.parametrize("ask", Ask)
@pytest.mark.parametrize("explain", [Explain.NEVER, Explain.AUTO])
def test_a_second_run_asks_nothing_and_has_the_same_outcomes(
    run: Callable[..., list[ItemOutcome]], ask: Ask, explain: Explain
) -> None:
    first, again = judge(explain=explain), judge(explain=explain)
    before, after = run(first, ask=ask), run(again, ask=ask)
    assert asked(first) > 0
    assert asked(again) == 0
    assert (cached(before), cached(after)) == ("", "abc")  # errors are tried again
    assert [replace(one, cached=False, ms=0.0) for one in after] == [replace(one, ms=0.0) for one in before]
    assert [one.ms for one in after] == pytest.approx([one.ms for one in before])
    if ask is not Ask.AREAS and explain is Explain.AUTO:
        assert before[0].evidence_hit is True


@pytest.mark.parametrize(
    "other",
    [
        lambda: judge(PLANTS),
        lambda: judge(replace_rule(PLANTS), TOOLS),
        lambda: judge(thresholds=Thresholds(fires_at=0.9)),
        lambda: judge(window_tokens=300),
        lambda: judge(explain=Explain.AUTO),
        lambda: judge(calibration=make_calibration(of=compiled(PLANTS, TOOLS))),
        lambda: with_info(adapter_digest="a" * 64),
        lambda: with_info(model_digest="b" * 64),
        lambda: with_info(dtype="bfloat16"),
        lambda: scripted(READS[1:]),
    ],
    ids=[
        "policies",
        "wording",
        "thresholds",
        "windows",
        "explain",
        "calibration",
        "adapter",
        "model",
        "dtype",
        "script",
    ],
)
def test_another_judge_asks_anew(run: Callable[..., list[ItemOutcome]], other: Callable[[], Judge]) -> None:
    run(judge())
    assert cached(run(other())) == ""


def replace_rule(policy):  # type: ignore[no-untyped-def]
    return policy.model_copy(update={"rules": (policy.rules[0], make_rule("R2", violates="Says so."))})


def with_info(**changes: object) -> Judge:
    class Other(ScriptedEngine):
        @property
        def info(self) -> EngineInfo:
            return replace(super().info, **changes)  # type: ignore[arg-type]

    return Judge(compiled(PLANTS, TOOLS), Other(reads=READS), JudgeSettings(explain=Explain.NEVER))


def scripted(reads: list[ScriptedRead]) -> Judge:
    engine = ScriptedEngine(reads=reads, completions=[("", SAYS)])
    return Judge(compiled(PLANTS, TOOLS), engine, JudgeSettings(explain=Explain.NEVER))


def test_other_code_or_libraries_ask_anew(
    run: Callable[..., list[ItemOutcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(judge())
    monkeypatch.setattr("llm_judge.evals.recall.code_digest", lambda: "other")
    assert cached(run(judge())) == ""
    monkeypatch.undo()
    monkeypatch.setattr("llm_judge.evals.recall.versions", lambda: {"torch": "other"})
    assert cached(run(judge())) == ""
    assert len(versions.code_digest()) == 64


def test_a_model_nobody_can_tell_apart_is_always_asked(run: Callable[..., list[ItemOutcome]]) -> None:
    run(with_info(model_digest="latest"))
    assert cached(run(with_info(model_digest="latest"))) == ""


def test_more_policies_serve_fewer_and_not_the_other_way(run: Callable[..., list[ItemOutcome]]) -> None:
    both, one, none = (
        [about("a", "Drowning a plant.", *areas)]
        for areas in (("garden/plants", "garden/tools"), ("garden/plants",), ())
    )
    run(judge(), one)
    assert cached(run(judge(), both)) == ""
    (outcome,) = run(judge(), one)
    assert outcome.cached
    assert {answer.key.partition("#")[0] for answer in outcome.answers} == {"garden/plants"}
    assert cached(run(judge(), none)) == "a"  # no label of an area: all policies are asked
    other = [about("a", "Drowning a plant.", "garden/tools")]
    assert cached(run(judge(), other)) == "a"


def test_answers_about_areas_serve_no_rules_and_rules_serve_areas(
    run: Callable[..., list[ItemOutcome]],
) -> None:
    areas = run(judge(), ask=Ask.AREAS)
    assert cached(run(judge())) == ""
    again = run(judge(), ask=Ask.AREAS)
    assert cached(again) == "abc"
    assert [one.answers for one in again] == [one.answers for one in areas]


def test_other_labels_ids_and_suites_share_answers_and_other_words_do_not(
    run: Callable[..., list[ItemOutcome]],
) -> None:
    run(judge())
    moved = replace(ITEMS[0], id="z", suite="other", areas={"garden/plants": False})
    (found,) = run(judge(), [moved])
    assert (found.cached, found.item, found.suite) == (True, "z", "other")
    assert {answer.truth for answer in found.answers if answer.key == "garden/plants"} == {False}
    assert cached(run(judge(), [replace(ITEMS[0], text="Drowning a plant!")])) == ""


def test_files_are_known_by_their_bytes(run: Callable[..., list[ItemOutcome]]) -> None:
    def media(name: str) -> bytes:
        return b"Drowning a plant." if "same" in name else b"Watering a plant."

    def file(name: str) -> list[EvalItem]:
        return [replace(ITEMS[0], text=None, media=name)]

    run(judge(), file("same.txt"), media=media)
    assert cached(run(judge(), file("folder/same_too.txt"), media=media)) == "a"
    assert cached(run(judge(), file("other.txt"), media=media)) == ""
    (refused,) = run(judge(), file("same.png"), media=media)
    assert (refused.error or "").startswith("ContentDamaged")


def test_no_words_of_an_item_are_kept(run: Callable[..., list[ItemOutcome]], tmp_path: Path) -> None:
    by = judge(explain=Explain.AUTO)
    run(by)
    assert by.engine.generate_calls  # type: ignore[attr-defined]
    written = b"".join(each.read_bytes() for each in tmp_path.glob("answers*"))
    assert b"garden/plants#R1" in written
    for words in (b"Drowning", b"Watering", b"spade", b"is named"):
        assert words not in written


def test_explanations_count_for_the_same_policies_only(run: Callable[..., list[ItemOutcome]]) -> None:
    """Few verdicts of an item are explained, the worst first, so it matters which others there are."""
    run(judge(explain=Explain.AUTO), ask=Ask.ALL)
    assert cached(run(judge(explain=Explain.AUTO), ITEMS[:1])) == ""
    assert cached(run(judge(explain=Explain.AUTO), ITEMS[:1], ask=Ask.ALL)) == "a"


@settings(max_examples=15)
@given(st.lists(st.frozensets(st.sampled_from(["garden/plants", "garden/tools"]), min_size=1), max_size=6))
def test_whatever_was_asked_before_answers_are_those_of_a_judge_that_is_asked(
    tmp_path_factory: pytest.TempPathFactory, orders: list[frozenset[str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with AnswerCache(folder / "answers", pytest.fail) as cache:
        for number, areas in enumerate(orders):
            items = [about("a", "Drowning a plant.", *areas), about("b", "Watering a plant.", *areas)]
            found = []
            for name, known in (("with", cache), ("without", None)):
                by = judge()
                with RunFolder(folder / f"{number}{name}", run_identity(by, items, {})) as kept:
                    run_items(by, items, kept, ask=Ask.LABELLED, cache=known)
                found.append([replace(one, ms=0.0, cached=False) for one in kept.outcomes])
            assert found[0] == found[1]
