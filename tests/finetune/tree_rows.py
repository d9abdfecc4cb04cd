"""A few training rows with mild words, written as `finetune data` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llm_judge.engines.tokens import ChatFrame, packaged_tokens
from llm_judge.finetune.data_files import TokenCounter, write_rows
from llm_judge.finetune.training_rows import Kind, TrainingRow, Variant


def asked(
    answer: str, question: str = "Is it red?", kind: Kind = Kind.AREA, body: str = "A tomato."
) -> TrainingRow:
    """One question about one content."""
    labels = ("yes", "no") if kind is Kind.AREA else ()
    return TrainingRow(
        "Judge.", body, question, answer, kind, "a/b", Variant.PLAIN, "set", "en", "0", "1", labels
    )


def write_rows_folder(folder: Path, reads: Sequence[TrainingRow]) -> None:
    """Reads, the same for dev, and one explanation."""
    folder.mkdir()
    counter = TokenCounter(packaged_tokens(), ChatFrame.packaged())
    for name in ("reads", "dev_reads"):
        distinct = [replace(row, body=f"{row.body} {number}") for number, row in enumerate(reads)]
        write_rows(folder / f"{name}.parquet", distinct, {}, counter)
    explained = [asked('{"a":1}', "Why?", Kind.EXPLANATION)]
    write_rows(folder / "explanations.parquet", explained, {"explanation": 0.5}, counter)
