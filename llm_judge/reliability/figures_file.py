"""``docs/reliability.json``: what was measured, how and on what machine; and the page made of it."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import llm_judge
from llm_judge.durable import replace_file
from llm_judge.json_file import read_json
from llm_judge.reliability.page import page

_MIB = 1024 * 1024
_FIGURES = TypeAdapter(dict[str, Any])


def machine() -> dict[str, Any]:
    """What a reader must know of the machine to compare figures; nothing that names it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / _MIB / 1024),
        "system": platform.system(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "llm_judge": llm_judge.__version__,
        "load_before": round(os.getloadavg()[0], 1),
        "day": datetime.now(UTC).date().isoformat(),
    }


def keep(file: Path, part: str, figures: dict[str, Any]) -> Path:
    """Put one part of the figures into the file, and write the page beside it anew.

    Args:
        file: of JSON; made if need be.
        part: ``chaos`` or ``load``; what the file says of the other stays.
        figures: as JSON data.

    Returns:
        The page.

    Raises:
        UsageError: the file holds something else.
        OutputError: it cannot be written.
    """
    figures_so_far = read(file)
    figures_so_far[part] = figures
    replace_file(file, json.dumps(figures_so_far, indent=1) + "\n")
    written = file.with_suffix(".md")
    replace_file(written, page(figures_so_far))
    return written


def read(file: Path) -> dict[str, Any]:
    """Return what the file holds; nothing where there is none."""
    if not file.exists():
        return {}
    return read_json(file, _FIGURES, "a file of figures", "remove it, and measure again")
