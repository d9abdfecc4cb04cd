"""One text and what is known about it: answers to our questions, and what nobody looked at.

Rows written for this project (``finetune/rows/*.jsonl``) are read here; their author knew nearly everything
about them. A missing label is unknown, never "no". Knows nothing about the labelled sets' files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llm_judge.evals.outcomes import EvalItem
from llm_judge.policy.model import Policy
from llm_judge.resources import content_folder

OWN = "own"  # the source of rows written for this project
REVIEW = "review"  # the source of texts that reviewers corrected: they know better
_DEV_OF_256 = 32


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One text and what is known about it.

    Attributes:
        text, lang, source: as in the set it comes from.
        areas: policy id → whether a rule of it applies; absent where unknown.
        rules: ``policy#rule`` → ``yes``, ``no`` or ``except``; absent where unknown.
        exemption: id of the exemption that applies, for ``except``.
        about: key of the rule an own row was written about, as a hit, an exemption or a near miss.
        id: as in the set; of an own row, made from its digest.
        group: rows of one group (contrast pair, template, thread) differ on purpose.
    """

    text: str
    lang: str
    source: str
    areas: Mapping[str, bool]
    rules: Mapping[str, str] = field(default_factory=dict)
    exemption: str | None = None
    about: str | None = None
    id: str = ""
    group: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, as a content and a decision record have it."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def harmless(self) -> bool:
        """Whether no area is known to apply."""
        return not any(self.areas.values())

    def as_item(self) -> EvalItem:
        """The row as an item of the harness, so that its families can change the words."""
        return EvalItem(
            id=self.id or self.digest,
            suite="",
            source=self.source,
            text=self.text,
            media=None,
            modality="text",
            lang=self.lang,
            slices=(),
            group=self.group or self.id,
            areas=self.areas,
            rules=self.rules,
            harmful=None,
        )


def own_rows(policies: Sequence[Policy], split: str) -> list[LabelledRow]:
    """Rows written for this project, with what their author knew about ``policies``.

    One row in eight, by digest of its text, is ``dev``; the others are ``train``.
    """
    found = []
    for path in sorted((content_folder("finetune") / "rows").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = _own_row(json.loads(line), policies)
            held_out = bytes.fromhex(row.digest)[0] < _DEV_OF_256
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
    found = LabelledRow(
        text=row["text"],
        lang=row["lang"],
        source=OWN,
        areas=areas,
        rules=rules,
        exemption=row.get("exemption"),
        about=f"{area}#{row['rule']}" if row["rule"] else None,
    )
    return replace(found, id=f"{OWN}:{found.digest[:16]}", group=OWN)


def _looked_at(area: str, other: str) -> bool:
    """Whether the author of a row about ``area`` also knows that ``other`` does not apply.

    Areas of one group overlap (an insult may be hate or harassment), so only everyday rows, the area itself
    and areas of other groups are taken as known.
    """
    return area in ("none", other) or other.partition("/")[0] != area.partition("/")[0]
