"""What the service adds to the time of its engine, request by request.

A request's *overhead* is its time at the client less the time that the engine was in a call, for this
request or for the ones before it, from when it was sent until its own last call ended. So waiting for a busy
engine is the engine's time; everything else is ours: HTTP, parsing, prompts, verdicts, the record, the
answer, and every pause of the engine while somebody waits. Client, service and engine read the same clock
(``time.monotonic``, which all processes of a Linux machine share).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_judge.reliability.traffic import Sent

_ITEM = re.compile(r"[a-z]+-\d{6}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the engine: when, in seconds, and the items it was about."""

    began: float
    ended: float
    items: frozenset[str]


@dataclass(frozen=True, slots=True)
class Spent:
    """The seconds of one request: all of them, and those that were not the engine's."""

    whole: float
    overhead: float


def calls_in(log: Path) -> list[Call]:
    """Return the calls that a scripted engine noted, in order; a last line that is cut is left out."""
    calls = []
    for line in log.read_text("utf-8").splitlines():
        try:
            noted = json.loads(line)
        except ValueError:
            continue
        items = {word for body in noted["bodies"] for word in _ITEM.findall(body)}
        calls.append(Call(noted["began"], noted["ended"], frozenset(items)))
    return sorted(calls, key=lambda call: call.began)


def spent(sent: Iterable[Sent], calls: Sequence[Call]) -> list[Spent]:
    """Return what each decided request spent.

    Args:
        sent: requests; those without a decision, or that the log has no call for, are left out.
        calls: of the engine, in order, one after another.
    """
    last = {item: call.ended for call in calls for item in call.items}
    found = []
    for each in sent:
        if each.answer is None or each.answer.status != 200 or each.id not in last:
            continue
        began, until = each.answer.sent, last[each.id]
        busy = sum(
            max(0.0, min(call.ended, until) - max(call.began, began))
            for call in calls
            if call.ended > began and call.began < until
        )
        found.append(Spent(each.answer.seconds, each.answer.seconds - busy))
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share is not above: inverse of the empirical distribution."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(values: Sequence[float], *shares: float) -> list[float]:
    """Quantiles of seconds, in milliseconds."""
    return [round(quantile(values, share) * 1000, 1) for share in shares]
