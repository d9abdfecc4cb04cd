"""All areas dealt into small sets, so that no model learns one prompt by heart.

Knows nothing about rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from llm_judge.policy.model import Policy

THINNED_SHARE = 0.2  # of areas, which are shown with some of their rules only


def deal(policies: Sequence[Policy], size: int, draw: random.Random) -> list[list[Policy]]:
    """Return all policies in random order in sets of half of ``size`` to ``size``.

    Some have only some of their rules.
    """
    shuffled = draw.sample(list(policies), len(policies))
    dealt = [thinned(policy, draw) if draw.random() < THINNED_SHARE else policy for policy in shuffled]
    sets = []
    while dealt:
        count = draw.randint(max(1, size // 2), size)
        sets.append(dealt[:count])
        dealt = dealt[count:]
    return sets


def thinned(policy: Policy, draw: random.Random) -> Policy:
    """Return a policy with some of its rules: two at least where it has them."""
    least = min(2, len(policy.rules))
    kept = draw.sample(policy.rules, draw.randint(least, len(policy.rules)))
    return policy.model_copy(update={"rules": tuple(kept)})


def only_rules(policy: Policy, wanted: Sequence[str]) -> Policy:
    """Return a policy with these rules only; with its first where none is named."""
    kept = tuple(rule for rule in policy.rules if rule.id in wanted) or policy.rules[:1]
    return policy.model_copy(update={"rules": kept})
