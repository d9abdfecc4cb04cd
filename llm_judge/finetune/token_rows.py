"""Training rows in a folder of `finetune data` → token ids, exactly as the judge reads its prompts.

Texts are encoded batch by batch and then dropped, so memory holds ids only and no file holds either. Knows
nothing about trainers.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.finetune.training_rows import Kind
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llm_judge.finetune.base_model import Encoder

IGNORED = -100  # a label that no loss counts
_CHUNK = 512


@dataclass(slots=True)
class Rows:
    """What is trained or looked at.

    Attributes:
        dataset: a ``datasets.Dataset`` in memory; its columns are what the stage's trainer wants.
        kinds: kind of each row.
        lengths: tokens of each row.
        left_out: rows that are not in it, by reason.
        digests: file name → SHA-256 of what was read.
    """

    dataset: Any
    kinds: list[str]
    lengths: list[int]
    left_out: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a file are taken.

    Attributes:
        kinds: of rows; all if empty.
        contrasts: of pairs; all if empty.
        max_tokens: longer rows are left out.
        per_kind: rows of each kind at most, drawn by ``seed``; 0 for all.
    """

    kinds: tuple[str, ...]
    max_tokens: int
    contrasts: tuple[str, ...] = ()
    per_kind: int = 0
    seed: int = 1


def answer_rows(
    folder: Path, prefix: str, encoder: Encoder, chosen: Selection, weights: Mapping[str, float]
) -> Rows:
    """Reads and explanations, for supervised training and for looking at dev.

    Columns: ``input_ids``; ``labels``, the ids of the answer and ``IGNORED`` before; ``weight``.

    Args:
        folder: of ``finetune data``.
        prefix: of the file names: empty, or ``dev_``.
        encoder: of the model.
        chosen: which rows.
        weights: kind → weight of its rows, times their own.

    Raises:
        UsageError: a file is missing or not what ``finetune data`` writes, or no row is left.
    """

    def encoded(row: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        prompt = encoder.prompt(*_messages(row["prompt"]))
        answer = encoder.answer(row["completion"][0]["content"])
        labels = [IGNORED] * len(prompt) + answer
        weight = float(row["weight"]) * weights.get(row["kind"], 1.0)
        return {"input_ids": prompt + answer, "labels": labels, "weight": weight}, len(labels)

    names = []
    if not chosen.kinds or set(chosen.kinds) - {Kind.EXPLANATION}:
        names.append(f"{prefix}reads.parquet")
    if not chosen.kinds or Kind.EXPLANATION in chosen.kinds:
        names.append(f"{prefix}explanations.parquet")
    return _rows([folder / name for name in names], ("prompt", "completion", "weight"), chosen, encoded)


def pair_rows(folder: Path, prefix: str, encoder: Encoder, chosen: Selection) -> Rows:
    """Preference pairs; columns ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    Raises:
        UsageError: the file is missing or not what ``finetune data`` writes, or no row is left.
    """

    def encoded(row: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        ids = {"prompt_ids": encoder.prompt(*_messages(row["prompt"]))}
        ids |= {f"{name}_ids": encoder.answer(row[name][0]["content"]) for name in ("chosen", "rejected")}
        return ids, len(ids["prompt_ids"]) + max(len(ids["chosen_ids"]), len(ids["rejected_ids"]))

    return _rows([folder / f"{prefix}pairs.parquet"], ("prompt", "chosen", "rejected"), chosen, encoded)


def prompt_rows(folder: Path, encoder: Encoder, chosen: Selection) -> Rows:
    """Prompts whose answers are drawn; columns ``prompt`` (messages), ``answer`` and ``kind``.

    Raises:
        UsageError: a file is missing or not what ``finetune data`` writes, or no row is left.
    """

    def encoded(row: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        right = row["completion"][0]["content"]
        length = len(encoder.prompt(*_messages(row["prompt"])))
        return {"prompt": row["prompt"], "answer": right, "kind": row["kind"]}, length

    names = ["reads.parquet", "explanations.parquet"]
    wanted = [n for n in names if not chosen.kinds or (n[0] == "e") == (Kind.EXPLANATION in chosen.kinds)]
    if chosen.kinds and Kind.EXPLANATION in chosen.kinds and set(chosen.kinds) - {Kind.EXPLANATION}:
        wanted = names
    return _rows([folder / name for name in wanted], ("prompt", "completion"), chosen, encoded)


def _rows(
    paths: Sequence[Path],
    columns: Sequence[str],
    chosen: Selection,
    encoded: Callable[[Mapping[str, Any]], tuple[dict[str, Any], int]],
) -> Rows:
    import pyarrow as pa
    from datasets import Dataset
    from datasets.table import InMemoryTable

    tables, found = [], Rows(None, [], [])
    for path in paths:
        found.digests[path.name] = file_sha256(path) if path.is_file() else ""
        for chunk in _chunks(path, columns, chosen, found.left_out):
            kept = []
            for row in chunk:
                data, length = encoded(row)
                if length > chosen.max_tokens:
                    found.left_out["longer than max_tokens"] += 1
                    continue
                kept.append(data)
                found.kinds.append(row["kind"])
                found.lengths.append(length)
            if kept:
                tables.append(pa.Table.from_pylist(kept))
    if not tables:
        raise UsageError(
            f"no row of `{paths[0].parent}` is left to use", "look at `kinds`, `contrasts` and `max_tokens`"
        )
    found.dataset = Dataset(InMemoryTable(pa.concat_tables(tables)))
    return found


def _chunks(
    path: Path, columns: Sequence[str], chosen: Selection, left_out: Counter[str]
) -> Iterator[list[dict[str, Any]]]:
    """Rows of a file that are wanted, some at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    extra = ["contrast"] if "chosen" in columns else []
    try:
        with pq.ParquetFile(path) as file:
            kinds = file.read(["kind", *extra]).to_pylist()
            taken = set(_taken(kinds, chosen, left_out))
            at = 0
            for batch in file.iter_batches(_CHUNK, columns=["kind", *columns]):
                rows = batch.to_pylist()
                yield [row for number, row in enumerate(rows, at) if number in taken]
                at += len(rows)
    except (OSError, pa.ArrowException, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"`{path}` is no file of training rows: {reason}", "make it with `llm-judge finetune data`"
        ) from None


def _taken(rows: Sequence[Mapping[str, str]], chosen: Selection, left_out: Counter[str]) -> list[int]:
    """Numbers of the rows to take, in order."""
    by_kind: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if chosen.kinds and row["kind"] not in chosen.kinds:
            left_out["kind not asked for"] += 1
        elif chosen.contrasts and row.get("contrast") not in chosen.contrasts:
            left_out["contrast not asked for"] += 1
        else:
            by_kind.setdefault(row["kind"], []).append(number)
    found = []
    for _, numbers in sorted(by_kind.items()):
        draw = random.Random(chosen.seed)
        found += draw.sample(numbers, min(chosen.per_kind or len(numbers), len(numbers)))
    return sorted(found)


def _messages(prompt: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """The system message and the user message."""
    system, user = prompt
    return system["content"], user["content"]
