"""Rows out of the Parquet files of a data folder, with every unusable file as one clear line.

Knows nothing about what labels mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.suite import Reads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llm_judge.evals.suite import Suite

_FILES = {
    Reads.TEXTS: "{}.parquet",
    Reads.IMAGES: "images_index_{}.parquet",
    Reads.AUDIO: "audio_index_{}.parquet",
}
_NEEDED = {"id": "text", "source": "text", "lang": "text", "violates": "truth", "labels": "texts"}
_NEEDED |= {"areas_covered": "texts"}
_USED = ("context", "content_type", "origin", "agreement", "target", "slices", "pair_group", "parent_id")
_WORDS = {"text": "text", "truth": "true or false", "texts": "a list of texts"}


def rows_file(data: Path, suite: Suite) -> Path:
    """Return the file that holds the rows of a plain suite.

    Raises:
        UsageError: it is not there.
    """
    path = data / _FILES[suite.reads or Reads.TEXTS].format(suite.split)
    if not path.is_file():
        raise UsageError(
            f"there is no file `{path}`, which suite `{suite.suite}` needs",
            "name the folder that holds dev.parquet with --data",
        )
    return path


def media_tar(data: Path, suite: Suite) -> Path | None:
    """Return the tar with the pictures or sounds of a suite, None for a suite of texts.

    Raises:
        UsageError: it is not there, or the parts of a composed suite need more than one.
    """
    plain = [each for each in (*suite.members, suite) if each.reads in (Reads.IMAGES, Reads.AUDIO)]
    paths = sorted({data / f"media_{each.split}.tar" for each in plain})
    if len(paths) > 1:
        raise UsageError(f"suite `{suite.suite}` mixes media of two splits", "compose suites of one split")
    if paths and not paths[0].is_file():
        raise UsageError(f"there is no file `{paths[0]}`, which suite `{suite.suite}` needs")
    return paths[0] if paths else None


def rows_of(path: Path, sources: Sequence[str], modality: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of some sources, in file order, with the columns that are there.

    Args:
        path: a Parquet file.
        sources: values of the column ``source``.
        modality: ``text``, or anything else for an index of media files.

    Raises:
        UsageError: pyarrow is not installed, the file is damaged, or a column is missing or of another type.
    """
    try:
        import pyarrow.parquet as pq
        from pyarrow import ArrowException
    except ImportError:
        raise UsageError(
            "labelled sets are Parquet files, and pyarrow is not installed", 'pip install "llm-judge[eval]"'
        ) from None
    needed = _NEEDED | {"text" if modality == "text" else "media": "text"}
    try:
        schema = pq.read_schema(path)
        _check_columns(schema, needed, path)
        columns = [name for name in (*needed, *_USED) if name in schema.names]
        table = pq.read_table(path, columns=columns, filters=[("source", "in", list(sources))])
    except (OSError, ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"`{path}` cannot be read as Parquet: {reason}", "copy it again") from None
    for batch in table.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def _check_columns(schema: Any, needed: dict[str, str], path: Path) -> None:
    from pyarrow import types

    tests = {
        "text": lambda kind: types.is_string(kind) or types.is_large_string(kind),
        "truth": types.is_boolean,
        "texts": lambda kind: (
            (types.is_list(kind) or types.is_large_list(kind))
            and (types.is_string(kind.value_type) or types.is_large_string(kind.value_type))
        ),
    }
    for name, form in needed.items():
        if name not in schema.names:
            raise UsageError(
                f"`{path}` has no column `{name}`", f"its columns: {', '.join(schema.names[:30])}"
            )
        kind = schema.field(name).type
        if not tests[form](kind):
            raise UsageError(f"column `{name}` of `{path}` must hold {_WORDS[form]}, not {kind}")
