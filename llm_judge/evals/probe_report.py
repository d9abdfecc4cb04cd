"""Outcomes of probes → rates by rule and by probe, with intervals, as blocks of a report or plain data.

Knows nothing about how outcomes were read or how reports are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.evals.document import Block, Bullets, Grid, Heading, Paragraph, Words, plain
from llm_judge.evals.probe import UNREADABLE
from llm_judge.evals.probe_plan import PROBES
from llm_judge.evals.statistics import Share, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_judge.engines.protocol import EngineInfo
    from llm_judge.evals.probe import Outcome

_RATE_OF = {probe.name: probe.rate for probe in PROBES}


@dataclass(frozen=True, slots=True)
class Rates:
    """How well the policy text is followed.

    Attributes:
        inversion: answers that turned when the rule was negated; 1 is best.
        clause: answers that followed a clause or exemption that was added or removed; 1 is best.
        collateral: answers that moved although they must not; 0 is best.
    """

    inversion: Share
    clause: Share
    collateral: Share

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "inversion_flip": self.inversion.as_json(),
            "clause_follow": self.clause.as_json(),
            "collateral": self.collateral.as_json(),
        }


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """What a report needs: every outcome, and what they were made with."""

    outcomes: tuple[Outcome, ...]
    engine: EngineInfo
    policy_digest: str
    seed: int
    limit: int | None
    seconds: float


def rates(outcomes: Iterable[Outcome]) -> Rates:
    """Count outcomes; those that do not apply are left out."""
    found = [each for each in outcomes if each.applies]
    moves = {
        name: [o.moved for o in found if o.check.moves is not None and _RATE_OF[o.check.probe] == name]
        for name in ("inversion", "clause")
    }
    stays = [each.moved for each in found if each.check.moves is None]
    inversion, clause = (share(sum(moves[name]), len(moves[name])) for name in ("inversion", "clause"))
    return Rates(inversion, clause, share(sum(stays), len(stays)))


def probe_blocks(run: ProbeRun) -> list[Block]:
    """Totals, then each probe, then each rule."""
    engine, total = run.engine, rates(run.outcomes)
    adapter = engine.adapter_digest[:12] if engine.adapter_digest else "none"
    names = {each.check.probe for each in run.outcomes}
    used = [probe for probe in PROBES if probe.name in names]
    unread = sum(UNREADABLE in (o.before, o.after) for o in run.outcomes)
    return [
        Heading("Steerability", 1),
        Paragraph(
            plain(
                f"{engine.engine}:{engine.model} {engine.dtype}, model {engine.model_digest[:12]}, adapter "
                f"{adapter}, policy {run.policy_digest[:12]}, seed {run.seed}, {len(run.outcomes)} checks, "
                f"{unread} with an answer that could not be read, {run.seconds:.0f} s."
            )
        ),
        Bullets(
            (
                plain(f"inversion flip rate {total.inversion}"),
                plain(f"clause-follow rate {total.clause}"),
                plain(f"collateral rate {total.collateral}"),
            )
        ),
        Heading("By probe"),
        Bullets(tuple(plain(f"{p.name}: must move {p.must_move}; must stay {p.must_stay}") for p in used)),
        Grid(("probe", "moved as it must", "moved although it must not"), _probe_rows(run.outcomes)),
        Heading("By rule"),
        Grid(("rule", "inversion flip", "clause follow", "collateral"), _rule_rows(run.outcomes)),
        Paragraph((Words(_METHOD, "dim"),)),
    ]


def probe_json(run: ProbeRun) -> dict[str, Any]:
    """Everything as plain data, every check included."""
    engine = run.engine
    return {
        "engine": {
            "engine": engine.engine,
            "model": engine.model,
            "model_digest": engine.model_digest,
            "adapter_digest": engine.adapter_digest,
            "dtype": engine.dtype,
        },
        "policy_digest": run.policy_digest,
        "seed": run.seed,
        "limit": run.limit,
        "seconds": round(run.seconds, 1),
        "overall": rates(run.outcomes).as_json(),
        "probes": {
            probe.name: {
                "must_move": probe.must_move,
                "must_stay": probe.must_stay,
                "moved": _moved(run.outcomes, probe.name, True).as_json(),
                "moved_all_the_same": _moved(run.outcomes, probe.name, False).as_json(),
            }
            for probe in PROBES
        },
        "rules": {key: rates(found).as_json() for key, found in _by_rule(run.outcomes).items()},
        "checks": [_check_json(each) for each in run.outcomes],
    }


_METHOD = (
    "An answer is the likeliest label of one read. A check counts where the answer before the edit could "
    "move in the named way. Shares with Wilson score intervals, 95 %. Best: inversion and clause 100 %, "
    "collateral 0 %."
)


def _moved(outcomes: Iterable[Outcome], probe: str, must: bool) -> Share:
    found = [
        o.moved
        for o in outcomes
        if o.applies and o.check.probe == probe and (o.check.moves is not None) == must
    ]
    return share(sum(found), len(found))


def _probe_rows(outcomes: Sequence[Outcome]) -> tuple[tuple[str, ...], ...]:
    used = {each.check.probe for each in outcomes}
    return tuple(
        (
            probe.name,
            str(_moved(outcomes, probe.name, True)),
            str(_moved(outcomes, probe.name, False)),
        )
        for probe in PROBES
        if probe.name in used
    )


def _by_rule(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for each in outcomes:
        found.setdefault(f"{each.policy}#{each.check.rule}", []).append(each)
    return found


def _rule_rows(outcomes: Iterable[Outcome]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for key, found in _by_rule(outcomes).items():
        rate = rates(found)
        rows.append((key, str(rate.inversion), str(rate.clause), str(rate.collateral)))
    return tuple(rows)


def _check_json(outcome: Outcome) -> dict[str, Any]:
    check = outcome.check
    return {
        "probe": check.probe,
        "rule": f"{outcome.policy}#{check.rule}",
        "item": check.item,
        "must": "stay" if check.moves is None else "move",
        "before": outcome.before,
        "after": outcome.after,
        "applies": outcome.applies,
        "moved": outcome.moved,
    }
