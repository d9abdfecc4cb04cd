"""What the commands of the record store ask for in the same words, and the store they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.extras import require_extra
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from llm_judge.store.database import Database
    from llm_judge.store.decision_store import DecisionStore
    from llm_judge.store.lookups import Filter

WAIT_S = 10.0
_NEEDED = ("sqlalchemy", "alembic")

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="FILE|URL",
        envvar="LLM_JUDGE_STORE",
        show_envvar=False,
        help="SQLite file, or postgresql://user@host/name (password in PGPASSWORD or ~/.pgpass); "
        "LLM_JUDGE_STORE where left out.",
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", min=0.0, max=3600.0, metavar="SECONDS", help="Longest wait for a lock or a lost server."
    ),
]
DecisionId = Annotated[str, typer.Argument(metavar="DECISION", help="Decision id, as a record names it.")]
ActionName = Annotated[
    str | None, typer.Option("--action", metavar="NAME", help="Only these: `remove`, `review`, …")
]
PolicyId = Annotated[
    str | None,
    typer.Option("--policy", metavar="ID", help="Only where a rule of it said anything but clear."),
]
RuleId = Annotated[
    str | None,
    typer.Option("--rule", metavar="POLICY#RULE", help="Only where this rule said anything but clear."),
]
OutcomeName = Annotated[
    str | None,
    typer.Option(
        "--outcome", metavar="NAME", help="What they said: `violates`, `exempt`, `abstain` or `unreadable`."
    ),
]
ItemId = Annotated[str | None, typer.Option("--item", metavar="ID", help="Only decisions on this item.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Decided at this time or later: 2026-05-01, ISO 8601, UTC."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Decided before this time.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def require_store() -> None:
    """Raise ``UsageError`` where the packages of the store are not installed."""
    require_extra("the record store", "store", _NEEDED)


def open_store(
    where: str | None, wait_s: float, *, create: bool = False, store_content: bool = False
) -> DecisionStore:
    """Open the store a command was told; raises as ``DecisionStore`` does."""
    from llm_judge.store.decision_store import DecisionStore

    return DecisionStore(named(where), wait_s=wait_s, create=create, store_content=store_content)


def open_database(where: str | None, wait_s: float) -> Database:
    """The database alone, whatever its tables."""
    from llm_judge.store.database import Database

    return Database(named(where), wait_s=wait_s)


def named(where: str | None) -> str:
    """The store a command was told; raises ``UsageError`` where it was not."""
    if where is None:
        raise UsageError("no record store is named", "give --store FILE, or set LLM_JUDGE_STORE")
    return where


def filter_of(
    *,
    action: str | None = None,
    policy: str | None = None,
    rule: str | None = None,
    outcome: str | None = None,
    decision: str | None = None,
    item: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Filter:
    """What a command was asked for; raises ``UsageError`` where a word or time is not known."""
    from llm_judge.policy.model import Action
    from llm_judge.store.lookups import Filter
    from llm_judge.verdict import Outcome

    if rule is not None and "#" not in rule:
        raise UsageError(f"`{rule}` is not a rule", "name it with its policy: safety/hate#HS1")
    if outcome == Outcome.CLEAR.value:
        raise UsageError("decisions are not looked up by what was clear", "leave --outcome out")
    return Filter(
        action=None if action is None else _one_of(Action, action, "action"),
        policy=policy,
        rule=rule,
        outcome=None if outcome is None else _one_of(Outcome, outcome, "outcome").value,
        decision=decision,
        item=item,
        since=_time(since, "--since"),
        until=_time(until, "--until"),
    )


def _one_of(kind: Any, name: str, what: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        raise UsageError(
            f"unknown {what} `{name}`", f"choose from {', '.join(each.value for each in kind)}"
        ) from None


def _time(text: str | None, option: str) -> datetime | None:
    from llm_judge.store.record_document import time_of

    if text is None:
        return None
    try:
        return time_of(text)
    except ValueError:
        raise UsageError(
            f"{option} `{text}` is not a time", "write 2026-05-01 or 2026-05-01T12:00:00+00:00"
        ) from None
