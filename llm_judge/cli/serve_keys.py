"""`llm-judge serve keys`: make, list, revoke and rotate API keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.service.keys import Key, Scope

app = typer.Typer(help="Make, list, revoke and rotate API keys.", no_args_is_help=True)

KeysFile = Annotated[
    Path, typer.Option("--keys", metavar="FILE", help="The file of keys; it holds hashes, never the keys.")
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]
Days = Annotated[int, typer.Option(min=0, max=36_500, metavar="N", help="Days it is good for; 0 for ever.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    keys: KeysFile = Path("keys.json"),
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="`judge`, `policies`, `metrics`, `decisions` (read and replay what is kept), `reviews` or "
            "`admin` (reload, rollout); judge and policies if left out.",
        ),
    ] = None,
    days: Days = 365,
    per_minute: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Items it may have judged a minute.")
    ] = None,
    per_day: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Items it may have judged a UTC day.")
    ] = None,
) -> None:
    """Make a key, and print it once.

    llm-judge serve keys create backend --per-minute 600
    """
    from llm_judge.service.keys import create_key

    key, secret = create_key(keys, name, _scopes(scope), days or None, per_minute, per_day)
    _hand_out(key, secret)


@app.command("list")
def list_(
    keys: KeysFile = Path("keys.json"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show every key, without its secret."""
    from datetime import UTC, datetime

    from llm_judge.service.keys import read_keys

    found, now = read_keys(keys), datetime.now(UTC)
    if as_json:
        for key in found:
            typer.echo(key.model_dump_json(exclude={"sha256"}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("id", "name", "state", "scopes", "expires", "a minute", "a day"):
        table.add_column(column)
    for key in found:
        cells = (key.id, key.name, key.state(now), " ".join(key.scopes), _day(key), _number(key.per_minute))
        table.add_row(*(Text(cell) for cell in (*cells, _number(key.per_day))))
    Console().print(table)


@app.command("revoke")
def revoke(id: KeyId, keys: KeysFile = Path("keys.json")) -> None:
    """Make a key useless at once; a running service sees it at its next request."""
    from llm_judge.service.keys import revoke_key

    key = revoke_key(keys, id)
    typer.echo(f"key {key.id} ({key.name}) is revoked")


@app.command("rotate")
def rotate(
    id: KeyId,
    keys: KeysFile = Path("keys.json"),
    grace_hours: Annotated[
        int, typer.Option(min=0, max=8760, metavar="N", help="Hours the old key stays good.")
    ] = 24,
    days: Days = 365,
) -> None:
    """Make a key like an old one, print it once, and let the old one expire after a grace."""
    from datetime import timedelta

    from llm_judge.service.keys import rotate_key

    key, secret = rotate_key(keys, id, timedelta(hours=grace_hours), days or None)
    _hand_out(key, secret)
    typer.echo(f"key {id} stays good for {grace_hours} hours", err=True)


def _scopes(words: list[str] | None) -> list[Scope]:
    from llm_judge.service.keys import Scope

    known = [scope.value for scope in Scope]
    for word in words or ():
        if word not in known:
            raise UsageError(f"unknown --scope `{word}`", f"choose from {', '.join(known)}")
    return [Scope(word) for word in words or ("judge", "policies")]


def _hand_out(key: Key, secret: str) -> None:
    """The key alone on standard output, so that it can be piped to where secrets are kept."""
    typer.echo(secret)
    typer.echo(f"key {key.id} ({key.name}), good until {_day(key)}; it is not shown again", err=True)


def _day(key: Key) -> str:
    return "for ever" if key.expires is None else key.expires.strftime("%Y-%m-%d %H:%M UTC")


def _number(limit: int | None) -> str:
    return "any" if limit is None else str(limit)
