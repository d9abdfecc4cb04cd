"""Checks → answers read by an engine → what moved.

An answer is the likeliest label of one read: what counts is the direction, so no threshold is involved,
no area gates a rule and nothing is explained. Knows nothing about terminals or report formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.compile import CompiledPolicy, compile_policies
from llm_judge.content.text import from_text
from llm_judge.engines.protocol import ReadRequest
from llm_judge.errors import ContentError
from llm_judge.evals.judging import target_of
from llm_judge.evals.probe_plan import Ask, Check, PolicyPlan
from llm_judge.prompt import build_prompt

if TYPE_CHECKING:
    from llm_judge.engines.protocol import Engine, Reading

UNREADABLE = "unreadable"  # the model did not follow the answer format
MIN_LABEL_MASS = 0.5
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check after reading.

    Attributes:
        applies: False where the first answer is not one that could move, or could not be read.
        moved: whether the answer is another one now (must stay), or the one it must be (must move).
    """

    check: Check
    policy: str
    before: str
    after: str
    applies: bool
    moved: bool


def run_plan(
    plan: PolicyPlan, engine: Engine, advance: Callable[[int], None] = lambda _: None
) -> list[Outcome]:
    """Read everything a plan asks, and compare.

    Args:
        advance: called with the number of readings done.

    Raises:
        BudgetExceeded: the policy does not fit the model.
        EngineError: the engine cannot answer.
    """
    target = target_of(engine)
    labels: dict[Ask, str] = {}
    known: dict[tuple[str, str, str], str] = {}  # prompts that an edit left as they were are read once
    everything = plan.asks
    for name, version in plan.versions.items():
        compiled = compile_policies([version], target)
        asks = [ask for ask in everything if ask.version == name]
        for start in range(0, len(asks), _BATCH):
            batch = asks[start : start + _BATCH]
            labels.update(_read(batch, compiled, engine, known))
            advance(len(batch))
    return [_outcome(plan.policy.policy, check, labels) for check in plan.checks]


def likeliest(reading: Reading) -> str:
    """The likeliest label, or ``unreadable`` where the labels together are unlikely or not numbers."""
    if not reading.label_mass >= MIN_LABEL_MASS:  # also false for NaN
        return UNREADABLE
    return max(reading.logprobs, key=lambda label: reading.logprobs[label])


def _read(
    asks: Sequence[Ask], compiled: CompiledPolicy, engine: Engine, known: dict[tuple[str, str, str], str]
) -> dict[Ask, str]:
    """Read the rule questions directly: no area gates them, and nothing is explained."""
    questions = {rule.rule.id: rule.question for rule in compiled.rules}
    found: dict[Ask, str] = {}
    requests: dict[tuple[str, str, str], ReadRequest] = {}
    keys: dict[Ask, tuple[str, str, str]] = {}
    for ask in asks:
        try:
            content = from_text(ask.text)
        except ContentError:
            found[ask] = UNREADABLE
            continue
        prompt, question = build_prompt(compiled, content, engine.special_tokens), questions[ask.rule]
        keys[ask] = key = (prompt.prefix, prompt.body, question.text)
        if key not in known:
            requests[key] = ReadRequest(prompt, (question,))
    for key, readings in zip(requests, engine.read(list(requests.values())), strict=True):
        known[key] = likeliest(readings[0])
    return found | {ask: known[key] for ask, key in keys.items()}


def _outcome(policy: str, check: Check, labels: Mapping[Ask, str]) -> Outcome:
    before, after = labels[check.before], labels[check.after]
    if check.moves is None:
        return Outcome(check, policy, before, after, before != UNREADABLE, before != after)
    wanted = check.moves.get(before)
    return Outcome(check, policy, before, after, wanted is not None, wanted == after)
