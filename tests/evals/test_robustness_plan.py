"""Which items a robustness run judges: made when needed, and what cannot be made is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled_items import eval_item

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import EvalItem
from llm_judge.evals.robustness_plan import FAMILIES, chosen_families, left_out, plan

WORDS = "The gardener next door waters every single tomato"


def labelled(name: str, text: str | None = WORDS, **more: object) -> EvalItem:
    return eval_item(name, text, areas={"garden/plants": True}, **more)


def names(*wanted: str) -> list[str]:
    return [family.name for family in chosen_families(wanted)]


def test_families_of_text_unless_others_are_named() -> None:
    assert {FAMILIES[name].medium for name in names()} == {None}
    assert len(names()) == 17
    assert names("spoken", "leet", "spoken") == ["spoken", "leet"]
    assert set(names("all", "leet")) == set(FAMILIES)
    with pytest.raises(UsageError, match="no family `shouted`"):
        names("all", "shouted")


def test_every_item_by_every_family() -> None:
    items = [labelled("a"), labelled("b"), labelled("c", None, media="x.png"), labelled("d", " ")]
    found = plan(items, chosen_families(["leet", "order_no"]), 0)
    assert [item.id for item in found.originals] == ["a", "b"]
    assert [item.id for item in found.changed] == ["a~leet", "a~order_no", "b~leet", "b~order_no"]
    assert [(each.name, each.changed, each.skipped) for each in found.families] == [
        ("perturb:leet", 2, {}),
        ("inject:order_no", 2, {}),
    ]
    assert left_out(found.families) == []


def test_files_are_made_by_name_and_again_alike() -> None:
    found = plan([labelled("a"), labelled("b", "Other words")], chosen_families(["drawn", "order_drawn"]), 0)
    pictures = {item.media: found.file(str(item.media)) for item in found.changed}
    assert len(set(pictures.values())) == len(pictures) == 4
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert pictures == {item.media: found.file(str(item.media)) for item in found.changed}


def test_what_cannot_be_shown_is_left_out_and_told_in_one_line() -> None:
    items = [labelled("a"), labelled("b", "x" * 2_001), labelled("c", "y" * 2_001), labelled("d", "\u200b")]
    found = plan(items, chosen_families(["drawn"]), 0)
    assert [item.id for item in found.changed] == ["a~drawn"]
    assert left_out(found.families) == [
        "perturb:drawn: 3 of 4 items left out: a text of 2,001 characters is too long to show or say (2); "
        "nothing of the text can be drawn (1)"
    ]


def test_without_a_synthesiser_the_rest_still_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = plan([labelled("a"), labelled("b")], chosen_families(["spoken", "drawn"]), 0)
    assert [item.id for item in found.changed] == ["a~drawn", "b~drawn"]
    (line,) = left_out(found.families)
    assert line.startswith("perturb:spoken: 2 of 2 items left out: speaking text needs espeak-ng")
    with pytest.raises(UsageError, match="no item could be changed: speaking text needs espeak-ng"):
        plan([labelled("a")], chosen_families(["spoken"]), 0)


def test_many_reasons_are_summed_up() -> None:
    items = [labelled("fine"), *(labelled(str(n), "x" * (2_001 + n)) for n in range(5))]
    (line,) = left_out(plan(items, chosen_families(["drawn"]), 0).families)
    assert line.endswith("; and 2 other reasons")
    assert line.count("(1)") == 3


def test_an_item_that_an_order_leaves_without_labels_is_not_judged() -> None:
    about_orders = eval_item("a", WORDS, areas={"security/platform_security": False}, harmful=False)
    found = plan([about_orders, labelled("b")], chosen_families(["order_no", "leet"]), 0)
    assert [item.id for item in found.changed] == ["a~leet", "b~order_no", "b~leet"]
    assert "makes every label unknown (1)" in left_out(found.families)[0]


def test_nothing_to_change_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="no texts to change"):
        plan([labelled("a", None, media="x.png")], chosen_families([]), 0)
    with pytest.raises(UsageError, match="it changes nothing about the words"):
        plan([labelled("a", "今天")], chosen_families(["leet"]), 0)
