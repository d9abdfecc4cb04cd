"""Structural differences in words a policy lead understands; layout is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.compile import policy_digest
from llm_judge.policy.diff import Change, diff_policies, diff_policy, word_changes
from llm_judge.policy.load import parse_policy
from llm_judge.policy.model import Policy

PLANTS = """\
schema: 1
policy: garden/plants
version: 1.0.0
title: Plant care
summary: Covers advice that harms plants.
status: stable
owner: garden-team
modalities: [text, image]
definitions:
  house_plant: a plant kept in a pot
  unused: a word that no rule names
rules:
  - id: PL1
    title: Overwatering
    violates: Tells people to drown a {house_plant}.
    severity: 3
    exemptions:
      - id: satire
        when: Clearly a joke about a {house_plant}.
      - id: study
        when: Studies the advice.
  - id: PL2
    title: Darkness
    violates: Tells people to keep plants in the dark.
    severity: 2
    examples:
      - content: Cupboards are the best place.
        verdict: violates
        because: A cupboard is dark.
actions:
  - {severity_at_least: 3, probability_at_least: 0.8, do: remove}
  - {probability_at_least: 0.5, do: review}
otherwise: allow
on_error: review
maps_to: {other: [harm]}
"""
SATIRE = """\
      - id: satire
        when: Clearly a joke about a {house_plant}.
"""
DARK = PLANTS[PLANTS.index("  - id: PL2") : PLANTS.index("actions:")]


def parsed(text: str) -> Policy:
    policy, found = parse_policy(text, "plants.yaml")
    assert policy is not None, found
    return policy


def edited(old: str, new: str) -> str:
    assert old in PLANTS
    return PLANTS.replace(old, new)


def said(change: Change) -> str:
    return f"{change.rule}: {change.text}" if change.rule else change.text


EDITS = [
    ("severity: 3\n", "severity: 4\n", ["PL1: severity 3 → 4"]),
    (SATIRE, "", ["PL1: exemption `satire` removed"]),
    ("id: study", "id: research", ["PL1: exemption `study` removed", "PL1: exemption `research` added"]),
    ("Studies the", "Explains the", ["PL1: exemption `study` reworded"]),
    (DARK, "", ["PL2: rule removed: Darkness"]),
    ("id: PL2", "id: PL7", ["PL7: renamed from PL2"]),
    ("in the dark.", "in a dark place.", ["PL2: description reworded"]),
    ("title: Darkness", "title: Lack of light", ["PL2: title reworded"]),
    ("title: Plant care", "title: Care of plants", ["title reworded"]),
    ("Covers advice", "Advice", ["summary reworded"]),
    ("kept in a pot", "kept indoors", ["definition `house_plant` changed (used by PL1)"]),
    ("[text, image]", "[text, audio]", ["modalities +audio −image"]),
    ("    severity: 2\n", "    severity: 2\n    modalities: [text]\n", ["PL2: modalities −image"]),
    (
        "    severity: 2\n",
        "    severity: 2\n    floor: true\n",
        ["PL2: floor set: overlays may not loosen it"],
    ),
    (
        "least: 0.8",
        "least: 0.9",
        [
            "action step 1: remove at severity ≥ 3, probability ≥ 0.8 → "
            "remove at severity ≥ 3, probability ≥ 0.9"
        ],
    ),
    (
        "  - {probability_at_least: 0.5, do: review}\n",
        "",
        ["action step 2 removed: review at probability ≥ 0.5"],
    ),
    ("otherwise: allow", "otherwise: label", ["otherwise allow → label"]),
    ("on_error: review", "on_error: remove", ["on_error review → remove"]),
    ("verdict: violates", "verdict: clear", ["PL2: example violates → clear"]),
    ("because: A", "because: The", ["PL2: reason of an example reworded"]),
    ("status: stable", "status: draft", ["status stable → draft: it is no longer judged"]),
]
NOTES = [
    ("version: 1.0.0", "version: 1.0.1", ["version 1.0.0 → 1.0.1"]),
    ("owner: garden-team", "owner: lawn-team", ["owner garden-team → lawn-team"]),
    ("{other: [harm]}", "{other: [harm, harm/plants]}", ["maps_to other: +harm/plants"]),
    ("status: stable", "status: test", ["status stable → test"]),
    ("a word that", "some word that", ["definition `unused` changed (used by no rule)"]),
]
LAYOUT = [
    ("rules:\n", "# the rules\nrules:\n\n"),
    ("title: Plant care\n", 'title: "Plant care"\n'),
    ("version: 1.0.0\ntitle: Plant care\n", "title: Plant care\nversion: 1.0.0\n"),
    ("[text, image]", "[image, text]"),
]


@pytest.mark.parametrize(("old", "new", "expected"), EDITS, ids=lambda value: str(value)[:20])
def test_changes_of_meaning(old: str, new: str, expected: list[str]) -> None:
    found = diff_policy(parsed(PLANTS), parsed(edited(old, new)))
    assert [said(change) for change in found.changes] == expected
    assert found.meaning


@pytest.mark.parametrize(("old", "new", "expected"), NOTES, ids=lambda value: str(value)[:20])
def test_notes_are_shown_but_change_nothing(old: str, new: str, expected: list[str]) -> None:
    found = diff_policy(parsed(PLANTS), parsed(edited(old, new)))
    assert [said(change) for change in found.changes] == expected
    assert not found.meaning


@pytest.mark.parametrize(("old", "new"), LAYOUT)
def test_layout_is_named_as_such(old: str, new: str) -> None:
    text = edited(old, new)
    (found,) = diff_policies([parsed(PLANTS)], [parsed(text)], {"garden/plants": (PLANTS, text)})
    assert (found.state, found.changes, found.meaning) == ("layout", (), False)
    assert diff_policies([parsed(PLANTS)], [parsed(PLANTS)], {"garden/plants": (PLANTS, PLANTS)}) == []


def test_order_counts_where_the_model_reads_it() -> None:
    text = PLANTS.replace(DARK, "").replace("rules:\n", f"rules:\n{DARK}")
    assert [said(c) for c in diff_policy(parsed(PLANTS), parsed(text)).changes] == [
        "rules reordered: PL2, PL1"
    ]


def test_policies_come_go_and_move() -> None:
    policy = parsed(PLANTS)
    other = parsed(PLANTS.replace("garden/plants", "garden/pots"))
    states = {d.policy: d.state for d in diff_policies([policy, parsed(SALES)], [parsed(SALES), other])}
    assert states == {"garden/pots": "changed"}
    (moved,) = diff_policies([policy, parsed(SALES)], [parsed(SALES), other])
    assert (moved.origin, moved.changes[0].text) == (
        "garden/plants",
        "policy `garden/plants` renamed `garden/pots`",
    )
    assert [d.state for d in diff_policies([policy], [policy, parsed(SALES)])] == ["added"]
    assert [d.state for d in diff_policies([policy, parsed(SALES)], [policy])] == ["removed"]


SALES = PLANTS.replace("garden/plants", "market/sales").replace("dark", "cold").replace("drown", "sell")


def test_words_before_and_after() -> None:
    found = word_changes("Keeps plants in the dark.", "Keeps all plants in a dark.")
    assert "".join(f"[{w.kind[0]}]{w.text}" for w in found) == (
        "[s]Keeps[a] all[s] plants in [r]the[a]a[s] dark."
    )


@given(old=st.text(), new=st.text())
def test_both_texts_can_be_read_back(old: str, new: str) -> None:
    found = word_changes(old, new)
    assert "".join(w.text for w in found if w.kind != "added") == old
    assert "".join(w.text for w in found if w.kind != "removed") == new


@given(st.lists(st.sampled_from([(old, new) for old, new, _ in (*EDITS, *NOTES)] + LAYOUT), max_size=4))
def test_whatever_the_digest_counts_is_reported(edits: list[tuple[str, str]]) -> None:
    text = PLANTS
    for old, new in edits:
        text = text.replace(old, new, 1)
    policy, _ = parse_policy(text, "plants.yaml")
    if policy is None:  # two edits that do not go together
        return
    found = diff_policy(parsed(PLANTS), policy)
    if policy_digest([policy]) != policy_digest([parsed(PLANTS)]):
        assert found.meaning
    assert diff_policy(policy, parsed(PLANTS)).meaning is found.meaning
