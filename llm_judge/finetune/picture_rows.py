"""Rows with pictures, for vision-language models: a JSONL or Parquet file beside its pictures.

A row has ``prompt`` (a system and a user message), ``completion`` (the answer), ``images`` (paths relative to
the file, none of them outside its folder) and perhaps ``kind`` and ``weight``. Pictures are opened when a
batch needs them. Knows nothing about trainers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from llm_judge.errors import UsageError
from llm_judge.finetune.token_rows import Rows, Selection
from llm_judge.finetune.training_rows import Kind
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PIXELS_A_TOKEN = 28 * 28  # Qwen2.5-VL: patches of 14 by 14, four of them merged
_CHARACTERS_A_TOKEN = 4
MOST_PIXELS = 64_000_000


class Message(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "user", "assistant"]
    content: str


class PictureRow(BaseModel):
    """One line of the file."""

    prompt: Annotated[list[Message], Field(min_length=1, max_length=8)]
    completion: Annotated[list[Message], Field(min_length=1, max_length=1)]
    images: list[str]
    kind: Kind = Kind.RULE
    weight: Annotated[float, Field(ge=0)] = 1.0


_ROW = TypeAdapter(PictureRow)


def picture_rows(
    path: Path, special_tokens: Sequence[str], chosen: Selection, weights: Mapping[str, float]
) -> Rows:
    """Read and check a file; every picture must be there and be one.

    Columns: ``prompt`` and ``completion`` (messages), ``images`` and ``weight``, as TRL wants them.

    Args:
        path: the file.
        special_tokens: control strings of the model, which its chat template would obey inside a text.
        chosen: which rows; the length is estimated from characters and pixels.
        weights: kind → weight of its rows, times their own.

    Raises:
        UsageError: the file or one of its rows is wrong, with its number, or no row is left.
    """
    from datasets import Dataset, Features, Image, List, Value

    found = Rows(None, [], [], digests={path.name: file_sha256(path) if path.is_file() else ""})
    kept: dict[str, list[Any]] = {"prompt": [], "completion": [], "images": [], "weight": []}
    taken: dict[str, int] = {}
    for number, data in enumerate(_read(path), 1):
        row = _checked(data, f"`{path}` row {number}", special_tokens)
        pictures = [_picture(path, name, number) for name in row.images]
        pixels = sum(size for _, size in pictures)
        texts = sum(len(message.content) for message in (*row.prompt, *row.completion))
        length = texts // _CHARACTERS_A_TOKEN + pixels // _PIXELS_A_TOKEN
        if reason := _left_out(row, length, chosen, taken):
            found.left_out[reason] += 1
            continue
        taken[row.kind] = taken.get(row.kind, 0) + 1
        found.kinds.append(row.kind)
        found.lengths.append(length)
        kept["prompt"].append([message.model_dump() for message in row.prompt])
        kept["completion"].append([message.model_dump() for message in row.completion])
        kept["images"].append([str(picture) for picture, _ in pictures])
        kept["weight"].append(row.weight * weights.get(row.kind, 1.0))
    if not found.kinds:
        raise UsageError(f"no row of `{path}` is left to use", "look at `kinds` and `max_tokens`")
    message = List({"role": Value("string"), "content": Value("string")})
    features = {"prompt": message, "completion": message, "images": List(Image()), "weight": Value("float32")}
    found.dataset = Dataset.from_dict(kept, features=Features(features))
    return found


def _left_out(row: PictureRow, length: int, chosen: Selection, taken: Mapping[str, int]) -> str | None:
    if chosen.kinds and row.kind not in chosen.kinds:
        return "kind not asked for"
    if length > chosen.max_tokens:
        return "longer than max_tokens"
    if chosen.per_kind and taken.get(row.kind, 0) >= chosen.per_kind:
        return "enough of this kind"
    return None


def _read(path: Path) -> Iterator[Any]:
    """Rows as plain data."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    hint = "give a JSONL or Parquet file of rows with pictures"
    try:
        if path.suffix == ".parquet":
            yield from pq.read_table(path).to_pylist()
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError:
                    raise UsageError(f"`{path}` line {number} is not JSON", hint) from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0].lower()
        raise UsageError(f"`{path}` cannot be read: {reason}", hint) from None


def _checked(data: Any, place: str, special_tokens: Sequence[str]) -> PictureRow:
    try:
        row = _ROW.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the row"
        raise UsageError(
            f"{place}: `{key}`: {first['msg'].lower()}", "finetune/README.md has an example"
        ) from None
    for message in (*row.prompt, *row.completion):
        for token in special_tokens:
            if token in message.content:
                raise UsageError(f"{place} holds the control token `{token}`", "write it another way")
    return row


def _picture(file: Path, name: str, number: int) -> tuple[Path, int]:
    """The path of a picture and its pixels."""
    from PIL import Image, UnidentifiedImageError

    place = f"`{file}` row {number}: the picture `{name}`"
    folder = file.resolve().parent
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise UsageError(f"{place} is outside the folder of the file", "put it beside the file")
    try:
        with Image.open(path) as picture:
            pixels = picture.width * picture.height
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        raise UsageError(f"{place} cannot be opened", "give a PNG, JPEG or WebP file") from None
    if pixels > MOST_PIXELS:
        raise UsageError(
            f"{place} has {pixels} pixels, and at most {MOST_PIXELS} are read", "make it smaller"
        )
    return path, pixels
