"""What `llm-judge serve` is told about a revision on trial, and how the two revisions are opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import warn_of_gaps
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_judge.engines.protocol import Engine
    from llm_judge.service.judges import Judges
    from llm_judge.service.rollout.rollout import RolloutPlan
    from llm_judge.service.rollout.source import Source

ShadowPolicies = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        help="Policies of a candidate: it judges too, after each answer and without a say, and the two are "
        "compared. What is not named of a candidate is as for the answers.",
    ),
]
ShadowBundle = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="The bundle in force of a candidate.")
]
ShadowEngine = Annotated[
    str | None, typer.Option(metavar="ENGINE", help="An engine of the candidate's own, as for --engine.")
]
ShadowCalibration = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Thresholds of the candidate, as for --calibration.")
]
ShadowLog = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keeps each comparison as a JSON line, for `rollout report`."),
]
CandidateShare = Annotated[
    float,
    typer.Option(min=0, max=100, metavar="PERCENT", help="Share of the items that the candidate answers."),
]
CandidateSalt = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Decides which items; the candidate's digests if left out."),
]
RolloutState = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keeps the share that was last set, so that a rollback outlives the process; it comes before "
        "--candidate-share while the candidate is the same.",
    ),
]
RollbackAt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=NUMBER",
        help="Sets the share to 0 when the candidate passes this: `engine_errors` (0.05 if left out), "
        "`undecided`, `undecided_over` (above the stable revision), `p95_ms`, `disagreement`; `minimum` (100)"
        " and `window` (1000) are the items looked at; `engine_errors=off` does not look.",
    ),
]

DriftReference = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Measures the drift of answers against what `drift reference` made."),
]
DriftWindow = Annotated[
    int, typer.Option(min=100, max=100_000, metavar="N", help="Last answers whose drift is measured.")
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the options say about a revision on trial."""

    policies: list[Path] | None
    bundle: Path | None
    engine: str | None
    calibration: Path | None
    log: Path | None
    share: float
    salt: str | None
    state: Path | None
    rollback_at: list[str] | None

    @property
    def wanted(self) -> bool:
        """Whether there is one at all."""
        return bool(self.policies or self.bundle or self.engine or self.calibration)

    def check(self) -> None:
        """Raise ``UsageError`` where options do not go together."""
        if not self.wanted and (self.log or self.share or self.state or self.rollback_at):
            raise UsageError(
                "--shadow-log, --candidate-share, --rollout-state and --rollback-at need a candidate",
                "name one with --shadow-policies, --shadow-bundle or --shadow-engine",
            )
        if self.policies and self.bundle:
            raise UsageError(
                "--shadow-bundle does not go with --shadow-policies", "a bundle brings its own policies"
            )


def open_revisions(
    stable: Source, candidate: Candidate, start: Callable[[str], Engine]
) -> tuple[Judges, Judges | None, RolloutPlan]:
    """Open what answers, and what is tried beside it.

    Args:
        stable: what the answers' options name.
        candidate: what is named beside.
        start: opens an engine by its name.

    Raises:
        JudgeError: one of them cannot be opened; files are looked at before a model is loaded.
    """
    from llm_judge.service.arms import Arm
    from llm_judge.service.judges import Judges
    from llm_judge.service.rollout.comparison_file import ComparisonFile
    from llm_judge.service.rollout.guard import read_limits
    from llm_judge.service.rollout.rollout import RolloutPlan

    candidate.check()
    limits = read_limits(candidate.rollback_at)
    guidelines, settings = stable.guidelines(), stable.settings()
    tried = _source(stable, candidate) if candidate.wanted else None
    others = None if tried is None else (tried.guidelines(), tried.settings())
    file = None if candidate.log is None else ComparisonFile(candidate.log)
    judges = Judges(guidelines, start(stable.engine or "local"), settings)
    warn_of_gaps(judges.plain.gaps)
    sources, second = {Arm.STABLE: stable}, None
    if tried is not None and others is not None:
        own = judges.engine if tried.engine is None else start(tried.engine)
        second = Judges(others[0], own, others[1])
        sources[Arm.CANDIDATE] = tried
    return (
        judges,
        second,
        RolloutPlan(sources, candidate.share, candidate.salt, limits, file, candidate.state),
    )


def _source(stable: Source, candidate: Candidate) -> Source:
    """The candidate's source: what it does not name is the stable revision's."""
    from llm_judge.service.rollout.source import Source

    own_policies = bool(candidate.policies or candidate.bundle)
    own = own_policies or candidate.engine is not None
    return Source(
        candidate.policies if own_policies else stable.policies,
        stable.only,
        candidate.bundle if own_policies else stable.bundle,
        candidate.engine,
        # A calibration holds for one policy text, prompt, model and adapter: another revision's is refused.
        candidate.calibration if own else candidate.calibration or stable.calibration,
    )
