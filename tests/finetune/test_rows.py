"""What is known about a row, and what is not."""

from __future__ import annotations

from llm_judge.finetune.rows import own_rows
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder


def test_own_rows_cite_known_rules_and_their_splits_do_not_meet() -> None:
    policies = (
        *load_policies([content_folder("policies")]),
        *load_policies([content_folder("finetune") / "areas"]),
    )
    keys = {f"{p.policy}#{rule.id}" for p in policies for rule in p.rules}
    train, dev = own_rows(policies, "train"), own_rows(policies, "dev")
    assert len(train) > 800
    assert len(train) / 12 < len(dev) < len(train) / 4
    assert not {row.text for row in train} & {row.text for row in dev}
    for row in [*train, *dev]:
        assert row.about is None or row.about in keys, row.about
        assert set(row.rules) <= keys
    shipped = {
        f"{p.policy}#{rule.id}" for p in policies for rule in p.rules if not p.policy.startswith("areas/")
    }
    hits = {key for row in train for key, answer in row.rules.items() if answer == "yes"}
    assert shipped <= hits


def test_what_an_author_did_not_look_at_is_unknown() -> None:
    policies = load_policies([content_folder("policies")])
    rows = [row for row in own_rows(policies, "train") if row.about == "safety/hate#HS1"]
    assert {row.areas["safety/hate"] for row in rows} == {True, False}
    assert all(not row.areas["regulated/fraud"] for row in rows)
    assert all("safety/violent_extremism" not in row.areas for row in rows)  # a neighbour: may overlap
    everyday = [
        row for row in own_rows(policies, "train") if row.about is None and not any(row.areas.values())
    ]
    assert any(set(row.areas) == {policy.policy for policy in policies} for row in everyday)


def test_demo_and_bench_items_are_not_in_the_training_rows() -> None:
    import json

    known = set()
    for name in ("demo", "bench"):
        path = content_folder("evals") / name / "items.jsonl"
        known |= {json.loads(line).get("text") for line in path.read_text(encoding="utf-8").splitlines()}
    rows = own_rows([], "train") + own_rows([], "dev")
    assert not known & {row.text for row in rows}
