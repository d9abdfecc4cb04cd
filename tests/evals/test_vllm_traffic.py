"""What a prefix cache could hold, by hand-counted prompts, and how far two runs are apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from llm_judge.evals.vllm_parity import compared
from llm_judge.evals.vllm_traffic import cacheable_tokens
from llm_judge.policy.model import Action
from llm_judge.record import DecisionRecord

POLICY = tuple(range(100, 110))


@pytest.mark.parametrize(
    ("prompts", "could"),
    [
        ([POLICY], 0),
        ([POLICY, (*POLICY, 1)], 8),  # two whole blocks of four; the rest of the prefix is no whole block
        ([(*POLICY, 1, 2, 3), (*POLICY, 1, 2, 4)], 12),
        ([POLICY[:8], POLICY[:8]], 4),  # its last token is computed, and with it the last block
        ([POLICY, (1, *POLICY)], 0),  # the same tokens at another place are something else
        ([POLICY, (1, 2), (*POLICY, 5), (*POLICY, 6)], 16),
    ],
)
def test_whole_blocks_of_earlier_prompts_could_be_cached(prompts: list[tuple[int, ...]], could: int) -> None:
    assert cacheable_tokens(prompts, 4) == could


def test_runs_are_compared_by_what_both_asked(make_record: Callable[..., DecisionRecord]) -> None:
    record = replace(make_record(), action=Action.ALLOW)
    moved = replace(
        record,
        action=Action.REMOVE,
        verdicts=tuple(
            replace(each, probability=each.probability - 0.04) if each.probability else each
            for each in record.verdicts
        ),
    )
    same, apart = compared([record], [record]), compared([record, record], [record, moved])
    assert same["mean_difference"] == same["changed"] == 0 and same["reads"] > 1
    assert apart["largest_difference"] == pytest.approx(0.04) and 0 < apart["mean_difference"] < 0.04
    assert apart["changed"] == 1 and list(apart["by_action"]) == ["allow to remove"]
