"""A planted leak and a planted label flip are found, and sound data has no finding."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from labelled_items import eval_item

from llm_judge.diagnostics import Level
from llm_judge.evals.doctor import FEW, MOST_IDS, Finding, examine
from llm_judge.evals.outcomes import EvalItem

LONG = "The gardener next door waters every single tomato plant before the sun is up, and sings to them."
NEAR = LONG.replace("sun is up", "sun is out")
OTHER = "Two neighbours argued for an hour about where the hedge should end, then had tea together."


def codes(found: Sequence[Finding]) -> list[str]:
    return [finding.code for finding in found if finding.level is Level.ERROR]


def many(
    prefix: str, area: str = "garden/plants", number: int = 2 * FEW, source: str = "set"
) -> list[EvalItem]:
    """Different texts, half of which apply."""
    return [
        eval_item(f"{prefix}{i}", f"{prefix} {i:05} {i**2:09}", areas={area: i % 2 == 0}, source=source)
        for i in range(number)
    ]


def test_sound_data_has_no_finding() -> None:
    assert examine(many("t"), many("d"), many("c"), {"garden/plants"}) == []
    assert examine([], [], []) == []


@pytest.mark.parametrize("place", ["dev", "cases"])
@pytest.mark.parametrize(
    ("text", "code", "how"), [(f"  {LONG.upper()} ", "D201", ""), (NEAR, "D202", r"nearly \(\d\d% of the")]
)
def test_a_planted_leak_is_found(place: str, text: str, code: str, how: str) -> None:
    leaked = eval_item("dev:7", text)
    sets = {"dev": many("d"), "cases": many("c")}
    sets[place].append(leaked)
    (found,) = examine([*many("t"), eval_item("train:3", LONG)], **sets)
    assert (found.code, found.level, found.ids) == (code, Level.ERROR, ("dev:7", "train:3"))
    assert "`dev:7` also stands in train" in found.message
    assert "`train:3`" in found.message
    assert "nearly" in found.message if how else "nearly" not in found.message


@pytest.mark.parametrize(("text", "code"), [(LONG, "D301"), (NEAR, "D302")])
@pytest.mark.parametrize("place", ["train", "dev"])
@pytest.mark.parametrize(
    "labels",
    [
        ({"areas": {"garden/plants": True}}, {"areas": {"garden/plants": False}}),
        ({"rules": {"garden/plants#R1": "yes"}}, {"rules": {"garden/plants#R1": "except"}}),
        ({"harmful": True}, {"harmful": False}),
    ],
)
def test_a_planted_flip_is_found(text: str, code: str, place: str, labels: tuple[dict, dict]) -> None:
    sets = {"train": many("t"), "dev": many("d")}
    sets[place] += [eval_item("x:1", LONG, **labels[0]), eval_item("x:2", text, **labels[1])]
    (found,) = examine(**sets)
    assert (found.code, set(found.ids)) == (code, {"x:1", "x:2"})
    assert "opposite labels on `" in found.message


def test_a_flip_among_many_copies_is_found() -> None:
    copies = [eval_item(f"x:{i}", LONG, harmful=True) for i in range(3 * MOST_IDS)]
    (found,) = examine([], [*copies, eval_item("x:odd", LONG, harmful=False)])
    assert "x:odd" in found.ids


@pytest.mark.parametrize("text", [LONG, NEAR])
def test_contrast_pairs_and_unknown_labels_are_no_flips(text: str) -> None:
    pair = [eval_item("x:1", LONG, harmful=True, group="p"), eval_item("x:2", text, harmful=False, group="p")]
    unknown = [eval_item("y:1", OTHER, harmful=True), eval_item("y:2", OTHER, areas={})]
    assert codes(examine([], [*pair, *unknown])) == []


def test_a_leak_says_where_its_labels_differ() -> None:
    (found,) = examine([eval_item("t", LONG, harmful=True)], [eval_item("d", LONG, harmful=False)])
    assert found.message.endswith("with opposite labels on `any`")


def test_what_is_wrong_with_single_items() -> None:
    items = [
        eval_item("x:1", LONG),
        eval_item("x:1", OTHER),
        eval_item("x:2", "\u200b \n"),
        eval_item("x:3", None),
        eval_item("x:4", None, media="a.png", modality="image"),
        eval_item("x:5", "Fine.", areas={"garden/plans": True}, rules={"garden/plants#R1": "maybe"}),
    ]
    found = examine([], items, known={"garden/plants", "garden/plants#R1"})
    assert [(each.code, each.ids) for each in found if each.level is Level.ERROR] == [
        ("D101", ("x:1",)),
        ("D102", ("x:2",)),
        ("D102", ("x:3",)),
        ("D103", ("x:5",)),
        ("D103", ("x:5",)),
    ]
    assert "`garden/plans` of 1 item" in found[3].message


def test_a_group_on_both_sides_is_found_within_its_source() -> None:
    train = [eval_item("t:1", LONG, group="thread-1"), eval_item("t:2", "Mow.", group="thread-2", source="b")]
    dev = [eval_item("d:1", OTHER, group="thread-1"), eval_item("d:2", "Dig.", group="thread-2")]
    (found,) = examine(train, dev)
    assert (found.code, found.ids) == ("D203", ("d:1", "t:1"))


def test_what_the_data_cannot_score_is_said() -> None:
    dev = many("a", "one/sided", 10)[::2] + many("b", "too/few", 10)
    yes, no = many("c", "given/away", 200, "s1")[::2], many("d", "given/away", 200, "s2")[1::2]
    found = examine([], [*dev, *yes, *no])
    assert [(each.code, each.level, each.ids) for each in found] == [
        (code, Level.WARNING, ()) for code in ("D401", "D402", "D403")
    ]
    assert "`one/sided` has 5 items that apply and 0 that do not in dev" in found[0].message


def test_no_words_of_an_item_are_shown() -> None:
    found = examine(
        [eval_item("t", LONG, harmful=True)],
        [eval_item("d", NEAR, harmful=True), eval_item("e", NEAR, harmful=False)],
    )
    assert len(found) == 3
    assert not any(word in f"{each.message} {each.fix}" for each in found for word in ("gardener", "tomato"))
