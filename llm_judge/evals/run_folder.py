"""The folder of one eval run: a journal while it goes on, a Parquet file once it is done.

``manifest.json`` says what was judged by what (digests, versions, options); ``journal.jsonl`` holds the
outcomes in order, a chunk at a time; ``outcomes.parquet`` replaces the journal at the end. A killed process
leaves at most one unfinished chunk, which resuming judges again as a whole: chunks never change, so the
engine sees the same batches and gives the same numbers; answers from the cache of earlier runs (``recall``)
keep the numbers of their own batches. Holds no metrics and no words of the items.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.durable import AppendFile, reason_of, replace_file
from llm_judge.errors import OutputError, UsageError
from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

RUN_SCHEMA = 1
MANIFEST = "manifest.json"
JOURNAL = "journal.jsonl"
OUTCOMES = "outcomes.parquet"


class RunFolder:
    """Collects the outcomes of one run. Use as a context manager.

    Args:
        path: created if need be.
        identity: what must be equal for a run to go on; the first part of the manifest.
        resume: go on with a run that was stopped.

    Attributes:
        outcomes: judged so far, whole chunks only.

    Raises:
        UsageError: the folder holds a run and ``resume`` is off, or another run.
        OutputError: it cannot be written, or another process writes it.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self.outcomes: list[ItemOutcome] = []
        self._identity = json.loads(json.dumps(identity))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write `{path}`: {reason_of(error)}", "choose another --out") from error
        self._journal = AppendFile(path / JOURNAL)
        try:
            self._open(resume)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def finished(self) -> bool:
        """Whether every item of the run has been judged."""
        return (self.path / OUTCOMES).is_file()

    def append(self, chunk: Sequence[ItemOutcome]) -> None:
        """Write one chunk whole and flush it to the disk, or leave the journal as it was."""
        line = json.dumps([asdict(outcome) for outcome in chunk], ensure_ascii=False) + "\n"
        self._journal.append(line.encode("utf-8", "backslashreplace"))
        self._journal.sync()
        self.outcomes += chunk

    def finish(self, found: Mapping[str, Any]) -> None:
        """Write the Parquet file and the whole manifest, and drop the journal.

        Args:
            found: what is only known at the end, such as seconds and peak memory.
        """
        write_outcomes(self.outcomes, self.path / OUTCOMES)
        self._write_manifest({"finished": True, **found})

    def _open(self, resume: bool) -> None:
        if not (self.path / MANIFEST).exists():
            self._write_manifest({"finished": False})
            return
        if not resume:
            raise UsageError(
                f"`{self.path}` already holds a run", "add --resume to go on, or choose another --out"
            )
        known = read_manifest(self.path)
        for name, value in self._identity.items():
            if known.get(name) != value:
                raise UsageError(
                    f"`{self.path}` is a run with another {name.replace('_', ' ')}",
                    "two runs do not mix: choose another --out",
                )
        self.outcomes = read_outcomes(self.path) if self.finished else self._read_journal()

    def _read_journal(self) -> list[ItemOutcome]:
        """Read whole chunks, and cut off one that a killed process left unfinished."""
        found: list[ItemOutcome] = []
        good_end = 0
        with (self.path / JOURNAL).open("rb") as journal:
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                try:
                    found += [outcome_from_json(data) for data in json.loads(line)]
                except (ValueError, KeyError, TypeError):
                    raise UsageError(
                        f"`{self.path / JOURNAL}` holds a line that is not of a run, at byte {good_end}",
                        "choose another --out; this file was edited",
                    ) from None
                good_end += len(line)
        self._journal.cut(good_end)
        return found

    def _close(self) -> None:
        self._journal.close()
        if self.finished:  # the Parquet file holds all of it
            (self.path / JOURNAL).unlink(missing_ok=True)

    def _write_manifest(self, more: Mapping[str, Any]) -> None:
        whole = {"schema": RUN_SCHEMA, **self._identity, **more}
        replace_file(self.path / MANIFEST, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a run folder says about itself.

    Raises:
        UsageError: it is no run folder.
    """
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{folder}` is no eval run: its {MANIFEST} cannot be read",
            "give a folder made by `llm-judge eval run`",
        ) from error
    if not isinstance(data, dict) or data.get("schema") != RUN_SCHEMA:
        raise UsageError(f"`{folder}` was written by another version", "run it again")
    return data


def read_outcomes(folder: Path) -> list[ItemOutcome]:
    """Return the outcomes of a finished run, in order.

    Raises:
        UsageError: it is no run folder, the run is not finished, or its file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / OUTCOMES
    if not path.is_file():
        _check_is_run(folder)
        raise UsageError(f"the run in `{folder}` is not finished", "go on with the same command and --resume")
    try:
        rows = pq.read_table(path).to_pylist()
        return [outcome_from_json(row) for row in rows]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"`{path}` is damaged", "run it again") from error


def _check_is_run(folder: Path) -> None:
    if (folder / MANIFEST).is_file():
        return
    inside = sorted(str(found.parent) for found in folder.glob(f"*/{MANIFEST}"))
    hint = f"a run of several suites has a folder for each: {', '.join(inside)}" if inside else ""
    raise UsageError(f"`{folder}` is no eval run", hint or "give a folder made by `llm-judge eval run`")


def write_outcomes(outcomes: Sequence[ItemOutcome], path: Path) -> None:
    """Write outcomes as Parquet: one row an item, its answers as a list column.

    Raises:
        OutputError: it cannot be written; an older file stays as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float64()
    answer = pa.struct(
        [
            *((name, text) for name in ("kind", "key")),
            ("truth", pa.bool_()),
            *((name, number) for name in ("probability", "exempt_probability", "label_mass")),
            ("outcome", text),
            ("asked", pa.bool_()),
        ]
    )
    schema = pa.schema(
        [
            *((name, text) for name in ("item", "sha256", "suite", "source", "modality", "lang")),
            ("slices", pa.list_(text)),
            ("group", text),
            ("answers", pa.list_(answer)),
            ("action", text),
            ("evidence_hit", pa.bool_()),
            ("ms", number),
            ("tokens", number),
            ("error", text),
            ("cached", pa.bool_()),
        ]
    )
    table = pa.Table.from_pylist([asdict(outcome) for outcome in outcomes], schema=schema)
    part = path.with_suffix(".part")
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write `{path}`: {reason_of(error)}", "make room, then --resume") from error


def outcome_from_json(data: Mapping[str, Any]) -> ItemOutcome:
    """Return an outcome from its plain data, as ``dataclasses.asdict`` gives it.

    Raises:
        KeyError, TypeError, ValueError: it is not the data of an outcome.
    """
    answers = tuple(Answer(**{**answer, "kind": Kind(answer["kind"])}) for answer in data["answers"])
    return ItemOutcome(**{**data, "slices": tuple(data["slices"]), "answers": answers})
