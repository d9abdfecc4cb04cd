"""The guidelines, demo items and bench items that travel with the project keep their promises."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llm_judge.policy.cases import cases_path, load_cases
from llm_judge.policy.load import load_policies, load_policy, parse_policy
from llm_judge.policy.model import Action, Policy
from llm_judge.resources import content_folder

POLICIES = content_folder("policies")
EVALS = content_folder("evals")
SHIPPED = load_policies([POLICIES])
NAMES = tuple(policy.policy for policy in SHIPPED)
GROUPS = {"safety", "health", "mature", "integrity", "regulated", "privacy", "security"}
EXPECTED = {"violates", "clear", "exempt", "borderline"}


def shipped(name: str) -> Policy:
    return load_policy(POLICIES / f"{name}.yaml")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_pack_covers_every_group_with_enough_policies_and_rules() -> None:
    assert {name.partition("/")[0] for name in NAMES} == GROUPS
    assert len(NAMES) >= 30
    assert sum(len(policy.rules) for policy in SHIPPED) >= 110
    ids = [rule.id for policy in SHIPPED for rule in policy.rules]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_no_policy_carries_a_warning(name: str) -> None:
    path = POLICIES / f"{name}.yaml"
    assert parse_policy(path.read_text(encoding="utf-8"), name)[1] == []


@pytest.mark.parametrize("name", NAMES)
def test_wording_is_short_and_every_rule_is_shown_by_examples(name: str) -> None:
    policy = shipped(name)
    assert len(policy.summary.split()) <= 35
    for rule in policy.rules:
        assert len(rule.violates.split()) <= 40, rule.id
        assert all(len(exemption.when.split()) <= 25 for exemption in rule.exemptions), rule.id
        assert {"violates", "clear"} <= {example.verdict for example in rule.examples}, rule.id


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_and_exemption_has_enough_cases(name: str) -> None:
    policy = shipped(name)
    cases = load_cases(cases_path(POLICIES / f"{name}.yaml"), policy)
    count = Counter((case.rule, case.expect, case.exemption) for case in cases)
    for rule in policy.rules:
        assert count[rule.id, "violates", None] >= 3, rule.id
        assert count[rule.id, "clear", None] >= 3, rule.id
        for exemption in rule.exemptions:
            assert count[rule.id, "exempt", exemption.id] >= 2, (rule.id, exemption.id)
    assert len({case.lang for case in cases}) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_no_content_is_used_twice(name: str) -> None:
    policy = shipped(name)
    contents = [case.content for case in load_cases(cases_path(POLICIES / f"{name}.yaml"), policy)]
    contents += [example.content for rule in policy.rules for example in rule.examples]
    assert [text for text, times in Counter(contents).items() if times > 1] == []


def test_a_person_in_danger_is_never_removed() -> None:
    policy = shipped("health/self_harm")
    severity = policy.rule("SH4").severity
    for step in policy.actions:
        if step.rules is None or "SH4" in step.rules:
            assert step.do is not Action.REMOVE or (step.severity_at_least or 0) > severity


def test_demo_items_cover_policies_modalities_verdicts_and_languages() -> None:
    items = rows(EVALS / "demo" / "items.jsonl")
    assert len({item["id"] for item in items}) == len(items) >= 18
    assert {item["expect"] for item in items} == EXPECTED
    assert {item["policy"] for item in items if "policy" in item} <= set(NAMES)
    assert len({item["lang"] for item in items if "text" in item}) >= 4
    suffixes = {Path(item["file"]).suffix for item in items if "file" in item}
    assert {".png", ".jpg", ".webp", ".gif"} <= suffixes
    assert {".wav", ".mp3", ".ogg", ".flac", ".m4a"} <= suffixes
    assert {".mp4", ".webm"} <= suffixes


def test_demo_items_cite_known_rules_and_exemptions() -> None:
    for item in rows(EVALS / "demo" / "items.jsonl"):
        assert ("text" in item) != ("file" in item), item["id"]
        assert ("policy" in item) == (item["expect"] != "clear"), item["id"]
        if "policy" in item:
            exemptions = {e.id for e in shipped(item["policy"]).rule(item["rule"]).exemptions}
            assert ("exemption" in item) == (item["expect"] == "exempt"), item["id"]
            assert item.get("exemption") in exemptions | {None}, item["id"]


def test_demo_media_are_all_there_used_and_small() -> None:
    folder = EVALS / "demo"
    used = {item["file"] for item in rows(folder / "items.jsonl") if "file" in item}
    files = list((folder / "media").iterdir())
    assert {f"media/{file.name}" for file in files} == used
    sizes = [file.stat().st_size for file in files]
    assert min(sizes) > 0
    assert max(sizes) <= 60_000
    assert sum(sizes) <= 700_000


def test_bench_has_eight_areas_of_eight_terse_rules() -> None:
    policies = load_policies([EVALS / "bench" / "policies"])
    assert [len(policy.rules) for policy in policies] == [8] * 8
    rules = [rule for policy in policies for rule in policy.rules]
    assert len({rule.id for rule in rules}) == 64
    assert max(len(rule.violates.split()) for rule in rules) <= 22
    assert max(len(rule.exemptions) for rule in rules) <= 1
    assert not any(rule.examples for rule in rules)


def test_one_bench_item_in_five_violates_spread_over_the_areas() -> None:
    items = rows(EVALS / "bench" / "items.jsonl")
    assert len({item["text"] for item in items}) == len({item["id"] for item in items}) == 200
    for start in range(0, 200, 5):
        assert sum(item["expect_area"] is not None for item in items[start : start + 5]) == 1
    areas = Counter(item["expect_area"] for item in items if item["expect_area"])
    assert set(areas) == {policy.policy for policy in load_policies([EVALS / "bench" / "policies"])}
    assert set(areas.values()) == {5}


@pytest.mark.parametrize(
    "path", sorted((content_folder("finetune") / "areas").glob("*.yaml")), ids=lambda p: p.stem
)
def test_training_areas_load(path: Path) -> None:
    assert 3 <= len(load_policy(path).rules) <= 6
