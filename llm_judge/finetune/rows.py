"""Labelled rows → what is known about each: answers to our questions, and what nobody looked at.

Two kinds of rows: the labelled sets (read from a folder that is given, never part of the project),
which answer the areas their annotators looked at, and rows written for this project
(``finetune/rows/*.jsonl``), which answer everything. A missing label is unknown, never "no".
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from llm_judge.errors import UsageError
from llm_judge.policy.model import Policy
from llm_judge.resources import content_folder


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One text and what is known about it.

    Attributes:
        text, lang, source: as in the set it comes from.
        areas: policy id → whether a rule of it applies; absent where unknown.
        rules: ``policy#rule`` → ``yes``, ``no`` or ``except``; absent where unknown.
        exemption: id of the exemption that applies, for ``except``.
        about: key of the rule an own row was written about, as a hit, an exemption or a near miss.
    """

    text: str
    lang: str
    source: str
    areas: Mapping[str, bool]
    rules: Mapping[str, str] = field(default_factory=dict)
    exemption: str | None = None
    about: str | None = None


def own_rows(policies: Sequence[Policy], split: str) -> list[LabelledRow]:
    """Rows written for this project, with what their author knew about ``policies``.

    One row in eight, by digest of its text, is ``dev``; the others are ``train``.
    """
    found = []
    for path in sorted((content_folder("finetune") / "rows").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = _own_row(json.loads(line), policies)
            held_out = hashlib.sha256(row.text.encode()).digest()[0] < 32
            if held_out == (split == "dev"):
                found.append(row)
    return found


def _own_row(row: Mapping[str, Any], policies: Sequence[Policy]) -> LabelledRow:
    area = row["area"]
    applies = row["verdict"] in ("violates", "exempt")
    broken = dict.fromkeys(row.get("also") or [], "yes")
    if applies and row["rule"]:
        broken[f"{area}#{row['rule']}"] = "except" if row["verdict"] == "exempt" else "yes"
    hit = {key.partition("#")[0] for key in broken} | ({area} if applies else set())
    areas = {p.policy: p.policy in hit for p in policies if p.policy in hit or _looked_at(area, p.policy)}
    rules = {}
    for policy in policies:
        # In an area that applies without a rule being named, no rule is known.
        sure = policy.policy in areas and (policy.policy not in hit or row["rule"] is not None)
        keys = [f"{policy.policy}#{rule.id}" for rule in policy.rules]
        rules.update({key: broken.get(key, "no") for key in keys if key in broken or sure})
    return LabelledRow(
        text=row["text"],
        lang=row["lang"],
        source="own",
        areas=areas,
        rules=rules,
        exemption=row.get("exemption"),
        about=f"{area}#{row['rule']}" if row["rule"] else None,
    )


def _looked_at(area: str, other: str) -> bool:
    """Whether the author of a row about ``area`` also knows that ``other`` does not apply.

    Areas of one group overlap (an insult may be hate or harassment), so only everyday rows, the area itself
    and areas of other groups are taken as known.
    """
    return area in ("none", other) or other.partition("/")[0] != area.partition("/")[0]


def labelled_rows(folder: Path, split: str, per_cell: int, seed: int) -> list[LabelledRow]:
    """A balanced sample of a split: at most ``per_cell`` rows of each source, language and answer.

    Raises:
        UsageError: the folder holds no such split.
    """
    path = folder / f"{split}.parquet"
    if not path.is_file():
        raise UsageError(
            f"no labelled data at `{path}`", "give the folder that holds train.parquet and dev.parquet"
        )
    label_map = yaml.safe_load((content_folder("finetune") / "label_map.yaml").read_text(encoding="utf-8"))
    cells: dict[tuple[str, ...], list[LabelledRow]] = {}
    for raw in _read(path):
        row = _map_row(raw, label_map)
        if row is not None:
            answers = tuple(f"{area}={value}" for area, value in sorted(row.areas.items()))
            cells.setdefault((row.source, row.lang, *answers), []).append(row)
    shuffle = random.Random(seed)
    sample = []
    for _, rows in sorted(cells.items()):
        shuffle.shuffle(rows)
        sample += rows[:per_cell]
    shuffle.shuffle(sample)
    return sample


def _read(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    columns = ["source", "lang", "text", "context", "violates", "labels", "areas_covered", "agreement"]
    for batch in pq.ParquetFile(path).iter_batches(columns=columns):
        yield from batch.to_pylist()


def _map_row(raw: Mapping[str, Any], label_map: Mapping[str, Any]) -> LabelledRow | None:
    """Map one raw row, or None when it answers none of our questions or its annotators disagreed."""
    disputed = raw["agreement"] is not None and raw["agreement"] < 0.66
    needs_context = raw["context"] not in (None, "", "[]")
    if raw["source"] in label_map["left_out"] or raw["violates"] is None or disputed or needs_context:
        return None
    labels, covered = set(raw["labels"]), set(raw["areas_covered"])
    areas: dict[str, bool] = {}
    rules: dict[str, str] = {}
    for area, spec in label_map["areas"].items():
        if labels & set(spec["unclear"]):
            continue
        harmless = not raw["violates"] and "any" in covered
        if not (covered & set(spec["covered_as"]) or harmless or labels & set(spec["labels"])):
            continue
        areas[area] = bool(labels & set(spec["labels"]))
        rules.update({f"{area}#{spec['rules'][label]}": "yes" for label in labels if label in spec["rules"]})
    return LabelledRow(raw["text"], raw["lang"], raw["source"], areas, rules) if areas else None
