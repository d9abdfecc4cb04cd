"""What a robustness run found, as a file: rows, families, and what was judged by what.

Knows nothing about how items are changed or how a report looks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from llm_judge.durable import replace_file
from llm_judge.evals.robustness import Count, RobustnessRow
from llm_judge.json_file import read_json

ROBUSTNESS = "robustness.json"
COMMAND = "llm-judge eval robustness SUITE --out FOLDER"


@dataclass(frozen=True, slots=True)
class FamilyCounts:
    """What a family made of the items.

    Attributes:
        name: as in the rows, ``perturb:leet``.
        about: what it does.
        medium: ``image`` or ``audio`` where the words are shown or said; None where they stay text.
        changed: items it changed, which were judged.
        skipped: why it left items out → how many.
    """

    name: str
    about: str
    medium: Literal["image", "audio"] | None
    changed: Count
    skipped: dict[str, Count]


@dataclass(frozen=True, slots=True)
class Robustness:
    """A robustness run.

    Attributes:
        schema: of the file.
        suite: where the items come from.
        items: originals.
        items_digest: SHA-256 of all items judged, originals and changed ones.
        judge: digests and names of what judged, as in the manifest of a run.
        policies: id → version.
        options: of the sample and the families.
        draws: resamples behind each interval.
        families: in the order they were run; one without pairs has no rows.
        rows: see ``RobustnessRow``.
    """

    schema: Literal[1]
    suite: str
    items: Count
    items_digest: str
    judge: dict[str, str | int | None]
    policies: dict[str, str]
    options: dict[str, Any]
    draws: Annotated[int, Field(ge=0)]
    families: tuple[FamilyCounts, ...]
    rows: tuple[RobustnessRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data; numbers to four decimals."""
        return {**asdict(self), "rows": [row.as_json() for row in self.rows]}


_SHAPE = TypeAdapter(Robustness)


def write_robustness(found: Robustness, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    replace_file(path, json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")


def read_robustness(path: Path) -> Robustness:
    """Return what a file of ``llm-judge eval robustness --out`` holds.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    return read_json(path, _SHAPE, "a robustness run", f"make it by `{COMMAND}`")
