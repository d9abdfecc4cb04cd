"""What several commands ask for in the same words: policies, engine, limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_judge.decision import Gap
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
Overlays = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay",
        metavar="NAME|FILE",
        help="Lay this overlay (`age_teen`, `market_de`, `surface_live` or a file) over the policies; "
        "give it several times for several, later ones over earlier ones.",
    ),
]
BundleFolder = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FOLDER",
        help="Judge by the bundle in force in this folder (see `llm-judge policy bundle`), policies, "
        "overlays and prompts alike.",
    ),
]
EngineSpec = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        metavar="ENGINE",
        help="`local` (packaged model with our adapter), `local:base` (without it), "
        "`local:FOLDER` (another adapter), `local:NAME` or `local:current` (an adapter of the registry), "
        "`vllm:MODEL@URL` (a model behind vLLM servers, see docs/vllm.md).",
    ),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Thresholds for action ladders and for what fires, from `llm-judge eval calibrate`. Refused "
        "unless made for the same policies, prompt, model and adapter.",
    ),
]

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        envvar="LLM_JUDGE_DATA",
        help="Folder of the labelled sets (train.parquet, dev.parquet, …); they are not part of the project.",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Which items a sample draws.")]
Draws = Annotated[int, typer.Option(min=0, metavar="N", help="Resamples behind each interval.")]


def read_policies(
    paths: Sequence[Path] | None, only: Sequence[str] | None, overlays: Sequence[str] | None = None
) -> tuple[Policy, ...]:
    """Load the policies a command was asked for; raises ``PolicyError`` or ``UsageError``."""
    from llm_judge.policy.load import load_policies, select
    from llm_judge.policy.overlay import load_overlays
    from llm_judge.resources import content_folder

    shipped = content_folder("policies")
    policies = load_policies(list(paths) if paths else [shipped])
    if overlays:
        folders = [path for path in paths or () if path.is_dir()]
        policies, _ = load_overlays(policies, overlays, [*folders, shipped])
    return select(policies, list(only)) if only else policies


def read_guidelines(
    paths: Sequence[Path] | None,
    only: Sequence[str] | None,
    overlays: Sequence[str] | None,
    bundle: Path | None,
) -> tuple[tuple[Policy, ...], dict[str, str] | None]:
    """Load policies from files or from the bundle in force.

    Returns:
        The policies, and the bundle's prompt templates; None for the shipped ones.

    Raises:
        PolicyError, UsageError: as the parts do; ``--bundle`` does not go with ``--policies``.
    """
    if bundle is None:
        return read_policies(paths, only, overlays), None
    if paths:
        raise UsageError("--bundle does not go with --policies", "a bundle brings its own policies")
    from llm_judge.policy.bundle_content import policies_of, prompts_of
    from llm_judge.policy.bundle_store import BundleStore
    from llm_judge.policy.load import select

    in_force = BundleStore(bundle).in_force()
    policies = policies_of(in_force, overlays or ())
    return select(policies, list(only)) if only else policies, prompts_of(in_force)


def warn(line: str) -> None:
    """Say on stderr what is wrong, though it stops nothing."""
    from llm_judge.report import printable

    typer.echo(f"warning: {printable(line)}", err=True)


def warn_of_gaps(gaps: Iterable[Gap]) -> None:
    """Say on stderr, in one line, which thresholds that ladders name a calibration does not give."""
    from llm_judge.report import gaps_line

    if line := gaps_line(gaps):
        warn(line)
