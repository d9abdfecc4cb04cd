"""Wrong overlays and their messages lie in ``bad_policies/overlays``; the rest is what good ones do."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.compile import policy_digest
from llm_judge.diagnostics import to_text
from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.load import load_policies, parse_policy
from llm_judge.policy.merge import apply_overlays
from llm_judge.policy.model import Action
from llm_judge.policy.origins import policy_lines
from llm_judge.policy.overlay import lay_over, load_overlays, parse_overlay
from llm_judge.resources import content_folder

HERE = Path(__file__).parent
BAD = sorted((HERE.parent / "bad_policies" / "overlays").glob("*.overlay.yaml"))
BASE_TEXT = (HERE / "refund.yaml").read_text().replace("severity: 4\n", "severity: 4\n    floor: true\n", 1)
BASE, _ = parse_policy(BASE_TEXT, "demo/refund.yaml")
SHIPPED = content_folder("policies")
NAMES = ["age_teen", "market_de", "surface_live"]
HEAD = (
    "schema: 1\noverlay: {name}\nversion: 1.0.0\ntitle: T\nowner: o\napplies_to: {{markets: [DE]}}\n"
    "changes:\n  - policy: demo/refund\n    because: It must.\n"
)
FULL = """\
    definitions: {voucher: paper that buys goods}
    rules:
      - rule: RA1
        raise_severity_to: 5
        remove_exemptions: [report]
      - rule: RA2
        switch_off: true
    add_rules:
      - id: RA9
        title: Vouchers
        violates: Forges a {voucher}.
        severity: 2
        floor: true
    actions_first:
      - {rules: [RA9], do: label}
      - {rules: [RA2], do: label}
    otherwise: review
"""
EXEMPT = """\
    rules:
      - rule: RA2
        lower_severity_to: 2
        add_exemptions: [{id: joke, when: Is a joke about a {refund}.}]
        add_examples:
          - {content: Receipts for hugs!, verdict: exempt, exemption: joke, because: It is a joke.}
"""
EXEMPT = EXEMPT.replace("when: Is a joke about a {refund}.", 'when: "Is a joke about a {refund}."')


def overlay(body, name="night"):
    parsed, found = parse_overlay(HEAD.format(name=name) + body, f"{name}.yaml", [BASE])
    assert to_text(found) == ""
    return parsed


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_wrong_overlay_gives_its_message(path):
    loaded, found = parse_overlay(path.read_text(), path.name, [BASE])
    golden = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(to_text(found))
    assert loaded is None
    assert to_text(found) == golden.read_text()


def test_every_code_of_overlays_has_a_wrong_file():
    shown = "".join(path.with_suffix(".txt").read_text() for path in BAD)
    assert [code for code in ("P130", "P131", "P132", "P133") if f"[{code}]" not in shown] == []


def test_an_overlay_adds_tightens_and_switches_off():
    (merged,) = apply_overlays([BASE], [overlay(FULL)])
    first, added = merged.rules
    assert (first.id, first.severity, first.exemptions, len(first.examples)) == ("RA1", 5, (), 1)
    assert (added.id, added.floor, merged.definitions["voucher"]) == ("RA9", True, "paper that buys goods")
    assert [(step.rules, step.do) for step in merged.actions] == [
        (("RA9",), Action.LABEL),
        (None, Action.REMOVE),
        (None, Action.REVIEW),
    ]
    assert (merged.otherwise, merged.version_in_force) == (Action.REVIEW, "1.2.0+night.1.0.0")


def test_an_overlay_relaxes():
    (merged,) = apply_overlays([BASE], [overlay(EXEMPT)])
    rule = merged.rule("RA2")
    assert (rule.severity, [e.id for e in rule.exemptions], rule.examples[0].exemption) == (
        2,
        ["joke"],
        "joke",
    )


def test_examples_of_a_removed_exemption_go_with_it():
    (relaxed,) = apply_overlays([BASE], [overlay(EXEMPT)])
    text = HEAD.format(name="late") + "    rules: [{rule: RA2, remove_exemptions: [joke]}]\n"
    again, found = parse_overlay(text, "late.yaml", [relaxed])
    assert found == []
    assert apply_overlays([relaxed], [again])[0].rule("RA2").examples == ()


def test_merging_changes_nothing_else_and_is_the_same_every_time():
    other = BASE.model_copy(update={"policy": "demo/other"})
    one, two = overlay(FULL), overlay(EXEMPT, "late")
    assert apply_overlays([BASE, other], [one])[1] is other
    assert policy_digest(apply_overlays([BASE], [one])) != policy_digest([BASE])
    assert apply_overlays([BASE], [one, two]) == apply_overlays([BASE], [one, two])
    assert BASE.rule("RA1").severity == 4


def test_a_policy_whose_rules_are_all_off_is_left_out():
    loose, _ = parse_policy(BASE_TEXT.replace("    floor: true\n", ""), "a.yaml")
    off = "    rules: [{rule: RA1, switch_off: true}, {rule: RA2, switch_off: true}]\n"
    assert lay_over([loose], {"a.yaml": HEAD.format(name="a") + off})[0] == ()


def test_what_one_overlay_tightened_the_next_raises_or_leaves():
    high = "    rules: [{rule: RA2, raise_severity_to: 5}]\n"
    low = "    rules: [{rule: RA2, raise_severity_to: 4}]\n"
    for texts in ({"a": high, "b": low}, {"a": low, "b": high}):
        made, _ = lay_over([BASE], {name: HEAD.format(name=name) + body for name, body in texts.items()})
        assert made[0].rule("RA2").severity == 5


def test_a_floor_set_by_an_overlay_binds_the_next_one():
    floor = HEAD.format(name="a") + "    rules: [{rule: RA2, floor: true}]\n"
    loosen = HEAD.format(name="b") + "    rules: [{rule: RA2, switch_off: true}]\n"
    assert len(lay_over([BASE], {"b.yaml": loosen, "a.yaml": floor})[0][0].rules) == 1
    with pytest.raises(PolicyError) as caught:
        lay_over([BASE], {"a.yaml": floor, "b.yaml": loosen})
    assert [(d.code, d.span.file, d.span.line) for d in caught.value.diagnostics] == [("P130", "b.yaml", 10)]


def test_a_rule_added_by_two_overlays_is_told():
    add = "    add_rules: [{id: RA9, title: T, violates: V., severity: 1}]\n"
    texts = {f"{name}.yaml": HEAD.format(name=name) + add for name in "ab"}
    with pytest.raises(PolicyError) as caught:
        lay_over([BASE], texts)
    assert caught.value.diagnostics[0].message == "rule id `RA9` is already used at a.yaml:10"


def test_lines_load_as_the_merged_policy_and_say_where_they_come_from():
    (merged,) = apply_overlays([BASE], [overlay(FULL)])
    lines = policy_lines(merged)
    again, found = parse_policy("\n".join(line.text for line in lines), "again.yaml")
    assert (found, again.model_dump()) == ([], merged.model_dump())
    shown = {line.text.strip(): f"{line.origin.file}:{line.origin.line}" for line in lines}
    assert shown["severity: 5"] == "night.yaml:13"
    assert shown["voucher: paper that buys goods"] == "night.yaml:10"
    assert shown["- id: RA9"] == "night.yaml:18"
    assert shown["- {rules: [RA9], do: label}"] == "night.yaml:24"
    assert shown["otherwise: review"] == "night.yaml:26"
    assert shown["violates: Claims a {refund} for goods that were received."] == "demo/refund.yaml:14"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" '\"#:,-{}\n"), min_size=1))
def test_any_text_comes_back_from_the_lines(words):
    policy = BASE.model_copy(
        update={"owner": words, "definitions": {"refund": words}, "maps_to": {"openai": (words, "no")}}
    )
    again, found = parse_policy("\n".join(line.text for line in policy_lines(policy)), "again.yaml")
    if words.strip():  # blank texts are wrong in any policy
        shown = [each for each in found if each.code not in ("P104", "P006", "P000")]
        assert shown == []
    if again is not None:
        assert (again.owner, again.maps_to["openai"]) == (words, (words, "no"))


@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES, NAMES[::-1]], ids="+".join)
def test_shipped_overlays_lie_over_the_shipped_policies(names):
    policies = load_policies([SHIPPED])
    merged, overlays = load_overlays(policies, names, [SHIPPED])
    assert [each.overlay for each in overlays] == names
    for policy in merged:
        again, found = parse_policy("\n".join(line.text for line in policy_lines(policy)), "again.yaml")
        assert (found, again.model_dump()) == ([], policy.model_dump())
        assert all(line.origin for line in policy_lines(policy))
    for name in names:
        stamped = {policy.policy for policy in merged if f"{name}.1.0.0" in policy.overlays}
        (laid,) = [each for each in overlays if each.overlay == name]
        assert stamped == {change.policy for change in laid.changes}


def test_a_person_in_danger_is_never_removed_from_a_live_stream():
    policies = load_policies([SHIPPED / "health" / "self_harm.yaml"])
    (policy,), _ = load_overlays(policies, ["surface_live"], [SHIPPED])
    steps = [step.do for step in policy.actions if step.rules and "SH4" in step.rules]
    assert set(steps) == {Action.REVIEW}


def test_names_and_files_are_found_or_named(tmp_path):
    policies = load_policies([SHIPPED / "safety" / "hate.yaml"])
    by_file = load_overlays(policies, [str(SHIPPED / "overlays" / "market_de.yaml")], [])
    assert by_file[0] == load_overlays(policies, ["market_de"], [SHIPPED])[0]
    with pytest.raises(UsageError) as caught:
        load_overlays(policies, ["market_dee"], [SHIPPED])
    assert caught.value.hint == "did you mean `market_de`?"
    with pytest.raises(UsageError, match="`age_teen` changes none of these policies"):
        load_overlays(policies, ["age_teen"], [SHIPPED])
    with pytest.raises(PolicyError, match="there is no file"):
        load_overlays(policies, [str(tmp_path / "none.yaml")], [SHIPPED])
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(PolicyError) as wrong:
        load_overlays(policies, [str(tmp_path / "bytes.yaml")], [SHIPPED])
    assert wrong.value.diagnostics[0].code == "P000"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_edit_of_an_overlay_loads_or_is_explained(data):
    good = HEAD.format(name="night") + FULL
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 30, len(good))))
    signs = st.sampled_from(["{", "[", "- ", ": ", "\n", "&a ", "|", "7", "no", "true"])
    text = good[:start] + data.draw(st.text(max_size=6) | signs) + good[end:]
    loaded, found = parse_overlay(text, "edited.yaml", [BASE])
    assert (loaded is None) == bool(found)
    assert "pydantic" not in to_text(found)
