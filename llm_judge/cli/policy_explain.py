"""`llm-judge policy explain`: what a diagnostic code checks, why, and how to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.policy.codes import Code


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A code such as `P201`; all of them if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, or a list of them.")
    ] = False,
) -> None:
    """Explain a code that `llm-judge policy check` prints, with an example and its fix.

    llm-judge policy explain P201

    llm-judge policy explain
    """
    from llm_judge.policy.codes import CODES

    if code is None:
        _list(list(CODES.values()), as_json)
        return
    found = CODES.get(code.strip().upper())
    if found is None:
        raise UsageError(f"there is no code `{code}`", _meant(code, list(CODES)))
    if as_json:
        typer.echo(json.dumps(_as_data(found) | {"page": found.page}, ensure_ascii=True))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(found.page))


def _meant(code: str, known: list[str]) -> str:
    from llm_judge.policy.shape import did_you_mean

    close = did_you_mean(code, known)
    return f"did you mean `{close}`?" if close else "`llm-judge policy explain` lists all codes"


def _list(codes: list[Code], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_as_data(code) for code in codes], ensure_ascii=True))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("code", "level", "what is wrong"):
        table.add_column(head)
    for code in codes:
        table.add_row(code.id, code.level.value, code.title)
    Console().print(table)


def _as_data(code: Code) -> dict[str, str | bool]:
    return {
        "code": code.id,
        "level": code.level.value,
        "title": code.title,
        "can_be_turned_off": not code.fixed,
    }
