"""What the doctor found, as the JSON that it prints, and read back for the report.

Knows nothing about how findings are made or shown.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from llm_judge.evals.doctor import Finding
from llm_judge.json_file import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = "llm-judge eval doctor --data DATA_FOLDER --json > findings.json"
_SHAPE = TypeAdapter(list[Finding])


def findings_json(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Plain data, one object a finding."""
    return [{**asdict(each), "level": each.level.value, "ids": list(each.ids)} for each in found]


def read_findings(path: Path) -> list[Finding]:
    """Return the findings in a file that ``llm-judge eval doctor --json`` printed.

    Raises:
        UsageError: it cannot be read, or is no list of findings.
    """
    return read_json(path, _SHAPE, "a list of findings", f"make it by `{COMMAND}`")
