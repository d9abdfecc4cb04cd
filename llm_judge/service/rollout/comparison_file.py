"""Comparisons in a file, one JSON object a line; a line that a killed process left unfinished is no error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from llm_judge.durable import AppendFile, reason_of
from llm_judge.errors import UsageError
from llm_judge.service.rollout.comparison import Comparison


class ComparisonFile:
    """Appends comparisons; one process at a time.

    Args:
        path: made if need be; what it holds stays.

    Raises:
        OutputError: it cannot be opened, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)
        if self._file.size and not _ends_a_line(path):
            self._file.append(b"\n")  # after what a killed process left

    def append(self, comparison: Comparison) -> None:
        """Write one line whole, or leave the file as it was and raise ``OutputError``."""
        self._file.append(comparison.model_dump_json(by_alias=True).encode() + b"\n")

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()


def read_comparisons(path: Path) -> Iterator[Comparison]:
    """Yield the comparisons of a file.

    Raises:
        UsageError: it cannot be read, or a line that is whole is no comparison.
    """
    hint = "give the file that `serve --shadow-log FILE` writes"
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield Comparison.model_validate_json(line)
                except ValidationError:
                    if line.endswith(b"\n") and not _cut_off(line):
                        raise UsageError(f"{path}:{number}: this is no comparison", hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = reason_of(error) if isinstance(error, OSError) else "not a usable name"
        raise UsageError(f"cannot read `{path}`: {reason}", hint) from None


def _cut_off(line: bytes) -> bool:
    """Whether a line is the beginning of one of ours, ended by the process that came after."""
    return line == b"\n" or (line.startswith(b'{"schema":1,"at":') and not line.rstrip().endswith(b"}"))


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
