"""What several commands ask for in the same words: policies, engine, limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.policy.model import Policy

Policies = Annotated[
    list[Path] | None,
    typer.Option(
        "--policies",
        "-p",
        metavar="PATH",
        help="Policy file or folder; give it several times for several. The shipped guidelines if left out.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="ID", help="Judge by this policy (safety/hate) or rule (safety/hate#HS1) only."
    ),
]
EngineSpec = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        metavar="ENGINE",
        help="`local` (packaged model with our adapter), `local:base` (without it), "
        "`local:FOLDER` (another adapter).",
    ),
]


def read_policies(paths: Sequence[Path] | None, only: Sequence[str] | None) -> tuple[Policy, ...]:
    """Load the policies a command was asked for; raises ``PolicyError`` or ``UsageError``."""
    from llm_judge.policy.load import load_policies, select
    from llm_judge.resources import content_folder

    policies = load_policies(list(paths) if paths else [content_folder("policies")])
    return select(policies, list(only)) if only else policies
