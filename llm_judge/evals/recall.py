"""What a judge answered about a content before, in place of asking again.

An answer is found again only where everything it came from is equal: the bytes of the item, and of the
judge its policies, prompt, settings, calibration, model, adapter, number type, libraries and code. Whether
other policies were asked too does not matter, since prompts hold every policy whatever is asked; the few
explanations that an item gets do depend on it, so answers with explanations count for the same policies
only. Numbers of a bf16 model vary by about 0.001 with what is read in the same batch; an answer keeps those
of its own batch. Holds no words of an item: evidence keeps its place and loses its quote, and rationales are
left out. Knows nothing about files or metrics.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from llm_judge.evals.answer_cache import Row
from llm_judge.evals.versions import code_digest, versions
from llm_judge.judge import Explain
from llm_judge.verdict import AreaAnswer, Evidence, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_judge.evals.answer_cache import AnswerCache
    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.judge import Judge
    from llm_judge.record import DecisionRecord

Asked = frozenset[str] | None  # policies; None for all of the judge


@dataclass(frozen=True, slots=True)
class Answered:
    """All that an outcome is made of.

    Attributes:
        sha256: of the bytes that were judged.
        areas: in policy order, of those asked that apply to this kind of content.
        verdicts: in policy order; None where areas only were asked.
        ms, tokens: what it cost when it was judged; the sum of shares where policies were asked apart.
    """

    sha256: str
    areas: tuple[AreaAnswer, ...]
    verdicts: tuple[Verdict, ...] | None
    ms: float
    tokens: float


class Recall:
    """Finds and keeps the answers of one judge.

    Args:
        judge: that would be asked.
        cache: where answers are kept.
        rules: whether rules are asked, or areas only; answers with rules serve both.
    """

    def __init__(self, judge: Judge, cache: AnswerCache, *, rules: bool) -> None:
        self._judge = judge
        self._cache = cache
        self._rules = rules
        self._policies = [policy.policy for policy in judge.policies]
        self._digest = functools.cache(self._digest_of)

    def find(self, item: EvalItem, sha256: str, asked: Asked) -> Answered | None:
        """Return what was answered about every policy asked, or None where anything is missing."""
        known = self._cache.find(self._digest(asked), content_key(item, sha256))
        wanted = self._asked(asked)
        if not all(name in known for name in wanted):
            return None
        try:
            parts = [_from_json(known[name]) for name in wanted]
        except (ValueError, KeyError, TypeError):  # written by something else: as good as nothing
            return None
        verdicts = [part.verdicts for part in parts if part.verdicts is not None]
        if self._rules and len(verdicts) < len(parts):
            return None
        return Answered(
            sha256,
            tuple(area for part in parts for area in part.areas),
            tuple(verdict for some in verdicts for verdict in some) if self._rules else None,
            sum(part.ms for part in parts),
            sum(part.tokens for part in parts),
        )

    def keep(self, answered: Iterable[tuple[EvalItem, Asked, Answered]]) -> None:
        """Keep what was answered about each item, all or nothing; never an error."""
        rows = []
        for item, asked, found in answered:
            digest, content, names = self._digest(asked), content_key(item, found.sha256), self._asked(asked)
            for name in names:
                part = _part(found, name, len(names))
                rows.append(Row(digest, content, name, part.verdicts is not None, _to_json(part)))
        self._cache.keep(rows)

    def _asked(self, asked: Asked) -> list[str]:
        return [name for name in self._policies if asked is None or name in asked]

    def _digest_of(self, asked: Asked) -> bytes:
        settings = self._judge.settings
        explained = None
        if self._rules and settings.explain is not Explain.NEVER:
            explained = [settings.explain.value, settings.explain_at_most, self._asked(asked)]
        # A scripted engine has no weights to name: its script is what answers.
        script = getattr(self._judge.engine, "script_digest", None)
        who = [self._judge.run.as_json(), script, versions(), code_digest(), explained]
        return hashlib.sha256(json.dumps(who, sort_keys=True).encode()).digest()


def recall_of(judge: Judge, cache: AnswerCache | None, *, rules: bool) -> Recall | None:
    """Return what finds answers of a judge; None without a cache, or where the model has no digest."""
    if cache is None or len(judge.run.engine.model_digest) != _HEX_DIGITS:
        return None
    return Recall(judge, cache, rules=rules)


def record_of(judge: Judge, item: EvalItem, found: Answered, asked: Asked) -> DecisionRecord:
    """Return the record of an item from answers with rules; code decides on them anew."""
    told = {"id": item.id, "sha256": found.sha256}
    return judge.record(told, found.verdicts or (), found.areas, {"when judged": found.ms}, asked)


def answered_in(record: DecisionRecord, tokens: float) -> Answered:
    """Return what a record without error says was answered, and what that cost."""
    ms = sum(record.timings_ms.values())
    return Answered(str(record.item["sha256"]), record.areas, record.verdicts, ms, tokens)


def content_key(item: EvalItem, sha256: str) -> bytes:
    """Return what an item's bytes are called in a cache.

    The same bytes may be a text or a file; of a file's name only the suffix is ever looked at.
    """
    form = "text" if item.text is not None else PurePath(item.media or "").suffix.lower()
    return hashlib.sha256(f"{form}\0{sha256}".encode()).digest()


_HEX_DIGITS = 64  # of a SHA-256
_DEFAULTS = {field.name: field.default for field in fields(Verdict) if field.default is not MISSING}


def _part(found: Answered, policy: str, asked: int) -> Answered:
    """The answers by one policy, with its share of the cost."""
    verdicts = None
    if found.verdicts is not None:
        verdicts = tuple(each for each in found.verdicts if each.rule.partition("#")[0] == policy)
    areas = tuple(area for area in found.areas if area.area == policy)
    return Answered(found.sha256, areas, verdicts, found.ms / asked, found.tokens / asked)


def _to_json(part: Answered) -> str:
    data = {
        "areas": [asdict(area) for area in part.areas],
        "verdicts": None if part.verdicts is None else [_bare(verdict) for verdict in part.verdicts],
        "ms": part.ms,
        "tokens": part.tokens,
    }
    return json.dumps(data, separators=(",", ":"))


def _bare(verdict: Verdict) -> dict[str, Any]:
    """A verdict without words of the item, and without what is as it mostly is."""
    data = {name: value for name, value in asdict(verdict).items() if value != _DEFAULTS.get(name, MISSING)}
    data.pop("rationale", None)
    if verdict.evidence:
        data["evidence"] = [{**piece, "quote": ""} for piece in data["evidence"]]
    return data


def _from_json(text: str) -> Answered:
    data = json.loads(text)
    verdicts = data["verdicts"]
    return Answered(
        "",
        tuple(AreaAnswer(**area) for area in data["areas"]),
        None if verdicts is None else tuple(_verdict(each) for each in verdicts),
        float(data["ms"]),
        float(data["tokens"]),
    )


def _verdict(data: Mapping[str, Any]) -> Verdict:
    pieces = data.get("evidence", ())
    evidence = tuple(Evidence(**{**piece, "box": piece["box"] and tuple(piece["box"])}) for piece in pieces)
    return Verdict(**{**data, "outcome": Outcome(data["outcome"]), "evidence": evidence})
