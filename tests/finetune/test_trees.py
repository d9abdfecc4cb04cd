"""Trees: one content once, every question as if it were asked alone, nothing of a row lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_rows import asked, write_rows_folder

from llm_judge.engines.tokens import ChatFrame, packaged_tokens
from llm_judge.errors import UsageError
from llm_judge.finetune.data_files import TokenCounter, write_rows
from llm_judge.finetune.training_rows import Kind
from llm_judge.finetune.trees import EXPLANATION, Pack, Trees, read_trees
from llm_judge.prompt import Prompt

pytest.importorskip("torch")
TOKENS, FRAME = packaged_tokens(), ChatFrame.packaged()


def packed(length: int, prefix: int = 0) -> Pack:
    pack = Pack(prefix)
    pack.add([1] * length)
    pack.aim(pack.add([2]) - 1, 9, 0)
    return pack


def test_each_question_sees_its_content_and_itself_and_positions_restart() -> None:
    pack = Pack(0)
    pack.add([4, 5])
    pack.aim(pack.add([6, 7]) - 1, 9, 0)
    pack.aim(pack.add([8]) - 1, 9, 1, 0.5)
    rows = Trees([pack, packed(1)], [[1, 2, 3]]).padded([0, 1])
    seen = (rows["mask"][0, 0] == 0).int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    assert rows["positions"].tolist() == [[3, 4, 5, 6, 5], [3, 4, 3, 3, 3]]
    found = [rows[name].tolist() for name in ("row", "place", "target", "kind", "weight")]
    assert found == [[0, 0, 1], [3, 4, 1], [9, 9, 9], [0, 1, 0], [1, 0.5, 1]]


def test_rows_about_one_content_share_a_tree_that_reads_like_their_prompts(tmp_path: Path) -> None:
    reads = [asked("yes"), asked("no", "Is it blue?"), asked("yes", body="A rose.")]
    counter = TokenCounter(TOKENS, FRAME)
    write_rows(tmp_path / "reads.parquet", reads, {"area": 2.0}, counter)
    json = asked('{"a":1}', "Why?", Kind.EXPLANATION)
    write_rows(tmp_path / "why.parquet", [json], {}, counter)
    trees = read_trees([tmp_path / "reads.parquet", tmp_path / "why.parquet"], TOKENS, FRAME)
    assert [len(pack.lengths) for pack in trees.packs] == [4, 2]
    first = trees.packs[0]
    body, one, two, why = first.lengths
    for row, start, length in ((reads[0], body, one), (reads[1], body + one, two)):
        ids = trees.prefixes[0] + first.tokens[:body] + first.tokens[start : start + length]
        assert ids == FRAME.prompt_ids(TOKENS, Prompt(row.prefix, row.body), row.question)
    end = body + one + two
    answers = [*TOKENS.encode(json.answer), TOKENS.end_of_turn_id]
    assert first.targets[0] == (body + one - 1, TOKENS.label_id("yes"), 0)
    assert [token for _, token, kind in first.targets if kind == EXPLANATION] == answers
    assert first.tokens[end + why - len(answers) + 1 : end + why] == answers[:-1]
    assert first.weights == [2, 2] + [1] * len(answers)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2)), min_size=1, max_size=30), st.integers(8, 64)
)
def test_every_pack_is_in_one_batch_of_one_prefix_and_bounded_size(
    made: list[tuple[int, int]], most: int
) -> None:
    trees = Trees([packed(*each) for each in made], [[1]] * 3)
    batches = trees.batches(most, random.Random(1))
    assert sorted(number for batch in batches for number in batch) == list(range(len(made)))
    for batch in batches:
        sizes = [len(trees.packs[number].tokens) for number in batch]
        assert len({trees.packs[number].prefix for number in batch}) == 1
        assert len(batch) == 1 or max(sizes) * len(batch) <= most


def test_a_sample_holds_whole_packs_and_enough_answers() -> None:
    trees = Trees([packed(n) for n in range(1, 21)], [[1]])
    assert len(trees.sample(5, seed=1)) == 5
    assert trees.sample(5, seed=1).packs == trees.sample(5, seed=1).packs
    assert len(trees.sample(100, seed=1)) == 20


def test_what_is_no_training_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no training rows"):
        read_trees([tmp_path / "reads.parquet"], TOKENS, FRAME)
    (tmp_path / "reads.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UsageError, match="holds no training rows"):
        read_trees([tmp_path / "reads.parquet"], TOKENS, FRAME)
    write_rows_folder(tmp_path / "rows", [asked("certainly not")])
    with pytest.raises(UsageError, match="3 tokens"):
        read_trees([tmp_path / "rows" / "reads.parquet"], TOKENS, FRAME)
