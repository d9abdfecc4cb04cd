"""Training rows → Parquet files in TRL's own forms, and what is counted about them.

Conversational prompt-completion rows (``prompt``, ``completion``) and preference rows (``prompt``,
``chosen``, ``rejected``), each a list of messages. Knows nothing about how rows come about.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llm_judge.durable import reason_of
from llm_judge.errors import OutputError
from llm_judge.finetune.training_rows import Kind
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from llm_judge.engines.tokens import ChatFrame, ChatTokens
    from llm_judge.finetune.training_rows import TrainingRow

_CHUNK = 2_000  # rows in memory as tables
_COUNTED = ("kind", "variant", "source", "lang", "area", "answer", "contrast", "key")


class TokenCounter:
    """How long a prompt is for a model; prefixes, which repeat, are counted once."""

    def __init__(self, tokens: ChatTokens, frame: ChatFrame) -> None:
        self._tokens = tokens
        pieces = (frame.head, frame.mid, frame.tail)
        self._fixed = sum(len(tokens.encode_template(piece)) for piece in pieces)
        self._prefixes: dict[str, int] = {}

    def prompt(self, row: TrainingRow) -> int:
        """Tokens of the prompt, the start of the answer included."""
        if row.prefix not in self._prefixes:
            self._prefixes[row.prefix] = self._tokens.count(row.prefix)
        return self._fixed + self._prefixes[row.prefix] + self._tokens.count(row.user)

    def completion(self, row: TrainingRow) -> int:
        """Tokens of the longest answer and of the end of the turn."""
        return 1 + max(self._tokens.count(text) for text in (row.answer, row.rejected) if text is not None)


def write_rows(
    path: Path,
    rows: Sequence[TrainingRow],
    weights: Mapping[str, float],
    counter: TokenCounter,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Write one file; rows with a rejected answer become preference rows.

    Args:
        path: replaced by one rename.
        rows: all with a rejected answer, or none.
        weights: kind → weight; 1 where it is not named.
        counter: of the model's tokens.
        advance: called with the number of rows written.

    Returns:
        What the manifest says of the file: rows, SHA-256, tokens, and counts by kind, key and so on.

    Raises:
        OutputError: it cannot be written; an older file stays as it was.
    """
    import pyarrow.parquet as pq

    pairs = (bool(rows) and rows[0].rejected is not None) or path.stem.endswith("pairs")
    lengths: list[int] = []
    part = path.with_name(path.name + ".part")
    schema = _schema(pairs)
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for chunk in _chunks(rows):
                writer.write_table(_table(chunk, schema, weights, counter, lengths))
                advance(len(chunk))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write `{path}`: {reason_of(error)}", "choose another --out") from error
    return {
        "rows": len(rows),
        "sha256": file_sha256(path),
        "tokens": {"all": sum(lengths), "longest": max(lengths, default=0)},
        "counts": counts(rows),
        "answers_by_area": crossed(rows, "area", "answer"),
        "answers_by_variant": crossed(rows, "variant", "answer"),
        "answers_by_source": crossed(rows, "source", "answer"),
    }


def counts(rows: Sequence[TrainingRow]) -> dict[str, dict[str, int]]:
    """How many rows there are by kind, variant, source, language, area, answer, contrast and key."""
    found = {name: Counter(_value(row, name) for row in rows) for name in _COUNTED}
    return {
        name: dict(sorted(each.items(), key=lambda one: (-one[1], one[0])))
        for name, each in found.items()
        if set(each) != {""}
    }


def crossed(rows: Sequence[TrainingRow], one: str, other: str) -> dict[str, dict[str, int]]:
    """Counts by two things at once, sorted by the first."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(_value(row, one), Counter())[_value(row, other)] += 1
    return {name: dict(sorted(each.items())) for name, each in sorted(found.items())}


def _value(row: TrainingRow, name: str) -> str:
    if name == "answer" and row.kind is Kind.EXPLANATION:
        return "json"
    return str(getattr(row, name) or "")


def _chunks(rows: Sequence[TrainingRow]) -> Iterator[Sequence[TrainingRow]]:
    yield from (rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK))


def _schema(pairs: bool) -> pa.Schema:
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    answers = ("chosen", "rejected") if pairs else ("completion",)
    words = ("kind", "key", "variant", "source", "lang", "row", "policy_digest")
    return pa.schema(
        [
            *((name, messages) for name in ("prompt", *answers)),
            *((name, pa.string()) for name in (*words, *(("contrast",) if pairs else ()))),
            ("weight", pa.float32()),
            ("tokens", pa.int32()),
        ]
    )


def _table(
    rows: Sequence[TrainingRow],
    schema: pa.Schema,
    weights: Mapping[str, float],
    counter: TokenCounter,
    lengths: list[int],
) -> pa.Table:
    import pyarrow as pa

    found = []
    for row in rows:
        lengths.append(counter.prompt(row) + counter.completion(row))
        data: dict[str, Any] = {name: getattr(row, name, None) for name in schema.names}
        data["prompt"] = [_message("system", row.prefix), _message("user", row.user)]
        for name, text in (("completion", row.answer), ("chosen", row.answer), ("rejected", row.rejected)):
            if name in data:
                data[name] = [_message("assistant", str(text))]
        data |= {"weight": weights.get(row.kind.value, 1.0), "tokens": lengths[-1]}
        found.append(data)
    return pa.Table.from_pylist(found, schema=schema)


def _message(role: str, content: str) -> dict[str, str]:
    # What UTF-8 cannot hold becomes `?`, as it does before the judge's tokenizer.
    return {"role": role, "content": content.encode("utf-8", "replace").decode("utf-8")}
