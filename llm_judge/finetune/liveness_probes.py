"""The liveness probes: small policies, contents whose answers are known, and what an engine says to them.

Every content is asked every question, and every rule is asked again in the opposite, so that one set of reads
shows whether answers move with the content, with the rule and with its inversion. The texts are in
``finetune/liveness``; ``leaks`` keeps them out of all training data. Knows nothing about limits.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.compile import NO, YES, compile_policies
from llm_judge.content.text import from_text
from llm_judge.engines.protocol import ReadRequest
from llm_judge.errors import UsageError
from llm_judge.evals.judging import target_of
from llm_judge.evals.probe_edits import inverted
from llm_judge.policy.load import load_policies
from llm_judge.prompt import build_prompt
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.compile import CompiledPolicy
    from llm_judge.engines.protocol import Engine, Reading
    from llm_judge.policy.model import Policy

CONTENTS = "contents.jsonl"


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Policies of one rule each without exemptions, and contents.

    Attributes:
        policies: what is asked.
        texts: the contents.
        breaks: for each content the ids of the policies it breaks; it breaks no other.
    """

    policies: tuple[Policy, ...]
    texts: tuple[str, ...]
    breaks: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ProbeReads:
    """What one engine answered.

    Attributes:
        yes: P(yes) among the labels by content and question: areas, then rules; (contents, 2 · policies).
        inverted: P(yes) to the opposite of each rule, shape (contents, policies).
        logprobs: log-probability of ``yes`` and ``no`` in every read, in nats, shape (reads, 2).
        label_mass: probability of the labels together in every read, shape (reads,).
    """

    yes: NDArray[np.float64]
    inverted: NDArray[np.float64]
    logprobs: NDArray[np.float64]
    label_mass: NDArray[np.float64]


def probe_folder() -> Path:
    """The probes that ship with the project."""
    return content_folder("finetune") / "liveness"


def load_probes(folder: Path) -> ProbeSet:
    """Read policies and contents.

    Raises:
        PolicyError: a policy is wrong, or there is none.
        UsageError: the contents cannot be read, or a policy or content cannot serve as a probe.
    """
    policies = load_policies([folder])
    for policy in policies:
        if len(policy.rules) != 1 or policy.rules[0].exemptions:
            raise UsageError(
                f"the probe policy `{policy.policy}` must have one rule without exemptions",
                "split it into several policies",
            )
    keys = {f"{policy.policy}#{policy.rules[0].id}": policy.policy for policy in policies}
    path = folder / CONTENTS
    texts, breaks = [], []
    for number, line in enumerate(_lines(path), 1):
        try:
            row: dict[str, Any] = json.loads(line)
            texts.append(str(row["text"]))
            breaks.append(frozenset(keys[key] for key in row["breaks"]))
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"`{path}` line {number} is no probe",
                f"a JSON object with `text` and `breaks`, a list of {', '.join(list(keys)[:4])}",
            ) from None
    broken = [sum(policy.policy in each for each in breaks) for policy in policies]
    if len(set(broken)) != 1 or broken[0] in (0, len(texts)) or len(policies) < 2:
        raise UsageError(
            f"`{folder}` cannot tell policies apart",
            "give two policies or more, each broken by equally many contents, and not by all",
        )
    return ProbeSet(policies, tuple(texts), tuple(breaks))


def read_probes(engine: Engine, probes: ProbeSet) -> ProbeReads:
    """Ask everything about every content.

    Raises:
        BudgetExceeded: the policies do not fit the model.
        EngineError: the engine cannot answer.
    """
    import numpy as np

    target = target_of(engine)
    written = compile_policies(probes.policies, target)
    opposite = compile_policies([inverted(each, each.rules[0].id) for each in probes.policies], target)
    first = _read(engine, written, probes.texts, areas=True)
    second = _read(engine, opposite, probes.texts, areas=False)
    every = [reading for rows in (*first, *second) for reading in rows]
    logprobs = np.array([[each.logprobs[YES], each.logprobs[NO]] for each in every])
    return ProbeReads(
        yes=np.array([[_yes(each) for each in row] for row in first]),
        inverted=np.array([[_yes(each) for each in row] for row in second]),
        logprobs=logprobs,
        label_mass=np.array([each.label_mass for each in every]),
    )


def truth_of(probes: ProbeSet) -> NDArray[np.bool_]:
    """Whether each content breaks each policy, shape (contents, policies)."""
    import numpy as np

    return np.array([[policy.policy in each for policy in probes.policies] for each in probes.breaks])


def _read(
    engine: Engine, compiled: CompiledPolicy, texts: Sequence[str], *, areas: bool
) -> list[list[Reading]]:
    questions = tuple(area.question for area in compiled.areas) if areas else ()
    questions += tuple(rule.question for rule in compiled.rules)
    prompts = [build_prompt(compiled, from_text(text), engine.special_tokens) for text in texts]
    return engine.read([ReadRequest(prompt, questions) for prompt in prompts])


def _yes(reading: Reading) -> float:
    """P(yes) among the labels, 0..1."""
    return 1 / (1 + math.exp(min(700.0, reading.logprobs[NO] - reading.logprobs[YES])))


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not UTF-8").lower()
        raise UsageError(f"`{path}` cannot be read: {reason}", "one JSON object a line") from None
