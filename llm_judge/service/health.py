"""Whether the service can judge: known contents are judged end to end, and must come out right.

Knows nothing about HTTP.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_judge.content.text import from_text
from llm_judge.engines.protocol import Engine
from llm_judge.errors import JudgeError, UsageError
from llm_judge.judge import Explain
from llm_judge.policy.model import Action
from llm_judge.record import DecisionRecord
from llm_judge.service.arms import ArmsInForce
from llm_judge.service.engine_queue import Ticket
from llm_judge.service.judges import JudgeKey
from llm_judge.service.problems import Problem
from llm_judge.service.revision import Revision
from llm_judge.verdict import Thresholds

_FAILURES = 3  # calls of the engine failing one after another that make the service not ready
_READABLE = 0.5  # share of areas that must be answered in the answer format


@dataclass(frozen=True, slots=True)
class Canary:
    """A text whose outcome is known; without an action, anything but ``remove`` is right."""

    text: str
    action: Action | None = None


PLAIN_CANARY = Canary("What a lovely morning for a walk by the lake.")


def read_canaries(path: Path) -> tuple[Canary, ...]:
    """Read canaries from JSONL: ``{"text": …, "action": …}`` a line.

    Raises:
        UsageError: the file cannot be read, is empty, or a line has another shape.
    """
    hint = 'write {"text": "…", "action": "remove"} a line'
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the canaries `{path}`: {error}") from None
    canaries = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            canaries.append(Canary(str(row["text"]), Action(row["action"])))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path}:{number}: this is no canary", hint) from None
    if not canaries:
        raise UsageError(f"`{path}` holds no canary", hint)
    return tuple(canaries)


class Health:
    """Checks canaries, and remembers how the last check and the last calls of the engine went.

    Args:
        arms: what is in force; its stable revision is what is checked.
        canaries: judged one after another.
        seconds: how long one may take.
    """

    def __init__(
        self, arms: ArmsInForce, canaries: Sequence[Canary] = (PLAIN_CANARY,), seconds: float = 120.0
    ) -> None:
        self._arms = arms
        self.canaries = tuple(canaries)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._wrong: str | None = "no canary was judged yet"

    @property
    def wrong(self) -> str | None:
        """Why the service cannot judge, None while it can."""
        return self._wrong

    def engine_answered(self, engine: Engine, error: JudgeError | None) -> None:
        """Take note of one call of an engine; from the thread of its queue."""
        if engine is not self._arms.now.stable.judges.engine:
            return  # a candidate that fails is answered for, see ``Judging``
        with self._lock:
            self._failures = 0 if error is None else self._failures + 1
            if error is not None and self._failures >= _FAILURES:
                self._wrong = f"the engine failed {self._failures} times in a row"

    def check(self) -> str | None:
        """Judge every canary; waits. Return what is wrong, None where all came out right."""
        with self._arms.in_hand() as arms:
            wrong = canaries_wrong(arms.stable, self.canaries, self._seconds)
        with self._lock:
            self._wrong = wrong
        return wrong

    def reloaded(self) -> None:
        """Another stable revision is in force, whose canaries came out right."""
        with self._lock:
            self._failures, self._wrong = 0, None


def canaries_wrong(revision: Revision, canaries: Sequence[Canary], seconds: float = 120.0) -> str | None:
    """Judge canaries by a revision; waits. Return what is wrong, None where all came out right.

    Args:
        revision: held by the caller; in force or not.
        canaries: judged one after another.
        seconds: how long one may take.
    """
    return next((told for each in canaries if (told := _check(revision, each, seconds))), None)


def _check(revision: Revision, canary: Canary, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    content = from_text(canary.text, "canary")
    ticket = Ticket(content, revision.judges, JudgeKey((), Explain.NEVER), None, deadline)
    revision.queue.put(ticket)
    try:
        record = ticket.answer.result(seconds)
    except TimeoutError:
        ticket.answer.cancel()
        return f"the canary took over {seconds:g} s"
    except Problem as problem:
        return f"the canary got no answer: {problem.message}"
    return _wrong_with(record, canary)


def _wrong_with(record: DecisionRecord, canary: Canary) -> str | None:
    floor = Thresholds().min_label_mass
    read = [area for area in record.areas if area.probability is not None and area.label_mass >= floor]
    if len(read) < _READABLE * len(record.areas):
        return f"the engine answered {len(read)} of {len(record.areas)} areas in the answer format"
    if canary.action is None and record.action is Action.REMOVE:
        return "a harmless canary was to be removed"
    if canary.action not in (None, record.action):
        return f"a canary came out as {record.action.value}"
    return None
