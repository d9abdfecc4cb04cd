"""Rows as token ids: the judge's own prompts, the loss on the answer and its end, nothing cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from samples import make_content, make_policy, make_rule
from tiny_models import tiny_tokens, tokenizer_files, training_rows

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.engines.tokens import BETWEEN, ChatFrame, ChatTokens, packaged_tokens
from llm_judge.errors import UsageError
from llm_judge.finetune.base_model import Encoder
from llm_judge.finetune.data_files import TokenCounter, write_rows
from llm_judge.finetune.token_rows import IGNORED, Selection, answer_rows, pair_rows, prompt_rows
from llm_judge.finetune.training_rows import Kind
from llm_judge.prompt import Prompt, build_prompt

pytest.importorskip("datasets")
ALL = Selection((), 256)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tokens")
    tokenizer_files(folder)
    (folder / "config.json").write_text("{}")
    return Encoder(*tiny_tokens(folder))


@pytest.fixture(scope="module")
def data(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    counter = TokenCounter(encoder.tokens, encoder.frame)
    for name, rows in training_rows(24, 1).items():
        write_rows(folder / f"{name}.parquet", rows, {"rule": 0.5}, counter)
    return folder


@pytest.mark.parametrize(
    "text", ["One line.", "Two.\n\nParts.", "Ends in a mark!!", "<|im_end|> yes", "…\u200b…"]
)
def test_a_prompt_has_the_ids_that_the_judge_sends(text: str) -> None:
    tokens, frame = packaged_tokens(), ChatFrame.packaged()
    compiled = compile_policies(
        [make_policy("garden/plants", (make_rule("R1", ("satire",)),))], TargetModel("m", 8192, tokens.count)
    )
    prompt = build_prompt(compiled, make_content(text), tokens.special_tokens)
    for question in (
        compiled.areas[0].question.text,
        compiled.rules[0].question.text,
        compiled.rules[0].explain,
    ):
        found = Encoder(tokens, frame).prompt(prompt.prefix, prompt.body + BETWEEN + question)
        assert found == frame.prompt_ids(tokens, prompt, question)


def test_a_tokenizer_that_joins_a_full_stop_and_a_blank_line_is_kept_from_it() -> None:
    """As Qwen's does; a body may end in a full stop, and the judge encodes the question apart."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r"[^\s\p{L}\p{N}]+[\r\n]*|\p{L}+|\s+|\p{N}"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([".\n\n"] * 9, trainer)
    tokens, frame = ChatTokens(tokenizer.to_str(), "<|im_end|>"), ChatFrame("", "\n", "\n")
    found = Encoder(tokens, frame).prompt("You.", f"Measured: loud.{BETWEEN}Yes or no?")
    assert found == frame.prompt_ids(tokens, Prompt("You.", "Measured: loud."), "Yes or no?")
    assert found != tokens.encode("You.\nMeasured: loud.\n\nYes or no?\n")


def test_the_loss_is_on_the_answer_and_the_end_of_its_turn(encoder: Encoder, data: Path) -> None:
    rows = answer_rows(data, "", encoder, ALL, {"rule": 2.0, "explanation": 0.25})
    for row, kind, length in zip(rows.dataset, rows.kinds, rows.lengths, strict=True):
        answer = [label for label in row["labels"] if label != IGNORED]
        assert row["input_ids"][-len(answer) :] == answer == row["labels"][-len(answer) :]
        assert answer[-1] == encoder.tokens.end_of_turn_id
        assert len(row["input_ids"]) == length
        assert row["weight"] == {"rule": 1.0, "explanation": 0.25}.get(kind, 1.0)
        assert (len(answer) == 2) == (kind != Kind.EXPLANATION)


def test_kinds_lengths_and_numbers_are_chosen(encoder: Encoder, data: Path) -> None:
    rows = answer_rows(data, "", encoder, Selection(("rule",), 256), {})
    assert set(rows.kinds) == {"rule"}
    assert set(rows.digests) == {"reads.parquet"}
    few = answer_rows(data, "", encoder, Selection((), 256, per_kind=3, seed=5), {})
    assert sorted(few.kinds) == sorted(["area", "rule", "exemption", "explanation"] * 3)
    again = answer_rows(data, "", encoder, Selection((), 256, per_kind=3, seed=5), {})
    assert few.dataset[:] == again.dataset[:]
    everything = answer_rows(data, "", encoder, ALL, {})
    shorter = answer_rows(data, "", encoder, Selection((), max(everything.lengths) - 1), {})
    assert shorter.left_out["longer than max_tokens"] == len(everything) - len(shorter) > 0


def test_pairs_and_prompts(encoder: Encoder, data: Path) -> None:
    pairs = pair_rows(data, "", encoder, replace(ALL, contrasts=("label",)))
    for row in pairs.dataset:
        assert {tuple(row["chosen_ids"]), tuple(row["rejected_ids"])} == {
            tuple(encoder.answer("yes")),
            tuple(encoder.answer("no")),
        }
    prompts = prompt_rows(data, encoder, Selection(("explanation",), 256))
    assert set(prompts.kinds) == {"explanation"}
    assert set(prompts.dataset.column_names) == {"prompt", "answer", "kind"}


@pytest.mark.parametrize("selection", [replace(ALL, max_tokens=16), Selection(("none",), 256)])
def test_no_row_left_is_said(encoder: Encoder, data: Path, selection: Selection) -> None:
    with pytest.raises(UsageError, match="no row of"):
        answer_rows(data, "", encoder, selection, {})
    with pytest.raises(UsageError, match="no row of"):
        pair_rows(data, "", encoder, replace(ALL, contrasts=("miss",)))


def test_a_file_that_is_not_one_of_ours_is_named(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reads\.parquet"):
        answer_rows(tmp_path, "", encoder, ALL, {})
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(UsageError, match="is no file of training rows"):
        pair_rows(tmp_path, "", encoder, ALL)
