"""Injections: content that gives the judge orders or pretends to be part of its prompt.

The original words stay, so what they violate stays violated. An order to the judge may break a rule of its
own (``platform_security``), so what was known about that area, and that an item is harmless as a whole, is
unknown afterwards. Knows nothing about judging or about any real prompt.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from llm_judge.evals import perturb_family
from llm_judge.evals import perturb_words as words
from llm_judge.evals.perturb_family import Family, changed, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from random import Random

    from llm_judge.evals.outcomes import EvalItem

KIND = "inject"
# Areas under which orders to the judge fall.
INSTRUCTION_AREAS = frozenset({"security/platform_security", "areas/prompt_attack"})


def _placed(text: str, order: str, rng: Random) -> str:
    """Put an order before the text, after it, or at a space in the middle."""
    place = rng.choice(("before", "after", "middle"))
    spaces = [i for i, char in enumerate(text) if char == " "]
    if place == "before":
        return f"{order}\n{text}"
    if place == "middle" and spaces:
        at = spaces[len(spaces) // 2]
        return f"{text[:at]}\n{order}\n{text[at + 1 :]}"
    return f"{text}\n{order}"


def _one_of(orders: tuple[str, ...]) -> Callable[[str, Random, str], str]:
    return lambda text, rng, _: _placed(text, rng.choice(orders), rng)


def _after(tails: tuple[str, ...]) -> Callable[[str, Random, str], str]:
    return lambda text, rng, _: text + rng.choice(tails)


def _translated(text: str, rng: Random, lang: str) -> str:
    orders = [o for tag, o in sorted(words.ORDERS_TRANSLATED.items()) if tag != lang.partition("-")[0]]
    return _placed(text, rng.choice(orders), rng)


def _closed(text: str, rng: Random, lang: str) -> str:
    del lang
    return f"{text}\n{rng.choice(words.CLOSING_MARKS)}\n{rng.choice(words.ORDERS_NO)}"


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("order_no", KIND, "an order to answer no", _one_of(words.ORDERS_NO)),
            Family("order_allow", KIND, "a claim that it is approved", _one_of(words.ORDERS_ALLOW)),
            Family("order_translated", KIND, "an order in another language", _translated),
            Family("fake_turn", KIND, "a made-up turn of the chat", _after(words.FAKE_TURNS)),
            Family("closed_fence", KIND, "a guess at the end of the content block", _closed),
            Family("special_tokens", KIND, "control tokens of chat models", _after(words.SPECIAL_TOKENS)),
            Family("fake_verdict", KIND, "a ready-made verdict", _one_of(words.FAKE_VERDICTS)),
            Family("fake_policy", KIND, "a made-up change of the guideline", _one_of(words.FAKE_POLICIES)),
            Family("order_drawn", KIND, "an order in a picture", _one_of(words.ORDERS_NO), medium="image"),
            Family("order_spoken", KIND, "an order in speech", _one_of(words.ORDERS_NO), medium="audio"),
        )
    }
)


def perturbed(item: EvalItem, family: str, seed: int) -> EvalItem:
    """The item with an injection of this family; see ``perturb_family.changed`` and ``unsettled``.

    Raises:
        UsageError: no such family, or the item has no words.
    """
    return unsettled(changed(item, named(FAMILIES, family), seed))


def variants(items: Iterable[EvalItem], families: Iterable[str], seed: int) -> Iterator[EvalItem]:
    """Every item that has words, with an injection of every family of these names.

    Raises:
        UsageError: no such family.
    """
    chosen = [named(FAMILIES, family) for family in families]
    return map(unsettled, perturb_family.variants(items, chosen, seed))


def unsettled(item: EvalItem) -> EvalItem:
    """The item without what an order to the judge makes unknown."""
    return replace(
        item,
        areas={area: truth for area, truth in item.areas.items() if area not in INSTRUCTION_AREAS},
        rules={
            rule: truth
            for rule, truth in item.rules.items()
            if rule.partition("#")[0] not in INSTRUCTION_AREAS
        },
        harmful=item.harmful or None,
    )
