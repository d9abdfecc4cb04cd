"""Policy tests: verdict, rule and exemption must all be right; could not tell is neither."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
from following_engine import FollowingEngine, by_the_text, garden
from samples import make_policy, make_rule, opened

from llm_judge.errors import ContentUnperceived, PolicyError, UsageError
from llm_judge.evals.policy_test import PolicyCase, PolicyTestRun, State, choose_cases, read_cases, run_cases
from llm_judge.evals.policy_test_report import policy_text, summary_text, to_json, to_junit
from llm_judge.policy.cases import Case
from llm_judge.policy.load import load_policy
from llm_judge.policy.model import Action, ActionStep, Policy


def case(content: str, expect: str, rule: str | None = "R1", **more: object) -> Case:
    return Case(content=content, expect=expect, rule=rule, **more)


def run(
    *cases: Case, policy: Policy | None = None, engine: object = None, **options: object
) -> PolicyTestRun:
    policy = policy or garden()
    listed = {policy.policy: [PolicyCase(policy, each) for each in cases]}
    return run_cases(
        choose_cases(listed), listed, [policy], engine or FollowingEngine(by_the_text), **options
    )


def states(done: PolicyTestRun) -> list[State]:
    return [result.state for result in done.policies[0].results]


def got(done: PolicyTestRun) -> str:
    return done.policies[0].results[0].grade.got


def test_right_answers_pass() -> None:
    done = run(
        case("drown it", "violates"),
        case("a comedian", "exempt", exemption="satire"),
        case("the laboratory", "exempt", exemption="study"),
        case("water it", "clear"),
        case("water it", "clear", None),
    )
    assert states(done) == [State.PASS] * 5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (case("water it", "violates"), "clear of R1"),
        (case("a comedian", "violates"), "exempt from R1: satire"),
        (case("cupboard", "violates"), "violates by R2: right label, wrong rule"),
        (case("drown it", "clear"), "violates by R1"),
        (case("a comedian", "clear"), "exempt from R1: satire"),
        (case("cupboard", "clear", None), "violates by R2"),
        (case("a comedian", "exempt", exemption="study"), "exempt from R1: satire"),
        (case("drown it", "exempt", exemption="study"), "violates by R1"),
    ],
)
def test_wrong_answers_fail_and_say_what_came(wrong: Case, said: str) -> None:
    done = run(wrong)
    assert (states(done), got(done)) == ([State.FAIL], said)


@pytest.mark.parametrize("rule", ["R1", None])
def test_could_not_tell_is_counted_apart(rule: str | None) -> None:
    unsure = opened(("R1", "", {"yes": 0.5, "no": 0.5}))
    done = run(case("water it", "clear", rule), engine=unsure)
    assert states(done) == [State.UNDECIDED]
    assert "could not tell" in got(done)


def test_a_case_that_cannot_be_opened_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise ContentUnperceived("no speech")

    monkeypatch.setattr("llm_judge.evals.policy_test.open_content", silent)
    done = run(Case(file="x.ogg", media=Path("x.ogg"), expect="violates", rule="R1"))
    assert states(done) == [State.UNDECIDED]
    assert got(done) == "could not be judged: no speech"


def test_todo_never_fails_and_asks_to_be_removed_when_it_passes() -> None:
    done = run(case("water it", "violates", todo=True), case("drown it", "violates", todo=True))
    assert states(done) == [State.TODO, State.FIXED]
    text = policy_text(done.policies[0], whole=True).plain
    assert "1 of 2 pass, 1 todo" in text
    assert "passes: remove todo" in text


def test_a_gap_that_policy_new_left_never_counts_as_passed() -> None:
    gap = "[write a near miss that is allowed, 1]"
    assert states(run(case(gap, "clear", todo=True), case("water it", "clear", todo=True))) == [
        State.TODO,
        State.FIXED,
    ]


def test_must_fire_and_must_not_fire_are_counted_apart() -> None:
    done = run(
        case("drown it", "violates"),
        case("water it", "violates"),
        case("water it", "clear"),
        case("a comedian", "exempt", exemption="satire"),
        case("water it", "clear", None),
    )
    count = done.policies[0].rule_counts()["R1"]
    assert (count.must_fire, count.must_not_fire) == ((1, 2), (2, 2))
    assert "must fire 1/2, must not fire 2/2" in summary_text(done).plain


def test_coverage_names_what_no_case_exercises() -> None:
    steps = (
        ActionStep(severity_at_least=4, do=Action.REMOVE),
        ActionStep(severity_at_least=3, do=Action.REVIEW),
    )
    covered = (
        run(
            case("drown it", "violates"),
            case("a comedian", "exempt", exemption="satire"),
            policy=garden(actions=steps),
        )
        .policies[0]
        .coverage
    )
    assert (covered.rules, covered.guards) == (("R2",), ("R2",))
    assert covered.exemptions == ("R1: study", "R2: satire")
    assert covered.actions == steps[:1]


def test_policies_are_judged_together_unless_alone() -> None:
    sales = make_policy("market/sales", (make_rule("R1"),))
    plants = garden()
    cases = {
        "garden/plants": [PolicyCase(plants, case("drown it", "violates"))],
        "market/sales": [PolicyCase(sales, case("drown it", "violates"))],
    }
    asked = []
    for alone in (False, True):
        engine = FollowingEngine(by_the_text)
        done = run_cases(choose_cases(cases), cases, [plants, sales], engine, alone=alone)
        assert done.groups == 1 + alone
        asked.append(engine.read_questions.count("rule:market/sales#R1"))
    assert asked == [2, 1]


def test_policies_that_do_not_fit_together_are_judged_in_groups() -> None:
    policies = [make_policy(f"garden/p{i}", summary="word " * 150) for i in range(4)]
    cases = {p.policy: [PolicyCase(p, case("water it", "clear"))] for p in policies}
    engine = FollowingEngine(lambda question, _: "yes" if question.id.startswith("area") else "no")
    engine.info = engine.info.__class__("following", "words", "0" * 64, None, "float32", 1200)
    done = run_cases(choose_cases(cases), cases, policies, engine)
    assert done.groups > 1
    assert done.states == {State.PASS: 4}


def test_choosing_by_name_and_number() -> None:
    policy = garden()
    listed = {policy.policy: [PolicyCase(policy, case(f"t{i}", "clear", id=f"c{i}")) for i in range(12)]}
    assert [each.case.id for each in choose_cases(listed, "R1/c1")] == ["c1", "c10", "c11"]
    assert len(choose_cases(listed, limit=5)) == 5


@pytest.mark.parametrize(("pattern", "said"), [("R9", "nothing ran: no case matches"), ("[", "regular")])
def test_nothing_to_run_is_an_error(pattern: str, said: str) -> None:
    listed = {"garden/plants": [PolicyCase(garden(), case("t", "clear"))]}
    with pytest.raises(UsageError, match=said):
        choose_cases(listed, pattern)
    with pytest.raises(UsageError, match="nothing ran"):
        choose_cases({"garden/plants": []})


def test_junit_is_valid_xml_whatever_the_content_holds() -> None:
    done = run(
        case("drown it", "violates"),
        case('cupboard <&"\x00\x1b]]>', "violates"),
        case("t", "violates", todo=True),
    )
    root = Xml.fromstring(to_junit(done))  # noqa: S314  # written by us
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    assert [child.tag for node in root.iter("testcase") for child in node] == ["failure", "skipped"]
    assert "right label, wrong rule" in root.find(".//failure").get("message", "")


def test_json_has_counts_digests_and_every_case() -> None:
    data = to_json(run(case("drown it", "violates"), case("t", "violates")))
    assert (data["counts"]["pass"], data["counts"]["fail"]) == (1, 1)
    assert len(data["policy_digest"]) == 64
    (policy,) = data["policies"]
    assert policy["rules"]["R1"]["must_fire"] == {"passed": 1, "of": 2}
    assert [each["state"] for each in policy["cases"]] == ["pass", "fail"]


def test_cases_are_read_beside_their_policies_and_all_their_errors_at_once(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "policy" / "refund.yaml"
    path = tmp_path / "refund.yaml"
    path.write_text(source.read_text())
    policy = load_policy(path)
    assert read_cases([policy]) == {policy.policy: []}
    (tmp_path / "refund.cases.yaml").write_text(f"schema: 1\npolicy: {policy.policy}\ncases: []\n")
    with pytest.raises(PolicyError, match="1 error"):
        read_cases([policy])
