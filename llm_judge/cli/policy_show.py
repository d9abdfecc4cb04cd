"""`llm-judge policy show`: one policy as it is in force, with the origin of every line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import Overlays, Policies, read_policies

if TYPE_CHECKING:
    from llm_judge.diagnostics import Span
    from llm_judge.policy.model import Policy
    from llm_judge.policy.origins import Line

_COLUMN = 64  # where origins start, unless the line is longer


def show(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy id, such as safety/hate.")],
    policies: Policies = None,
    overlays: Overlays = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a policy as it is in force, and behind every line the file and line it was written at.

    The output is a policy file of its own: the origins are comments.

      llm-judge policy show regulated/alcohol --overlay age_teen

      llm-judge policy show safety/hate --overlay market_de --overlay surface_live --json
    """
    import json

    from llm_judge.policy.origins import policy_lines

    (chosen,) = read_policies(policies, [policy], overlays)
    lines = policy_lines(chosen)
    typer.echo(json.dumps(_as_json(chosen, lines), ensure_ascii=False) if as_json else _as_text(lines))


def _as_text(lines: tuple[Line, ...]) -> str:
    return "\n".join(
        f"{line.text:<{_COLUMN}} # from {_place(line.origin)}" if line.origin else line.text for line in lines
    )


def _as_json(policy: Policy, lines: tuple[Line, ...]) -> dict[str, object]:
    return {
        "policy": policy.policy,
        "version": policy.version,
        "overlays": list(policy.overlays),
        "merged": policy.model_dump(mode="json", by_alias=True),
        "lines": [
            {
                "text": line.text,
                "file": _shown(line.origin.file) if line.origin else None,
                "line": line.origin.line if line.origin else None,
            }
            for line in lines
        ],
    }


def _place(span: Span) -> str:
    return f"{_shown(span.file)}:{span.line}"


def _shown(file: str) -> str:
    """Return a path as a person would write it: from here, or from the folder of the guidelines."""
    from llm_judge.resources import content_folder

    path = Path(file).absolute()
    for start in (Path.cwd(), content_folder("policies").parent):
        if path.is_relative_to(start):
            return path.relative_to(start).as_posix()
    return file
