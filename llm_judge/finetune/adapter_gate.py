"""An adapter and its base through the liveness gate, the cheap checks first.

The base and the adapter answer as they are served: by the in-process engine, in bfloat16. Knows nothing about
terminals or the registry.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.finetune.adapter_weights import inspect_weights
from llm_judge.finetune.gate_check import Check, all_passed
from llm_judge.finetune.liveness import answer_checks, diagnosis, weight_checks
from llm_judge.finetune.liveness_probes import read_probes

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.finetune.gate_limits import GateLimits
    from llm_judge.finetune.liveness_probes import ProbeSet


@dataclass(frozen=True, slots=True)
class LivenessResult:
    """Every check that was made, in order; after a dead file nothing is asked.

    Attributes:
        checks: each with figure and limit.
        model_digest: of the base.
    """

    checks: tuple[Check, ...]
    model_digest: str

    @property
    def passed(self) -> bool:
        """Whether every check is passed."""
        return all_passed(self.checks)

    @property
    def diagnosis(self) -> str | None:
        """Why it is refused, in one line, or None."""
        return diagnosis(list(self.checks))

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "passed": self.passed,
            "diagnosis": self.diagnosis,
            "base": self.model_digest,
            "checks": [check.as_json() for check in self.checks],
        }


def liveness(
    adapter: Path,
    base: Path,
    base_digest: str | None,
    probes: ProbeSet,
    limits: GateLimits,
    *,
    dtype: str = "bfloat16",
) -> LivenessResult:
    """Put an adapter through the liveness gate.

    Args:
        adapter: a PEFT LoRA folder.
        base: folder of the model it belongs to.
        base_digest: what the record calls that model; by default the digest of its weights.
        probes: what is asked.
        limits: what is wanted.
        dtype: to compute in.

    Raises:
        EngineError: the adapter cannot be read, or does not fit although its names do.
        BudgetExceeded: the probes do not fit the model.
    """
    from llm_judge.engines.local import LocalEngine

    with closing(LocalEngine(base, None, dtype, digest=base_digest)) as engine:
        digest = engine.info.model_digest
        modules = {name for name, _ in engine.model.named_modules()}
        checks = weight_checks(inspect_weights(adapter, modules), limits)
        if not all_passed(checks):
            return LivenessResult(tuple(checks), digest)
        untuned = read_probes(engine, probes)
    with closing(LocalEngine(base, adapter, dtype, digest=base_digest)) as engine:
        tuned = read_probes(engine, probes)
    return LivenessResult((*checks, *answer_checks(untuned, tuned, probes, limits)), digest)
