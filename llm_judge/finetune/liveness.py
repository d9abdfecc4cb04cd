"""Does an adapter do anything, and does it look at what it is asked? Figures, limits and what a miss means.

All figures are about P(yes) on the liveness probes. *Moves* are sizes, *orders* are directions:

* ``content moves``: mean |difference| between two contents under one question; a model that does not read its
  content has 0.
* ``rule moves``: the same between two rules about one content; one that does not read its policy has 0.
* ``content order``: how often, under one question, P(yes) is higher for a content that breaks the rule than
  for one that does not, ties half; ``rule order``: how often, about one content, for the rule it breaks than
  for another. Every rule is broken equally often, so a mere taste for one rule scores 0.5, as chance does.
* ``inversion``: how often P(yes) falls where a rule that is broken is turned into its opposite, and how often
  it rises where one is not; the weaker of the two counts, so that "no" to every unusual rule is not enough.

Intervals are bootstrapped over contents. Knows nothing about files or terminals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.bootstrap import DRAWS, interval
from llm_judge.evals.estimate import Estimate
from llm_judge.finetune.gate_check import Check
from llm_judge.finetune.liveness_probes import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.finetune.adapter_weights import WeightsReport
    from llm_judge.finetune.gate_limits import GateLimits
    from llm_judge.finetune.liveness_probes import ProbeReads, ProbeSet

    Floats = NDArray[np.float64]

_SHUFFLED = "its answers move, but not with the labels, as after training on shuffled labels or far too short"
_CHECK_LABELS = "look at the training rows: `llm-judge eval doctor`, and statistics.html of `finetune data`"


def weight_checks(found: WeightsReport, limits: GateLimits) -> list[Check]:
    """Whether the weights belong to the base, and whether they are anything."""
    first = found.unknown[0] if found.unknown else ""
    share = found.alive / found.modules if found.modules else 0.0
    dead = (
        "all update matrices are zero: it answers exactly like its base"
        if not found.alive
        else (f"only {found.alive} of {found.modules} update matrices are finite and not zero")
    )
    if found.not_finite:
        dead = f"{found.not_finite} of {found.modules} update matrices hold numbers that are not finite"
    return [
        Check(
            "modules",
            "the weights are named after modules of the base",
            f"{len(found.unknown)} unknown keys",
            "0 unknown keys",
            not found.unknown and found.modules > 0,
            float(len(found.unknown)),
            f"its weights have the wrong prefixes or names: `{first}` is no module of the base, and a server "
            "may skip it and answer like the base",
            "train through the class that serves the model, such as AutoModelForImageTextToText for a VLM",
        ),
        Check(
            "weights",
            "update matrices are finite and not zero",
            f"{found.alive} of {found.modules}",
            f"share at least {limits.nonzero_at_least:g}",
            share >= limits.nonzero_at_least and not found.not_finite,
            share,
            dead,
            "it was saved before training, or training never reached it",
        ),
    ]


def answer_checks(
    base: ProbeReads, tuned: ProbeReads, probes: ProbeSet, limits: GateLimits, *, draws: int = DRAWS
) -> list[Check]:
    """Whether answers differ from the base's, follow the format, the content, the rule and its inversion.

    Args:
        base, tuned: what the base and the adapter answered.
        probes: what they were asked.
        limits: what is wanted.
        draws: resamples behind the intervals.
    """
    import numpy as np

    effect = float(np.abs(tuned.logprobs - base.logprobs).mean())
    mass = float(tuned.label_mass.mean())
    return [
        _at_least(
            "effect",
            "label log-probabilities differ from the base's, nats",
            effect,
            limits.effect_at_least,
            "it answers like its base: its weights have no effect",
            "look at lora_alpha, and at whether the adapter was loaded at all",
        ),
        _at_least(
            "format",
            "label mass",
            mass,
            limits.label_mass_at_least,
            "it does not answer in the format, so most rules would abstain",
            "train on the judge's own prompts, as `llm-judge finetune data` writes them",
        ),
        *_move_checks(tuned, limits),
        *_order_checks(tuned, probes, limits, draws),
    ]


def diagnosis(checks: list[Check]) -> str | None:
    """The one line that explains all misses best, the cause before its consequences; None without a miss."""
    missed = {check.name: check.why for check in checks if not check.passed}
    if next(iter(missed), "") == "content order" and "rule order" in missed:
        return _SHUFFLED
    return next(iter(missed.values()), None)


def _move_checks(tuned: ProbeReads, limits: GateLimits) -> list[Check]:
    rules = tuned.yes[:, tuned.yes.shape[1] // 2 :]
    return [
        _at_least(
            "content moves",
            "P(yes) differs between contents",
            _mean_difference(tuned.yes.T),
            limits.content_moves_at_least,
            "it ignores its content: it answers the same whatever the content says, as after training on "
            "shuffled labels or on one answer only",
            _CHECK_LABELS,
        ),
        _at_least(
            "rule moves",
            "P(yes) differs between rules about one content",
            _mean_difference(rules),
            limits.rule_moves_at_least,
            "it ignores its policy: it answers the same whatever the rule says",
            "train on swapped and inverted rules: `variants` of the data recipe",
        ),
    ]


def _order_checks(tuned: ProbeReads, probes: ProbeSet, limits: GateLimits, draws: int) -> list[Check]:
    import numpy as np

    truth = truth_of(probes)
    rules = tuned.yes[:, truth.shape[1] :]
    ask = "train on swapped and inverted rules: `variants` of the data recipe"
    return [
        _above(
            "content order",
            "P(yes) is higher for the content that breaks the rule",
            _estimate(_content_order(tuned.yes, np.tile(truth, 2)), len(truth), draws),
            limits.content_order_above,
            "it is not shown to tell contents that break a rule from others",
            _CHECK_LABELS,
        ),
        _above(
            "rule order",
            "P(yes) is higher for the rule that the content breaks",
            _estimate(_rule_order(rules, truth), len(truth), draws),
            limits.rule_order_above,
            "it is not shown to follow its policy: which rule is asked makes no right difference",
            ask,
        ),
        _above(
            "inversion",
            "P(yes) turns where a rule is inverted",
            _weaker(
                *(_estimate(each, len(truth), draws) for each in _inversion(rules, tuned.inverted, truth))
            ),
            limits.inversion_above,
            "it is not shown to follow an inverted rule: it may know topics and not read the rest",
            ask,
        ),
    ]


def _mean_difference(rows: Floats) -> float:
    """Mean |difference| between two entries of a row, over all pairs and rows; shape (rows, entries)."""
    import numpy as np

    one, other = np.triu_indices(rows.shape[1], k=1)
    return float(np.abs(rows[:, one] - rows[:, other]).mean())


def _higher(one: Floats, other: Floats) -> Floats:
    """1 where the first is larger, ½ where both are equal, else 0."""
    import numpy as np

    return (np.sign(one - other) + 1) / 2


def _content_order(yes: Floats, truth: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Weights (draws, contents) → share of right pairs within a question, mean over questions."""
    import numpy as np

    tables = []
    for question in range(yes.shape[1]):
        broken = np.flatnonzero(truth[:, question])
        other = np.flatnonzero(~truth[:, question])
        column = yes[:, question]
        tables.append((broken, other, _higher(column[broken][:, None], column[other][None, :])))

    def values(weights: Floats) -> Floats:
        shares = []
        for broken, other, right in tables:
            ups, downs = weights[:, broken], weights[:, other]
            hits = np.einsum("di,ij,dj->d", ups, right, downs)
            shares.append(_quotient(hits, ups.sum(1) * downs.sum(1)))
        known = ~np.isnan(shares)  # (questions, draws); a draw may hold no content that breaks a rule
        return _quotient(np.nansum(shares, axis=0), known.sum(0).astype(float))

    return values


def _rule_order(rules: Floats, truth: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Weights (draws, contents) → share of right pairs within a content, mean over contents."""
    import numpy as np

    rows = [row for row in range(len(truth)) if truth[row].any() and not truth[row].all()]
    right = np.array(
        [
            float(_higher(rules[row][truth[row]][:, None], rules[row][~truth[row]][None, :]).mean())
            for row in rows
        ]
    )
    return lambda weights: _weighted(weights[:, rows], right)


def _inversion(
    rules: Floats, inverted: Floats, truth: NDArray[np.bool_]
) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """Two functions, weights (draws, contents) → share: of answers that fell, and of those that rose."""
    import numpy as np

    falls = np.where(truth, _higher(rules, inverted), 0.0).sum(1)
    rises = np.where(truth, 0.0, _higher(inverted, rules)).sum(1)
    broken, other = truth.sum(1).astype(float), (~truth).sum(1).astype(float)
    return (
        lambda weights: _quotient(weights @ falls, weights @ broken),
        lambda weights: _quotient(weights @ rises, weights @ other),
    )


def _weaker(one: Estimate, other: Estimate) -> Estimate:
    """The one whose interval ends lower."""
    return min(one, other, key=lambda each: -1.0 if each.low is None else each.low)


def _weighted(weights: Floats, values: Floats) -> Floats:
    return _quotient(weights @ values, weights.sum(1))


def _quotient(above: Floats, below: Floats) -> Floats:
    import numpy as np

    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _estimate(statistic: Callable[[Floats], Floats], contents: int, draws: int) -> Estimate:
    import numpy as np

    value = float(statistic(np.ones((1, contents)))[0])
    return Estimate.of(value, interval(statistic, range(contents), draws=draws))


def _at_least(name: str, asks: str, value: float, limit: float, why: str, hint: str) -> Check:
    return Check(name, asks, f"{value:.4f}", f"at least {limit:g}", value >= limit, value, why, hint)


def _above(name: str, asks: str, found: Estimate, limit: float, why: str, hint: str) -> Check:
    passed = found.low is not None and found.low > limit
    return Check(name, asks, str(found), f"interval above {limit:g}", passed, found.value, why, hint)
