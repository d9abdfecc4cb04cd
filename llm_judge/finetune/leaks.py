"""Rows that must not be trained on: texts that are scored on too, and texts with contradictory labels.

Texts are compared as ``evals.near_duplicates`` writes them, without case and punctuation; near ones share
most of their shingles. Knows nothing about prompts.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.near_duplicates import ShingleIndex, normalised
from llm_judge.evals.policy_test import read_cases
from llm_judge.finetune.liveness_probes import load_probes, probe_folder
from llm_judge.finetune.rows import REVIEW
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.policy.model import Policy

LEAK = "equals a held-out text"
NEAR_LEAK = "nearly equals a held-out text"
CONTRADICTED = "equal texts with opposite labels"
NEARLY_CONTRADICTED = "nearly equal texts with opposite labels"
SPLIT_GROUP = "its group has held-out rows"
REPEATED = "the same text and labels again"

Reasons = Counter[tuple[str, str]]  # (reason, source) → rows left out
# Of the data folder: file → columns of words.
_HELD_OUT = {
    "dev.parquet": ("text",),
    "images_index_dev.parquet": ("text", "caption"),
    "audio_index_dev.parquet": ("transcript",),
}


def held_out_texts(data: Path, policies: Sequence[Policy], rows: Iterable[LabelledRow]) -> list[str]:
    """Everything that models are scored on, as it is compared, each once.

    Args:
        data: folder of the labelled sets, whose dev split is held out whole.
        policies: whose cases and examples are held out.
        rows: further rows, such as those of the dev split with the turns before them.

    Raises:
        UsageError: a file is damaged.
        PolicyError: a cases file is wrong.
    """
    found: dict[str, None] = {}
    for text in (*_of_data(data), *_of_project(policies), *(row.text for row in rows)):
        found.setdefault(normalised(text))
    return list(found)


def _of_data(data: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, columns in _HELD_OUT.items():
        path = data / name
        if not path.is_file():
            continue
        try:
            names = [column for column in columns if column in pq.read_schema(path).names]
            table = pq.read_table(path, columns=names)
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"`{path}` cannot be read as Parquet", "copy it again") from error
        for column in names:
            yield from (text for text in table.column(column).to_pylist() if text)


def _of_project(policies: Sequence[Policy]) -> Iterator[str]:
    """Cases and examples of the guidelines, items of demo and bench, and what adapters are probed with."""
    for cases in read_cases(policies).values():
        yield from (each.case.content for each in cases if each.case.content)
    for policy in policies:
        yield from (example.content for rule in policy.rules for example in rule.examples)
    for name in ("demo", "bench"):
        path = content_folder("evals") / name / "items.jsonl"
        items: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        yield from (item["text"] for item in items if item.get("text"))
    yield from load_probes(probe_folder()).texts


def without_groups(
    rows: Sequence[LabelledRow], held_out: Iterable[LabelledRow]
) -> tuple[list[LabelledRow], Reasons]:
    """Leave out rows of groups (contrast pairs, templates, threads) that have held-out rows."""
    held = {(row.source, row.group) for row in held_out if row.group and row.group != row.id}
    left = [row for row in rows if (row.source, row.group) in held]
    kept = [row for row in rows if (row.source, row.group) not in held]
    return kept, Counter((SPLIT_GROUP, row.source) for row in left)


def without_equals(rows: Sequence[LabelledRow], held_out: Iterable[str]) -> tuple[list[LabelledRow], Reasons]:
    """Leave out rows that equal a held-out text, contradict an equal one, or repeat one."""
    held = set(held_out)
    by_key: dict[str, list[LabelledRow]] = defaultdict(list)
    for row in rows:
        by_key[normalised(row.text)].append(row)
    kept: list[LabelledRow] = []
    reasons: Reasons = Counter()
    for key, members in by_key.items():
        if key in held:
            reason, left = LEAK, members
        elif any(opposite(one, other) for one in members for other in members):
            reason, left = CONTRADICTED, members
        else:
            reason = REPEATED
            first = {(str(sorted(m.areas.items())), str(sorted(m.rules.items()))): m for m in members[::-1]}
            kept += first.values()
            left = [member for member in members if not any(member is one for one in first.values())]
        reasons.update((reason, row.source) for row in left)
    return kept, reasons


def without_near(
    rows: Sequence[LabelledRow], held_out: Sequence[str], advance: Callable[[int], None] = lambda _: None
) -> tuple[list[LabelledRow], Reasons]:
    """Leave out rows that are nearly a held-out text, or nearly another row with opposite labels.

    Args:
        rows: none of them equal to another with opposite labels.
        held_out: as ``held_out_texts`` gives them.
        advance: called with the number of held-out texts compared.
    """
    if not rows:
        return [], Counter()
    keys = [normalised(row.text) for row in rows]
    index = ShingleIndex(held_out, keys)
    why: dict[int, str] = {}
    done = 0
    for i, j, _ in index.alike(0, 1):
        why[j] = NEAR_LEAK
        if i > done:
            advance(i - done)
            done = i
    for i, j, _ in index.alike(1, 1):
        if opposite(rows[i], rows[j]):
            for each in (i, j):
                why.setdefault(each, NEARLY_CONTRADICTED)
    advance(len(held_out) - done)
    reasons = Counter((reason, rows[number].source) for number, reason in why.items())
    return [row for number, row in enumerate(rows) if number not in why], reasons


def opposite(one: LabelledRow, other: LabelledRow) -> bool:
    """Whether two rows know the same and do not agree.

    Those of one group differ on purpose, and a reviewer contradicts others on purpose.
    """
    if REVIEW in (one.source, other.source):
        return False
    if (one.source, one.group or one.id) == (other.source, other.group or other.id):
        return False
    return any(other.areas.get(area, truth) != truth for area, truth in one.areas.items()) or any(
        other.rules.get(rule, answer) != answer for rule, answer in one.rules.items()
    )
