"""Impact: the items that flip are those the edit is about, and the counts are those of a hand-made table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from following_engine import FollowingEngine, by_the_text, garden
from samples import make_policy, make_rule

from llm_judge.batch.items import Item
from llm_judge.content.text import from_text
from llm_judge.errors import ContentEmpty, PolicyError, UsageError
from llm_judge.evals.diff_report import diff_blocks, diff_json, impact_blocks
from llm_judge.evals.document import to_html, to_markdown
from llm_judge.evals.grading import Expectation
from llm_judge.evals.impact import Impact, ImpactItem, measure_impact
from llm_judge.evals.impact_items import read_items
from llm_judge.evals.paired import PairTally
from llm_judge.evals.probe_edits import without_exemption
from llm_judge.policy.diff import diff_policies
from llm_judge.policy.model import Action, ActionStep, Policy

REMOVE = (ActionStep(do=Action.REMOVE),)
CASES = """\
schema: 1
policy: garden/plants
cases:
  - {id: plain, content: "Please drown it.", expect: violates, rule: R1, lang: en}
  - {id: joke, content: "A comedian said it.", expect: exempt, rule: R1, exemption: satire, lang: en}
  - {id: joke_es, content: "comedian, en español", expect: exempt, rule: R1, exemption: satire, lang: es}
  - {id: lab, content: "From the laboratory.", expect: exempt, rule: R1, exemption: study, lang: en}
  - {id: sitcom, content: "A sitcom.", expect: exempt, rule: R2, exemption: satire, lang: en}
  - {id: calm, content: "Water it.", expect: clear, rule: R1, lang: es}
"""


def measured(
    old: Sequence[Policy], new: Sequence[Policy], items: Sequence[ImpactItem], engine: object = None
) -> Impact:
    engine = engine or FollowingEngine(by_the_text)
    return measure_impact(old, new, diff_policies(old, new), items, engine)


def item(text: str, expected: Expectation | None = None, lang: str | None = None) -> ImpactItem:
    return ImpactItem(Item(text, None, lambda: from_text(text, id=text)), text, lang, expected)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "plants.cases.yaml"
    path.write_text(CASES)
    return path


def test_removing_an_exemption_flips_exactly_the_cases_that_exercise_it(cases: Path) -> None:
    old = garden(actions=REMOVE)
    new = without_exemption(old, "R1", "satire")
    found = measured([old], [new], read_items(cases, [old], [new]))
    assert [each.id for each in found.flipped] == ["garden/plants/joke", "garden/plants/joke_es"]
    for each in found.flipped:
        (flip,) = each.verdict_flips
        assert (flip.rule, flip.before, flip.after) == (
            "garden/plants#R1",
            "exempt (satire)",
            "violates",
        )
        assert (each.action_before, each.action_after) == (Action.ALLOW, Action.REMOVE)
        assert (each.right_before, each.right_after) == (True, False)
    # by hand: 6 items, 2 flips, all 6 right before, 2 broken; McNemar 2 · ½² = ½
    assert found.overall.as_json() | {"flips": None} == {
        "items": 6,
        "flips": None,
        "how": {"allow → remove": 2},
        "expected": 6,
        "right_before": 6,
        "right_after": 4,
        "broken": 2,
        "mended": 0,
        "mcnemar_p": 0.5,
    }
    # by hand: Wilson for 2 of 6 is 0.0968 to 0.7000
    assert found.overall.share.as_json() == {
        "count": 2,
        "total": 6,
        "value": 0.3333,
        "low": 0.0968,
        "high": 0.7,
    }
    rule = found.rules["garden/plants#R1"]
    assert (rule.items, rule.flips, rule.expected, rule.broken) == (6, 2, 5, 2)
    assert (found.rules["garden/plants#R2"].flips, found.languages["es"].flips) == (0, 1)


def test_adding_it_back_mends_the_same_cases(cases: Path) -> None:
    old, new = without_exemption(garden(), "R1", "satire"), garden()
    found = measured([old], [new], read_items(cases, [old], [new]))
    assert (found.overall.broken, found.overall.mended) == (0, 2)
    assert [each.id for each in found.flipped] == ["garden/plants/joke", "garden/plants/joke_es"]


def test_the_table_by_hand() -> None:
    tally = PairTally()
    pairs = [(True, True)] * 10 + [(True, False)] * 1 + [(False, True)] * 7 + [(False, False)] * 2
    for before, after in [*pairs, (None, None)]:
        tally.add(None if before == after else ("clear", "violates"))
        tally.compare(before, after)
    assert (tally.items, tally.flips, tally.expected) == (21, 8, 20)
    assert (tally.right_before, tally.right_after, tally.broken, tally.mended) == (11, 17, 1, 7)
    assert tally.p == pytest.approx(18 / 256)


def test_a_renamed_rule_is_the_same_rule() -> None:
    old = make_policy(rules=(make_rule("R1", title="t", violates="Drowns plants."),))
    new = make_policy(rules=(make_rule("X9", title="t", violates="Drowns plants."),))
    engine = FollowingEngine(lambda question, body: "yes" if "drown" in body else "no")
    items = [item("drown it", Expectation("garden/plants", "violates", name)) for name in ("R1", "X9")]
    found = measured([old], [new], items, engine)
    assert found.flipped == []
    assert [(each.right_before, each.right_after) for each in found.items] == [(True, True)] * 2


def test_a_new_rule_flips_only_what_it_does_not_find_clear() -> None:
    old = make_policy()
    new = make_policy(
        rules=(make_rule("R1"), make_rule("R2", violates="Another thing entirely, in cupboards."))
    )
    found = measured([old], [new], [item("cupboard"), item("water it")])
    (flipped,) = found.flipped
    assert flipped.id == "cupboard"
    assert [(f.before, f.after) for f in flipped.verdict_flips] == [("no such rule", "violates")]


def test_an_added_policy_is_compared_with_none() -> None:
    found = measured([], [garden(actions=REMOVE)], [item("drown it"), item("water it")])
    assert [(each.action_before, each.action_after) for each in found.flipped] == [
        (Action.ALLOW, Action.REMOVE)
    ]


def test_items_that_cannot_be_judged_are_counted_and_left_out() -> None:
    def empty() -> None:
        raise ContentEmpty("nothing to judge")

    broken = ImpactItem(Item("x", None, empty), "x")  # type: ignore[arg-type]
    found = measured([garden()], [garden()], [broken, item("water it")])
    assert (found.failed, found.overall.items) == (1, 1)


def test_a_suite_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl"
    rows = [
        {"id": 1, "text": "drown it", "lang": "en"},
        {"text": "hm", "policy": "garden/plants", "rule": "R1", "expect": "clear", "other": [1]},
    ]
    path.write_text("\n\n".join(json.dumps(row) for row in rows))
    one, two = read_items(path, [], [])
    assert (one.item.id, one.lang, one.expected) == ("1", "en", None)
    assert two.item.id.endswith("suite.jsonl:3")
    assert two.expected == Expectation("garden/plants", "clear", "R1")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "needs `text`"),
        ('{"text": " "}', "needs `text`"),
        ('{"text": "a", "lang": 3}', "`lang` must be a text"),
        ('{"text": "a", "expect": "bad"}', "unknown `expect` `bad`"),
        ('{"text": "a", "expect": "violates"}', "needs `policy` and `rule`"),
        ('{"text": "a", "expect": "clear", "rule": "R1"}', "needs `policy`"),
        ('{"text": "a", "expect": "exempt", "policy": "g/p", "rule": "R1"}', "needs an `exemption`"),
        ("", "no item"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text(row)
    with pytest.raises(UsageError, match=said):
        read_items(path, [], [])


def test_a_case_may_cite_what_only_one_version_has_but_not_what_none_has(cases: Path) -> None:
    both = [without_exemption(garden(), "R1", "satire")] * 2
    with pytest.raises(PolicyError, match="2 errors"):
        read_items(cases, both[:1], both[1:])
    with pytest.raises(UsageError, match="neither version has"):
        read_items(cases, [make_policy("a/b")], [make_policy("a/b")])
    assert len(read_items(cases.parent, [garden()], [garden()])) == 6


def test_reports_escape_hostile_content() -> None:
    text = "comedian <script>alert(1)</script> | `x` @team ~~y~~ \u202e"
    old = garden(title="<img src=x>")
    new = without_exemption(garden(), "R1", "satire")
    diffs = diff_policies([old], [new])
    impact = measured([old], [new], [item(text)])
    blocks = [*diff_blocks("a", "b", diffs), *impact_blocks(impact)]
    page = to_html("t", blocks)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    markdown = to_markdown(blocks)
    assert not any(mark in markdown for mark in ("<script", "@team", "`x`", "~~y~~", "\u202e"))
    data = json.loads(json.dumps(diff_json("a", "b", diffs, impact)))
    assert data["impact"]["flipped"][0]["content"] == text
