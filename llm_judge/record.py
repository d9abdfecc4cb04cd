"""DecisionRecord: everything needed to trust, replay or contest one decision, and the file it goes to.

One JSON object a line, append-only. A line is written whole and flushed, so a killed process leaves at
most one broken last line, which resuming removes. Content is hashed; quotes are left out unless the
operator keeps them. Knows nothing about how decisions are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_judge.content.content import Content
from llm_judge.decision import Decision
from llm_judge.durable import AppendFile
from llm_judge.engines.protocol import EngineInfo
from llm_judge.errors import JudgeError, UsageError
from llm_judge.policy.model import Action
from llm_judge.verdict import AreaAnswer, Verdict

RECORD_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What must be equal for two records to be comparable: the run, not the item.

    ``calibration_digest`` is None without a calibration, and then not written.
    """

    policy_digest: str
    prompt_digest: str
    settings_digest: str
    engine: EngineInfo
    calibration_digest: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data, in the order it is written."""
        calibration = {"calibration_digest": self.calibration_digest} if self.calibration_digest else {}
        return {
            "policy_digest": self.policy_digest,
            "prompt_digest": self.prompt_digest,
            **calibration,
            "settings_digest": self.settings_digest,
            **asdict(self.engine),
        }


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One item's outcome: a decision, or an error with the action that ``on_error`` gives it.

    Attributes:
        decision_id: digest of item id, content and run: the same question has the same id.
        item: id, digest, modality, source, language and coverage of what was judged.
        action: what to do; present for errors too, so that no reader mistakes one for ``allow``.
        decision: the decision, None for an error.
        verdicts: one per rule that applies to this kind of content.
        policies: ids and versions, for people; the digest in ``run`` is what counts.
        timings_ms: milliseconds by stage, this item's share of its batch.
        areas: what was answered about each area, in policy order; what decided which rules were asked.
        error: type, message and hint of what went wrong, None for a decision.
    """

    decision_id: str
    created_at: str
    item: Mapping[str, Any]
    action: Action
    decision: Decision | None
    verdicts: tuple[Verdict, ...]
    policies: Mapping[str, str]
    run: RunIdentity
    timings_ms: Mapping[str, float]
    error: Mapping[str, str | None] | None = None
    areas: tuple[AreaAnswer, ...] = ()

    def as_json(self, *, keep_quotes: bool = True) -> dict[str, Any]:
        """Plain data. Without ``keep_quotes`` evidence keeps its place but not the words."""
        verdicts = [_verdict_json(verdict, keep_quotes) for verdict in self.verdicts]
        decision = asdict(self.decision) if self.decision else None
        return {
            "schema": RECORD_SCHEMA,
            "decision_id": self.decision_id,
            "created_at": self.created_at,
            "item": dict(self.item),
            "action": self.action.value,
            "decision": decision,
            "areas": [_rounded(_shallow(area, _OF_AREAS)) for area in self.areas],
            "verdicts": verdicts,
            "policies": dict(self.policies),
            "run": self.run.as_json(),
            "timings_ms": {name: round(value, 1) for name, value in self.timings_ms.items()},
            "error": dict(self.error) if self.error else None,
        }


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def item_json(content: Content) -> dict[str, Any]:
    """What a record keeps of a content: everything but the content."""
    return {
        "id": content.id,
        "sha256": content.sha256,
        "modality": content.modality.value,
        "source": content.source,
        "language": content.language,
        "segments": len(content.segments),
        "facts": list(content.facts),
        "coverage": asdict(content.coverage),
    }


def error_json(error: JudgeError) -> dict[str, str | None]:
    """What a record keeps of an error."""
    return {"type": type(error).__name__, "message": error.message, "hint": error.hint}


def _verdict_json(verdict: Verdict, keep_quotes: bool) -> dict[str, Any]:
    data = _rounded(_shallow(verdict, _OF_VERDICTS))
    data["evidence"] = tuple(asdict(piece) for piece in verdict.evidence)
    if not keep_quotes:
        data["rationale"] = None
        for piece in data["evidence"]:
            piece["quote"] = None
    return data


_OF_AREAS = tuple(field.name for field in fields(AreaAnswer))
_OF_VERDICTS = tuple(field.name for field in fields(Verdict))


def _shallow(instance: AreaAnswer | Verdict, names: tuple[str, ...]) -> dict[str, Any]:
    """What ``asdict`` does, without looking for more in every value: a record has 150 of them."""
    return {name: getattr(instance, name) for name in names}


def _rounded(data: dict[str, Any]) -> dict[str, Any]:
    """Probabilities to six decimals."""
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in data.items()}


class RecordFile:
    """Appends records to a JSONL file.

    Use as a context manager. ``done`` holds the item ids already in the file.

    Raises:
        UsageError: the file exists and ``resume`` is off, or was made by another run.
        OutputError: it cannot be opened or written, the disk is full, or another process holds it.
    """

    def __init__(
        self, path: Path, run: RunIdentity, *, resume: bool = False, keep_quotes: bool = False
    ) -> None:
        self.path = path
        self.done: set[str] = set()
        self._run = run.as_json()
        self._keep_quotes = keep_quotes
        self._written = 0
        self._file = AppendFile(path)
        try:
            # Only now: until the file is locked, another process may still be filling it.
            if self._file.size:
                if not resume:
                    raise UsageError(
                        f"`{path}` already holds records", "add --resume to go on, or choose another --out"
                    )
                self._read_back()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: DecisionRecord) -> None:
        """Write one record whole, or leave the file as it was and raise ``OutputError``."""
        data = record.as_json(keep_quotes=self._keep_quotes)
        line = (json.dumps(data, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        self._file.append(line, f"after {self._written} new records")
        self._written += 1
        self.done.add(str(record.item["id"]))

    def sync(self) -> None:
        """Ask the disk to keep what was written, so that a power cut loses at most one batch."""
        self._file.sync()

    def _read_back(self) -> None:
        """Note what is done, and cut off a last line that a killed process left unfinished."""
        good_end = 0
        for line, end in _lines_with_ends(self.path):
            data = _parse(line)
            if data is None:
                if end is not None:
                    raise UsageError(
                        f"`{self.path}` holds a line that is not a record, at byte {good_end}",
                        "choose another --out; this file was not written by llm-judge, or was edited",
                    )
                break
            if end is None:
                break
            self._check_same_run(data)
            self.done.add(str(data["item"]["id"]))
            good_end = end
        self._file.cut(good_end)

    def _check_same_run(self, data: Mapping[str, Any]) -> None:
        for name, value in self._run.items():
            if data["run"].get(name) != value:
                raise UsageError(
                    f"`{self.path}` was made with another {name.replace('_', ' ')}",
                    "records of two runs do not mix: choose another --out",
                )


def _lines_with_ends(path: Path) -> Iterator[tuple[bytes, int | None]]:
    """Yield each line and the offset after it, None for a last line without a line break."""
    position = 0
    with path.open("rb") as handle:
        for line in handle:
            position += len(line)
            yield line, position if line.endswith(b"\n") else None


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    good = isinstance(data, dict) and isinstance(data.get("run"), dict) and isinstance(data.get("item"), dict)
    return data if good and "id" in data["item"] else None
