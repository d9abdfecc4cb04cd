"""Comparisons: counted by what differs, kept in a file that survives a kill, and free of content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from llm_judge.errors import UsageError
from llm_judge.policy.model import Action
from llm_judge.record import DecisionRecord
from llm_judge.service.rollout.comparison import Comparison, Identity, compared, tallies
from llm_judge.service.rollout.comparison_file import ComparisonFile, read_comparisons

ONE = Identity(
    revision="files", policy_digest="a" * 64, prompt_digest="b" * 64, calibration_digest=None,
    engine="scripted", model="m", model_digest="c" * 64, adapter_digest=None,
)  # fmt: skip
OTHER = ONE.model_copy(update={"policy_digest": "d" * 64})
Make = Callable[..., DecisionRecord]


def comparison(
    make_record: Make, other: str = "Water it.", pair: tuple[Identity, Identity] = (ONE, OTHER)
) -> Comparison:
    return compared(make_record(), make_record(other), pair, "stable")


def test_it_says_what_differs(make_record: Make) -> None:
    found = comparison(make_record)
    assert found.policies == {"garden/plants": ("fires", "clear")}
    assert found.largest_shift is not None and found.largest_shift > 0.9
    assert found.same  # both want the same done all the same


def test_the_candidates_answer_is_the_candidates_side(make_record: Make) -> None:
    answer = replace(make_record(), action=Action.REMOVE)
    other = replace(make_record("Water it."), action=Action.ALLOW)
    found = compared(answer, other, (ONE, OTHER), "candidate")
    assert (found.stable.action, found.candidate.action) == (Action.ALLOW, Action.REMOVE)
    assert found.policies == {"garden/plants": ("clear", "fires")}
    assert found.decision_id == answer.decision_id


def test_counts_are_kept_apart_by_revisions(make_record: Make) -> None:
    rows = [comparison(make_record), comparison(make_record, "Please drown it."), comparison(make_record)]
    rows.append(comparison(make_record, pair=(ONE, ONE)))
    found = tallies(rows)
    tally = found[ONE, OTHER]
    assert (tally.compared, tally.policies["garden/plants", "fires", "clear"]) == (3, 2)
    assert found[ONE, ONE].compared == 1


def test_a_file_goes_on_after_a_kill(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    for _ in range(2):
        file = ComparisonFile(path)
        file.append(comparison(make_record))
        file.close()
        with path.open("ab") as stream:
            stream.write(path.read_bytes()[:50])  # and is killed
    assert len(list(read_comparisons(path))) == 2
    assert "drown" not in path.read_text()


def test_a_line_that_was_changed_is_named(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    line = comparison(make_record).model_dump_json(by_alias=True)
    path.write_text(f"{line}\n{line.replace('stable', 'stabel', 1)}\n")
    with pytest.raises(UsageError, match=r"c\.jsonl:2: this is no comparison"):
        list(read_comparisons(path))
