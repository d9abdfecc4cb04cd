"""Which files a check looks at, of which kind each is, and in which order they are reported.

Knows nothing about what is wrong with them but their names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Span
from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.cases import cases_path
from llm_judge.policy.codes import report
from llm_judge.policy.file_kind import FileKind, kind_of
from llm_judge.source import Source, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.diagnostics import Diagnostic

OVERLAYS = "overlays"
_CASES = ".cases.yaml"
_NOT_GUIDELINES = frozenset({"schema"})


class CheckedFiles:
    """The files below some paths.

    Attributes:
        order: shown name → rank in the report.
        policies, cases, overlays: the files by kind, in that order.
        searched: those of the policies that were found by searching a folder.

    Raises:
        PolicyError: a folder or file cannot be read.
        UsageError: there is no file to check.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.order: dict[str, int] = {}
        self.policies: list[Path] = []
        self.cases: list[Path] = []
        self.overlays: list[Path] = []
        self.searched: set[Path] = set()
        self._not_read: list[Path] = []
        named = {path.resolve() for path in paths if not path.is_dir()}
        seen: set[Path] = set()
        for path in paths:
            folder = path.is_dir()
            for file in _search(path) if folder else _named(path):
                real = file.resolve()
                if real not in seen and not (folder and real in named):
                    seen.add(real)
                    self._add(file, folder)
        if not self.order:
            shown = ", ".join(f"`{path}`" for path in paths)
            raise UsageError(f"there is no policy in {shown}", "policies end in `.yaml`")

    def _add(self, file: Path, searched: bool) -> None:
        self.order[str(file)] = len(self.order)
        if file.suffix == ".yml":
            self._not_read.append(file)
            return
        kind = kind_of(file)
        if kind is FileKind.POLICY and b"\noverlay:" in b"\n" + read(file):  # whatever is wrong with it
            kind = FileKind.OVERLAY
        of_kind = {
            FileKind.POLICY: self.policies,
            FileKind.CASES: self.cases,
            FileKind.OVERLAY: self.overlays,
        }
        of_kind[kind].append(file)
        if searched and kind is FileKind.POLICY:
            self.searched.add(file)

    def never_read(self) -> Iterator[Diagnostic]:
        """Yield P124 for files whose name keeps them from being read."""
        for path in self._not_read:
            message = f"`{path.name}` is never read: its name must end in `.yaml`"
            yield report(Source(str(path), ""), "P124", Span(str(path), 1, 1), message, "rename it")


def _named(path: Path) -> Iterator[Path]:
    yield path
    if not path.name.endswith(_CASES) and cases_path(path).is_file():
        yield cases_path(path)


def _search(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(n for n in folders if n not in _NOT_GUIDELINES and not n.startswith("."))
        yield from (
            Path(parent) / n for n in sorted(names) if n.endswith((".yaml", ".yml")) and not n.startswith(".")
        )


def _unreadable(error: OSError) -> None:
    raise PolicyError(f"`{error.filename}` cannot be read", hint="check its permissions")


def policy_files(folder: Path) -> list[Path]:
    """Return the policies of a folder; a file counts as one by its name and its folder."""
    return [file for file in _search(folder) if file.suffix == ".yaml" and kind_of(file) is FileKind.POLICY]


def policy_path(path: Path) -> Path:
    """Return where the policy of a cases file stands: ``hate.yaml`` for ``hate.cases.yaml``."""
    return path.with_name(path.name.removesuffix(_CASES) + ".yaml")
