"""Overlays and explanations asked for → the judge that answers so, compiled once and kept.

Used by the engine's thread alone, since compiling counts tokens with the engine. Knows nothing about HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from llm_judge.compile import CompiledPolicy, TargetModel, compile_policies
from llm_judge.engines.protocol import Engine
from llm_judge.judge import Explain, Judge, JudgeSettings
from llm_judge.policy.model import Action
from llm_judge.service.guidelines import Guidelines

_KEPT = 16  # combinations of overlays


@dataclass(frozen=True, slots=True)
class JudgeKey:
    """Which judge: overlays in order, and when verdicts are explained."""

    overlays: tuple[str, ...] = ()
    explain: Explain = Explain.AUTO


class Judges:
    """The judges of one revision of the guidelines behind one engine.

    Args:
        guidelines: what is judged by.
        engine: what answers.
        settings: of every judge, but for ``explain``.

    Attributes:
        on_error: the strictest one: what to do with content that gets no decision at all.

    Raises:
        BudgetExceeded: the policies do not fit the model.
        UsageError: the calibration was made for something else.
    """

    def __init__(self, guidelines: Guidelines, engine: Engine, settings: JudgeSettings | None = None) -> None:
        self.guidelines = guidelines
        self.engine = engine
        self._settings = settings or JudgeSettings()
        self._compiled: OrderedDict[tuple[str, ...], CompiledPolicy] = OrderedDict()
        self._judges: dict[JudgeKey, Judge] = {}
        self.plain = self.get(JudgeKey())
        actions = (Action(policy.on_error.value) for policy in guidelines.policies)
        self.on_error = max(actions, key=lambda action: action.strictness)

    def get(self, key: JudgeKey) -> Judge:
        """Return the judge, compiled now if need be.

        Raises:
            JudgeError: the overlays do not go together, do not fit the model, or are not calibrated.
        """
        if key.overlays in self._compiled:
            self._compiled.move_to_end(key.overlays)
        if key not in self._judges:
            compiled = self._compiled.get(key.overlays) or self._compile(key.overlays)
            self._judges[key] = Judge(compiled, self.engine, replace(self._settings, explain=key.explain))
        return self._judges[key]

    def _compile(self, overlays: tuple[str, ...]) -> CompiledPolicy:
        info = self.engine.info
        target = TargetModel(info.model, info.context_tokens, self.engine.count_tokens)
        policies = self.guidelines.laid_over(overlays)
        compiled = compile_policies(policies, target, self.guidelines.prompts)
        self._compiled[overlays] = compiled
        if len(self._compiled) > _KEPT:
            dropped, _ = self._compiled.popitem(last=False)
            self._judges = {key: judge for key, judge in self._judges.items() if key.overlays != dropped}
        return compiled
