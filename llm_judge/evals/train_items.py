"""Every labelled text of the train split, mapped as the suites map it: what baselines learn from.

Knows nothing about baselines or how rows are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.suite import Reads
from llm_judge.evals.suite_rows import plain_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.evals.suite import Suite
    from llm_judge.policy.model import Policy


def split_items(
    suites: Iterable[Suite], data: Path, policies: Sequence[Policy], split: str
) -> list[EvalItem]:
    """Read the texts of every plain suite from one split, each row once.

    Args:
        suites: all there are; composed ones and those of media or cases are passed over.
        data: folder of the labelled sets.
        policies: labels of other areas are left out.
        split: ``train`` or ``dev``.

    Raises:
        UsageError: the split is missing or damaged.
    """
    found: dict[str, EvalItem] = {}
    sources = sources_of(data, split)
    for suite in suites:
        if suite.reads is not Reads.TEXTS or not sources & set(suite.sources):
            continue
        for item in plain_items(suite.model_copy(update={"split": split}), data, policies):
            found.setdefault(item.id, item)
    return list(found.values())


def sources_of(data: Path, split: str) -> set[str]:
    """Return which sets a split holds rows of.

    Raises:
        UsageError: the split is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from llm_judge.errors import UsageError

    path = data / f"{split}.parquet"
    try:
        return set(pq.read_table(path, columns=["source"]).column("source").to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"`{path}` cannot be read", "give the folder of the labelled sets with --data"
        ) from error
