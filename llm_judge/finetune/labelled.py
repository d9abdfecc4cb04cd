"""The labelled sets of one split as rows, mapped as the suites map them, and why the others are left out.

Sets that no suite scores on have maps of the same form in ``finetune/sets``. Knows nothing about prompts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.suite import load_suites
from llm_judge.evals.train_items import split_items
from llm_judge.finetune.rows import LabelledRow
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.evals.suite import Suite
    from llm_judge.policy.model import Policy

AGREEMENT_AT_LEAST = 0.66
# Sets whose labels answer another question than ours.
LEFT_OUT = ("garak",)
_COLUMNS = ("id", "source", "violates", "context", "agreement")

Reasons = Counter[tuple[str, str]]  # (reason, source) → rows left out


def training_policies() -> tuple[Policy, ...]:
    """The shipped guidelines and the areas that training sees besides."""
    folders = (content_folder("policies"), content_folder("finetune") / "areas")
    return tuple(policy for folder in folders for policy in load_policies([folder]))


def is_shipped(policy: Policy) -> bool:
    """Whether a training policy is one of the guidelines that are judged by default."""
    return not policy.policy.startswith("areas/")


def training_suites(policies: Sequence[Policy]) -> list[Suite]:
    """The label maps of all labelled sets: the suites', then those of sets for training only.

    Args:
        policies: all that training knows, since maps may name any of them.
    """
    extra = load_suites(content_folder("finetune") / "sets", policies)
    return [*load_suites(policies=policies).values(), *extra.values()]


def labelled_rows(
    data: Path,
    split: str,
    policies: Sequence[Policy],
    suites: Sequence[Suite],
    *,
    alike: Mapping[str, Sequence[str]] | None = None,
    leave_out: Sequence[str] = LEFT_OUT,
    agreement_at_least: float = AGREEMENT_AT_LEAST,
) -> tuple[list[LabelledRow], Reasons]:
    """Read the texts of one split.

    Args:
        data: folder of the labelled sets.
        split: ``train`` or ``dev``.
        policies: what rows may answer.
        suites: label maps, as of ``training_suites``.
        alike: area that no label map knows → areas it is made of.
        leave_out: sources.
        agreement_at_least: rows whose annotators agreed less are left out.

    Returns:
        Rows that answer something, and how many of each source do not, by reason.

    Raises:
        UsageError: the split is missing or damaged.
    """
    path = data / f"{split}.parquet"
    if not path.is_file():
        raise UsageError(f"no labelled data at `{path}`", "give the folder that holds train.parquet")
    contexts = {source: suite.context for suite in suites for source in suite.sources}
    items = {item.id: item for item in split_items(suites, data, policies, split)}
    rules = {policy.policy: [rule.id for rule in policy.rules] for policy in policies}
    rows: list[LabelledRow] = []
    reasons: Reasons = Counter()
    for raw in _raw(path):
        item, agreement = items.get(raw["id"]), raw["agreement"]
        if raw["source"] in leave_out:
            reason = "set left out"
        elif raw["source"] not in contexts:
            reason = "set without a label map"
        elif raw["violates"] is None:
            reason = "not judged"
        elif agreement is not None and agreement < agreement_at_least:
            reason = "annotators disagree"
        elif contexts[raw["source"]] is None and raw["context"] not in (None, "", "[]"):
            reason = "needs earlier turns"
        elif item is None or not (item.areas or item.rules):
            reason = "answers no question of ours"
        else:
            rows.append(_row(item, alike or {}, rules))
            continue
        reasons[reason, raw["source"]] += 1
    return rows, reasons


def _raw(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        wanted = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=wanted):
            yield from ({**dict.fromkeys(_COLUMNS), **row} for row in batch.to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"`{path}` cannot be read as Parquet", "copy it again") from error


def _row(
    item: EvalItem, alike: Mapping[str, Sequence[str]], rules: Mapping[str, Sequence[str]]
) -> LabelledRow:
    areas, answers = dict(item.areas), dict(item.rules)
    for area, parts in alike.items():
        known = [item.areas.get(part) for part in parts]
        if area not in rules or area in areas:
            continue
        if any(known):
            areas[area] = True
        elif all(truth is False for truth in known):
            areas[area] = False
            answers |= dict.fromkeys((f"{area}#{rule}" for rule in rules[area]), "no")
    return LabelledRow(str(item.text), item.lang, item.source, areas, answers, id=item.id, group=item.group)
