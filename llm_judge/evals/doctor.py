"""Checks of labelled data before anyone trusts a number: leaks, contradictions, gaps.

==== ============================================================
D101 an id stands twice
D102 an item has nothing to judge
D103 a label is not one of the policies', or not an answer
D201 a text of dev or of a case also stands in train
D202 the same, nearly
D203 a group has items in train and in dev
D301 one text has opposite labels
D302 two texts that are nearly the same have opposite labels
D401 an area has only one answer in a set
D402 an area has few items of one answer in a set
D403 the source of an item all but gives an area's answer away
==== ============================================================

A finding names ids, never words of an item. Pictures and sounds are checked by their labels only. Knows
nothing about files or judging.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_judge.content.normalise import is_blank
from llm_judge.diagnostics import Level
from llm_judge.evals.near_duplicates import ShingleIndex, normalised
from llm_judge.evals.outcomes import ANY, EvalItem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

MOST_IDS = 10  # named in one finding
FEW = 50  # items of an answer, below which no figure of the area says much
GIVEN_AWAY = 0.95  # share of an area's items that come from sources with a single answer
_ANSWERS = ("yes", "no", "except")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with labelled data.

    Attributes:
        code: stable code, see above.
        level: an error makes figures wrong, a warning makes them weak.
        ids: of the items it is about, at most ``MOST_IDS``; the held-out one first. () for a whole area.
        message: what, in one line, without words of any item.
        fix: what to do about it, in one line.
    """

    code: str
    level: Level
    ids: tuple[str, ...]
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Texts:
    """The different texts of a set, as they are compared, with the items of each."""

    keys: list[str]
    items: list[list[EvalItem]]
    number: Mapping[str, int] = field(repr=False)


def examine(
    train: Sequence[EvalItem],
    dev: Sequence[EvalItem],
    cases: Sequence[EvalItem] = (),
    known: Collection[str] | None = None,
) -> list[Finding]:
    """Return everything that is wrong, by code and in the order of the items.

    Takes about two minutes of one core and 4 GB for 300,000 texts.

    Args:
        train: what a model was or will be trained on.
        dev: what it is scored on.
        cases: cases of guidelines, which are scored on too.
        known: ids of all policies and rules (``policy#rule``); None leaves D103 to the answers alone.
    """
    held = [*dev, *cases]
    found = [*_repeated_ids([*held, *train]), *_empty([*held, *train]), *_unknown([*held, *train], known)]
    train_texts, held_texts = _texts(train), _texts(held)
    found += _copies(held_texts, train_texts)
    for texts in (held_texts, train_texts):
        found += _contradicted(texts)
    found += _near(held_texts, train_texts)
    found += _split_groups(train, held)
    for name, items in (("dev", dev), ("train", train)):
        found += _one_sided(name, items)
    return sorted(found, key=lambda finding: finding.code)


def _repeated_ids(items: Iterable[EvalItem]) -> Iterator[Finding]:
    for name, times in Counter(item.id for item in items).items():
        if times > 1:
            message = f"the id `{name}` stands {times} times"
            yield Finding("D101", Level.ERROR, (name,), message, "give every item an id of its own")


def _empty(items: Iterable[EvalItem]) -> Iterator[Finding]:
    for item in items:
        if item.media is None and (item.text is None or is_blank(item.text)):
            yield Finding("D102", Level.ERROR, (item.id,), "there is nothing to judge", "remove the item")


def _unknown(items: Iterable[EvalItem], known: Collection[str] | None) -> Iterator[Finding]:
    """One finding a label, with the first ids."""
    ids: dict[str, list[str]] = defaultdict(list)
    for item in items:
        labels = [name for name in (*item.areas, *item.rules) if known is not None and name not in known]
        labels += [f"{rule}: {answer}" for rule, answer in item.rules.items() if answer not in _ANSWERS]
        for label in labels:
            ids[label].append(item.id)
    for label, which in sorted(ids.items()):
        message = f"`{label}` of {_count(len(which), 'item')} is no label of the policies"
        fix = "name a policy or a `policy#rule` that exists, with `yes`, `no` or `except`"
        yield Finding("D103", Level.ERROR, tuple(which[:MOST_IDS]), message, fix)


def _texts(items: Iterable[EvalItem]) -> _Texts:
    found: dict[str, list[EvalItem]] = defaultdict(list)
    for item in items:
        if item.text is not None and (key := normalised(item.text)):
            found[key].append(item)
    keys = list(found)
    return _Texts(keys, [found[key] for key in keys], {key: number for number, key in enumerate(keys)})


def _copies(held: _Texts, train: _Texts) -> Iterator[Finding]:
    for key, items in zip(held.keys, held.items, strict=True):
        if key in train.number:
            yield from (_leak("D201", item, train.items[train.number[key]], "") for item in items)


def _leak(code: str, item: EvalItem, copies: Sequence[EvalItem], alike: str) -> Finding:
    ids = (item.id, *(copy.id for copy in copies))[:MOST_IDS]
    opposite = sorted({key for copy in copies for key in _opposite(item, copy)})
    labels = f", with opposite labels on {_names(opposite)}" if opposite else ""
    message = f"`{item.id}` also stands in train{alike}, as `{copies[0].id}`{labels}"
    return Finding(code, Level.ERROR, ids, message, "remove it from train, or do not score it")


def _opposite(one: EvalItem, other: EvalItem) -> list[str]:
    """What both know and do not agree on."""
    keys = [area for area, truth in one.areas.items() if other.areas.get(area, truth) != truth]
    keys += [rule for rule, answer in one.rules.items() if other.rules.get(rule, answer) != answer]
    if None not in (one.harmful, other.harmful) and one.harmful != other.harmful:
        keys.append(ANY)
    return keys


def _contradicted(texts: _Texts) -> Iterator[Finding]:
    for items in texts.items:
        pair = _contradiction(items, items)
        if pair is not None:
            yield _flip("D301", *pair, "stand for one text")


def _contradiction(some: Sequence[EvalItem], others: Sequence[EvalItem]) -> tuple[EvalItem, EvalItem] | None:
    """The first two that disagree; items of one group differ on purpose."""
    if len(some) * len(others) == 1:  # the common case
        one, other = some[0], others[0]
        return (one, other) if _group(one) != _group(other) and _opposite(one, other) else None
    claims = _claims(others)
    for key, answers in _claims(some).items():
        for answer, left in answers.items():
            for against in claims.get(key, {}):
                for one in left:
                    for other in claims[key][against]:
                        if answer != against and _group(one) != _group(other):
                            return one, other
    return None


def _claims(items: Iterable[EvalItem]) -> dict[str, dict[object, list[EvalItem]]]:
    """What is claimed → the answers → up to two items of different groups that give each."""
    found: dict[str, dict[object, list[EvalItem]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        whole = {} if item.harmful is None else {ANY: item.harmful}
        for key, answer in (*item.areas.items(), *item.rules.items(), *whole.items()):
            members = found[key][answer]
            if not members or (len(members) == 1 and _group(members[0]) != _group(item)):
                members.append(item)
    return found


def _flip(code: str, one: EvalItem, other: EvalItem, how: str) -> Finding:
    message = f"`{one.id}` and `{other.id}` {how}, with opposite labels on {_names(_opposite(one, other))}"
    fix = "correct one of them, or leave both out"
    return Finding(code, Level.ERROR, (one.id, other.id), message, fix)


def _near(held: _Texts, train: _Texts) -> Iterator[Finding]:
    index = ShingleIndex(held.keys, train.keys)
    seen = set()
    for i, j, value in index.alike(0, 1):
        if i not in seen and held.keys[i] not in train.number:
            seen.add(i)
            alike = f" nearly ({value:.0%} of the shingles)"
            yield from (_leak("D202", item, train.items[j], alike) for item in held.items[i])
    for number, texts in enumerate((held, train)):
        for i, j, value in index.alike(number, number):
            pair = _contradiction(texts.items[i], texts.items[j])
            if pair is not None:
                yield _flip("D302", *pair, f"are nearly the same ({value:.0%} of the shingles)")


def _group(item: EvalItem) -> tuple[str, str]:
    return item.source, item.group or item.id


def _split_groups(train: Iterable[EvalItem], held: Iterable[EvalItem]) -> Iterator[Finding]:
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in train:
        if item.group and item.group != item.id:
            members[_group(item)].append(item.id)
    apart: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in held:
        if _group(item) in members:
            apart[_group(item)].append(item.id)
    for (source, group), ids in apart.items():
        here, there = len(ids), len(members[source, group])
        message = f"group `{group}` of `{source}` has {_count(here, 'item')} in dev and {there} in train"
        some = (*ids[: MOST_IDS // 2], *members[source, group][: MOST_IDS // 2])
        yield Finding("D203", Level.ERROR, some, message, "keep a group on one side when splitting")


def _one_sided(name: str, items: Iterable[EvalItem]) -> Iterator[Finding]:
    cells: dict[str, dict[str, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
    for item in items:
        for area, truth in item.areas.items():
            cells[area][item.source][truth] += 1
    for area, sources in sorted(cells.items()):
        total: Counter[bool] = sum(sources.values(), Counter())
        yes, no = total[True], total[False]
        counts = f"`{area}` has {yes:,} items that apply and {no:,} that do not in {name}"
        single = sum(sum(cell.values()) for cell in sources.values() if len(cell) == 1) / (yes + no)
        if not yes or not no:
            yield Finding("D401", Level.WARNING, (), counts, "add items of the other answer")
            continue
        if min(yes, no) < FEW:
            yield Finding("D402", Level.WARNING, (), counts, f"add items until each answer has {FEW}")
        if single >= GIVEN_AWAY:
            message = (
                f"{single:.0%} of the items about `{area}` in {name} come from sources with a single answer"
            )
            fix = "add both answers from one source, or compare within sources"
            yield Finding("D403", Level.WARNING, (), message, fix)


def _names(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(f"`{key}`" for key in keys[:3]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
