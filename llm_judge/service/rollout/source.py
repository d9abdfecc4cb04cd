"""Where a revision comes from, read again for each reload. Knows nothing about HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_judge.calibration import read_calibration
from llm_judge.engines.protocol import Engine
from llm_judge.engines.reopen import reopen_engine
from llm_judge.errors import UsageError
from llm_judge.judge import JudgeSettings
from llm_judge.service.guidelines import Guidelines, from_bundle, from_paths


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line named.

    Attributes:
        policies, only: files and folders, and what to judge by of them; None for the shipped ones.
        bundle: folder of a bundle in force, instead of ``policies``.
        engine: its name; None for the engine of the stable revision.
        calibration: thresholds, None for stand-ins.
    """

    policies: Sequence[Path] | None = None
    only: Sequence[str] | None = None
    bundle: Path | None = None
    engine: str | None = None
    calibration: Path | None = None

    def guidelines(self) -> Guidelines:
        """Read and verify the guidelines; raises ``PolicyError`` or ``UsageError``."""
        if self.bundle is None:
            return from_paths(self.policies, self.only)
        if self.policies:
            raise UsageError("--bundle does not go with --policies", "a bundle brings its own policies")
        return from_bundle(self.bundle, self.only)

    def settings(self) -> JudgeSettings:
        """Read the calibration; raises ``UsageError``."""
        calibration = None if self.calibration is None else read_calibration(self.calibration)
        return JudgeSettings(calibration=calibration)

    def reopen(self, now: Engine, stable: Engine) -> Engine:
        """Return what the engine's name means by now: ``now`` where it is the same; raises ``JudgeError``."""
        return stable if self.engine is None else reopen_engine(self.engine, now)
