"""The folder of one training run: claimed, gone on with after a kill, and finished.

What ships is ``adapter_config.json``, ``adapter_model.safetensors`` and ``training.json``; ``checkpoints`` is
there until the run is finished. No file holds a row. Knows nothing about trainers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.durable import reason_of, replace_file
from llm_judge.errors import OutputError, UsageError
from llm_judge.finetune.base_model import ADAPTER_CONFIG, ADAPTER_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llm_judge.policy.model import Node

RECORD, CHECKPOINTS = "training.json", "checkpoints"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run writes.

    Attributes:
        path: the folder.
        inputs: digests of all that decides what the run learns; the same for a run that goes on.
    """

    path: Path
    inputs: Mapping[str, Any]

    @property
    def checkpoints(self) -> Path:
        """Where the trainer writes."""
        return self.path / CHECKPOINTS

    def claim(self, resume: bool) -> None:
        """Begin the run or go on with it.

        Raises:
            UsageError: there is a run already and ``resume`` is off, or it is finished or another one.
            OutputError: the folder cannot be written.
        """
        record = self.path / RECORD
        if not record.exists():
            if (self.path / ADAPTER_WEIGHTS).exists():
                raise UsageError(f"`{self.path}` holds an adapter", "choose another --out")
            self._begin()
            return
        found = _record(record)
        if found.get("finished"):
            raise UsageError(f"`{self.path}` holds a finished run", "choose another --out")
        if not resume:
            hint = "give --resume to go on, or choose another --out"
            raise UsageError(f"`{self.path}` holds a run that was not finished", hint)
        changed = [name for name, value in self.inputs.items() if found.get("inputs", {}).get(name) != value]
        if changed:
            raise UsageError(
                f"`{self.path}` holds another run: {', '.join(changed)} changed", "choose another --out"
            )

    def finish(self, record: Mapping[str, Any], best: Path) -> None:
        """Ship the adapter and what is known of the run; delete the checkpoints.

        Args:
            record: for ``training.json``.
            best: folder of the adapter that ships.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
                shutil.copyfile(best / name, self.path / (name + ".part"))
                (self.path / (name + ".part")).replace(self.path / name)
        except OSError as error:
            raise OutputError(f"cannot write `{self.path}`: {reason_of(error)}") from error
        self._write({"finished": True, "inputs": dict(self.inputs), **record})
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _begin(self) -> None:
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write `{self.path}`: {reason_of(error)}", "choose another --out"
            ) from error
        self._write({"finished": False, "inputs": dict(self.inputs)})

    def _write(self, data: Mapping[str, Any]) -> None:
        text = json.dumps({"schema": SCHEMA, **data}, indent=2, ensure_ascii=False)
        replace_file(self.path / RECORD, text + "\n")


def recipe_digest(recipe: Node) -> str:
    """SHA-256 of everything a recipe says, the folders aside."""
    said = recipe.model_dump(
        mode="json", by_alias=True, exclude={"data", "dev", "out", "model", "start_from"}
    )
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"`{path}` cannot be read", "choose another --out")
    return found
