"""A finished run in memory, and the baselines that every report shows beside it.

Knows nothing about metrics or how a report looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.evals.run_folder import read_manifest, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llm_judge.evals.outcomes import ItemOutcome

# What a claim is held against, in the order of the tables: name → what it is.
BASELINES = {
    "constant": "constant answer",
    "keywords": "keyword list",
    "tfidf": "TF-IDF + logistic regression",
    "untuned": "untuned packaged model, areas only",
    "free-form": "free-form JSON judge",
}


@dataclass(frozen=True, slots=True)
class RunData:
    """One run.

    Attributes:
        name: what tables call it; for a baseline a name of ``BASELINES``.
        manifest: what the run says about itself; may lack anything.
        outcomes: one an item.
    """

    name: str
    manifest: Mapping[str, Any]
    outcomes: tuple[ItemOutcome, ...]

    @property
    def suites(self) -> tuple[str, ...]:
        """Names of the suites of its items, sorted."""
        return tuple(sorted({outcome.suite for outcome in self.outcomes}))


def read_run(folder: Path, name: str | None = None) -> RunData:
    """Return the finished run in a folder, called after the folder unless named.

    Raises:
        UsageError: it is no run folder, the run is not finished, or a file is damaged.
    """
    return RunData(name or folder.resolve().name, read_manifest(folder), tuple(read_outcomes(folder)))
