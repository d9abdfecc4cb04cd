"""The three kinds of file a policy team writes, and which of them a file is.

Knows nothing about what the files say.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from llm_judge.policy.cases import CaseFile
from llm_judge.policy.model import Node, Policy
from llm_judge.policy.overlay_model import Overlay

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.source import SourceNode


class FileKind(StrEnum):
    """What a file holds, in the words of people and of ``schema/KIND.schema.json``."""

    POLICY = "policy"
    CASES = "cases"
    OVERLAY = "overlay"

    @property
    def model(self) -> type[Node]:
        """The model that a file of this kind must fit."""
        return _MODELS[self]

    @property
    def schema_name(self) -> str:
        """The file name of the JSON Schema, such as ``cases.schema.json``."""
        return f"{self.value}.schema.json"


_MODELS: dict[FileKind, type[Node]] = {
    FileKind.POLICY: Policy,
    FileKind.CASES: CaseFile,
    FileKind.OVERLAY: Overlay,
}


def kind_of(path: Path, root: SourceNode | None = None) -> FileKind:
    """Return the kind by the name of the file, by its folder, then by its keys."""
    if path.name.endswith(".cases.yaml"):
        return FileKind.CASES
    if path.absolute().parent.name == "overlays" or (root and root.get("overlay") and root.get("changes")):
        return FileKind.OVERLAY
    return FileKind.POLICY
