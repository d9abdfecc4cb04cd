"""The benchmark's material, and that a quick run gives figures that fit together (never how fast)."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from llm_judge.evals.bench import Bench, against_plain_reads, by_rules, equivalence, open_bench
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder


def test_the_mix_is_one_in_five_and_the_rules_are_64() -> None:
    folder = content_folder("evals") / "bench"
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    assert Counter(row["expect_area"] is not None for row in rows) == {False: 160, True: 40}
    assert [len(policy.rules) for policy in load_policies([folder / "policies"])] == [8] * 8


@pytest.fixture(scope="module")
def bench() -> Bench:
    found = open_bench("local", quick=True)
    found.items = found.items[:3]
    return found


@pytest.mark.model
def test_rules_are_taken_area_by_area(bench: Bench) -> None:
    assert [len(bench.compiled(n).rules) for n in (1, 4, 16, 64)] == [1, 4, 16, 64]
    assert [len(bench.compiled(n).areas) for n in (1, 4, 16, 64)] == [1, 1, 2, 8]


@pytest.mark.model
def test_sharing_computes_fewer_tokens_for_the_same_answers(bench: Bench) -> None:
    against_plain_reads(bench)
    by_rules(bench)
    equivalence(bench)
    figures = bench.figures
    short, shipped = figures["reads"].values()
    assert short["ours_tokens"] * 3 < short["plain_tokens"]
    assert shipped["ours_tokens"] * 20 < shipped["plain_tokens"]
    assert figures["rules"]["64"]["tokens_per_item"] > figures["rules"]["1"]["tokens_per_item"]
    assert figures["equivalence"]["float32"]["largest_logprob_difference"] < 1e-4
    assert figures["equivalence"]["float32"]["changed"] == 0
