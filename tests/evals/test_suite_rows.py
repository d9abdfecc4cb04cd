"""Rows as labelled items: what is true, what is unknown, and every unusable file as one line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import make_policy, make_rule

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import EvalItem
from llm_judge.evals.suite import AreaLabels, Balance, Part, Reads, Suite
from llm_judge.evals.suite_files import media_tar
from llm_judge.evals.suite_rows import asked_policies, data_folder, read_items, truth_of
from llm_judge.evals.suite_sample import sample_items
from llm_judge.policy.load import load_policies

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PLANTS = make_policy("garden/plants", (make_rule("R1"), make_rule("R2")))
SALES = make_policy("market/sales", (make_rule("S1"),))
POLICIES = (PLANTS, SALES)
LABELS = (
    AreaLabels(
        policy="garden/plants",
        covered_as=("plants",),
        violates=("plants.drown", "plants.other"),
        unclear=("plants.odd",),
        rules={"plants.drown": "R1"},
    ),
    AreaLabels(policy="market/sales", covered_as=("sales",), violates=("sales.fake",)),
)
ALL_NO = {"garden/plants#R1": "no", "garden/plants#R2": "no"}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "source", "lang", "text", "context", "content_type")),
        *((name, pa.string()) for name in ("origin", "target", "pair_group", "media", "parent_id")),
        ("violates", pa.bool_()),
        ("agreement", pa.float64()),
        *((name, pa.list_(pa.string())) for name in ("labels", "areas_covered", "slices")),
    ]
)


def toy(**changes: Any) -> Suite:
    data: dict[str, Any] = {
        "schema": 1,
        "suite": "toy",
        "title": "Toy",
        "about": "A toy.",
        "reads": Reads.TEXTS,
        "sources": ("toy",),
        "labels": LABELS,
    }
    return Suite(**data | changes)


def row(number: int = 0, *labels: str, **changes: Any) -> dict[str, Any]:
    """A row that covers plants and breaks a rule where it has labels."""
    made = dict.fromkeys(SCHEMA.names)
    made |= {"id": f"toy:{number}", "source": "toy", "lang": "en", "text": f"Plant {number}."}
    made |= {"violates": bool(labels), "labels": list(labels), "areas_covered": ["plants"], "slices": []}
    return made | changes


def write(folder: Path, *rows: dict[str, Any], file: str = "dev.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), folder / file)
    return folder


@pytest.mark.parametrize(
    ("made", "areas", "rules", "harmful"),
    [
        (row(0, "plants.drown"), {"garden/plants": True}, {"garden/plants#R1": "yes"}, True),
        (row(0, "plants.other"), {"garden/plants": True}, {}, True),
        (row(), {"garden/plants": False}, ALL_NO, None),
        (row(0, "plants.odd"), {}, {}, None),
        (row(0, "plants.odd", "plants.other"), {"garden/plants": True}, {}, True),
        (
            row(0, "sales.fake", areas_covered=["plants", "sales"]),
            {"garden/plants": False, "market/sales": True},
            ALL_NO,
            True,
        ),
        (row(areas_covered=["any"]), {"garden/plants": False, "market/sales": False}, None, False),
        (
            row(areas_covered=["plants", "sales"]),
            {"garden/plants": False, "market/sales": False},
            None,
            False,
        ),
        (row(areas_covered=["plants.roses"]), {}, {}, None),  # a part of the area is not the area
        (row(violates=None), {}, {}, None),
        (row(violates=True), {}, {}, None),  # breaks something that no label names
        (row(0, "plants.other", violates=False), {}, {}, None),
        (row(0, "plants.other", areas_covered=["any"]), {"garden/plants": True}, {}, True),
        (row(labels=None, areas_covered=None), {}, {}, None),
    ],
)
def test_a_missing_label_is_unknown(
    made: dict[str, Any], areas: dict[str, bool], rules: dict[str, str] | None, harmful: bool | None
) -> None:
    wanted = {**ALL_NO, "market/sales#S1": "no"} if rules is None else rules
    assert truth_of(made, toy(), POLICIES) == (areas, wanted, harmful)


def test_labels_of_areas_that_are_not_judged_say_nothing() -> None:
    both = row(0, "sales.fake", areas_covered=["plants", "sales"])
    assert truth_of(both, toy(), (PLANTS,)) == ({"garden/plants": False}, ALL_NO, False)
    assert truth_of(row(0, "sales.fake"), toy(), ()) == ({}, {}, None)


def test_a_label_without_an_area_is_about_the_item() -> None:
    suite = toy(harmful=("rude",))
    open_area = row(0, "rude", areas_covered=["none of ours"])
    assert truth_of(open_area, suite, POLICIES) == ({}, {}, True)
    assert truth_of(open_area, suite, (PLANTS,))[2] is None  # it may be the area that is not judged


def test_disputed_rows_answer_nothing() -> None:
    suite = toy(agreement_at_least=0.66)
    assert truth_of(row(agreement=0.5), suite, POLICIES)[0] == {}
    assert truth_of(row(agreement=0.7), suite, POLICIES)[0] == {"garden/plants": False}
    assert truth_of(row(), suite, POLICIES)[0] == {"garden/plants": False}


def test_an_item_keeps_what_later_steps_need(tmp_path: Path) -> None:
    data = write(
        tmp_path,
        row(1, "plants.drown", pair_group="p1", target="roses", origin="human", slices=["a", "b"]),
        row(2, source="other"),
        row(3, violates=None),
    )
    suite = toy(slices=("slices", "origin", "target"))
    assert read_items(suite, data, POLICIES) == [
        EvalItem(
            id="toy:1",
            suite="toy",
            source="toy",
            text="Plant 1.",
            media=None,
            modality="text",
            lang="en",
            slices=("a", "b", "origin:human", "target:roses"),
            group="p1",
            areas={"garden/plants": True},
            rules={"garden/plants#R1": "yes"},
            harmful=True,
            target="roses",
        )
    ]


def test_rows_are_filtered_as_the_suite_says(tmp_path: Path) -> None:
    data = write(
        tmp_path,
        row(1, content_type="post", slices=["keep"]),
        row(2, lang="de", content_type="post", slices=["keep"]),
        row(3, content_type="sms", slices=["keep"]),
        row(4, content_type="post", slices=["drop"]),
    )
    suite = toy(languages=("en",), content_types=("post",), only=("keep",))
    assert [item.id for item in read_items(suite, data, POLICIES)] == ["toy:1"]


@pytest.mark.parametrize(
    ("context", "texts"),
    [
        (None, ["Plant 2."]),
        ("ignore", ["Plant 1.", "Plant 2.", "Plant 3."]),
        ("before", ["Hello.\n\nAnd?\n\nPlant 1.", "Plant 2.", "not JSON\n\nPlant 3."]),
    ],
)
def test_earlier_turns_are_used_as_the_suite_says(
    context: str | None, texts: list[str], tmp_path: Path
) -> None:
    data = write(
        tmp_path, row(1, context='["Hello.", "And?"]'), row(2, context="[]"), row(3, context="not JSON")
    )
    assert [item.text for item in read_items(toy(context=context), data, POLICIES)] == texts


def test_media_are_named_and_share_the_group_of_their_text(tmp_path: Path) -> None:
    made = row(1, "plants.other", media="img/1.png", parent_id="toy:9", lang="zxx")
    data = write(tmp_path, made, file="images_index_dev.parquet")
    (item,) = read_items(toy(reads=Reads.IMAGES), data, POLICIES)
    assert (item.text, item.media, item.modality, item.group) == (None, "img/1.png", "image", "toy:9")


def test_the_tar_of_a_suite_is_found_or_named(tmp_path: Path) -> None:
    assert media_tar(tmp_path, toy()) is None
    with pytest.raises(UsageError, match=r"there is no file `.*media_dev.tar`"):
        media_tar(tmp_path, toy(reads=Reads.AUDIO))
    (tmp_path / "media_dev.tar").touch()
    assert media_tar(tmp_path, toy(reads=Reads.AUDIO)) == tmp_path / "media_dev.tar"


def test_cases_need_no_data(tmp_path: Path) -> None:
    (tmp_path / "garden").mkdir()
    (tmp_path / "garden" / "plants.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "garden" / "plants.cases.yaml").write_text(CASES, encoding="utf-8")
    suite = toy(suite="cases", reads=Reads.CASES, sources=(), labels=())
    items = read_items(suite, None, load_policies([tmp_path]))
    assert [(i.id, i.areas, i.rules, i.harmful) for i in items] == [
        ("garden/plants#hit", {"garden/plants": True}, {"garden/plants#R1": "yes"}, True),
        ("garden/plants#spared", {}, {"garden/plants#R1": "except"}, None),
        ("garden/plants#near", {}, {"garden/plants#R2": "no"}, None),
        ("garden/plants#line 8", {"garden/plants": False}, ALL_NO, False),
    ]
    assert [item.slices for item in items][-1] == ("expect:clear", "todo")


def test_parts_are_taken_once_and_named_after_the_whole(tmp_path: Path) -> None:
    data = write(tmp_path, *(row(n, *(["plants.other"] if n % 2 else [])) for n in range(20)))
    parts = (Part(suite="toy", take=6), Part(suite="toy", take=100))
    whole = toy(suite="all", reads=None, sources=(), labels=(), compose=parts, members=(toy(), toy()))
    items = read_items(whole, data, POLICIES)
    assert len(items) == len({item.id for item in items}) == 20
    assert {item.suite for item in items} == {"all"}
    assert sum(bool(item.harmful) for item in items[:6]) == 3
    assert len(read_items(whole, data, POLICIES, limit=7)) == 7


def test_a_suite_without_its_data_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read_items(toy(), None, POLICIES)
    assert "--data" in (raised.value.hint or "")
    assert "LLM_JUDGE_DATA" in (raised.value.hint or "")
    with pytest.raises(UsageError, match=r"there is no file `.*dev.parquet`, which suite `toy` needs"):
        read_items(toy(), tmp_path, POLICIES)


def test_unusable_files_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "dev.parquet"
    path.write_bytes(b"not Parquet at all")
    with pytest.raises(UsageError, match="cannot be read as Parquet") as raised:
        read_items(toy(), tmp_path, POLICIES)
    assert "\n" not in raised.value.message
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        read_items(toy(), tmp_path, POLICIES)
    pq.write_table(pa.table({"id": ["toy:1"], "source": ["toy"]}), path)
    with pytest.raises(UsageError, match="has no column `lang`"):
        read_items(toy(), tmp_path, POLICIES)
    wrong = SCHEMA.set(SCHEMA.get_field_index("labels"), pa.field("labels", pa.string()))
    pq.write_table(wrong.empty_table(), path)
    with pytest.raises(UsageError, match=r"column `labels` of .* must hold a list of texts, not string"):
        read_items(toy(), tmp_path, POLICIES)
    write(tmp_path, row(1, source="other"))
    with pytest.raises(UsageError, match="holds no row of `toy`"):
        read_items(toy(), tmp_path, POLICIES)
    write(tmp_path, row(1), row(1))
    with pytest.raises(UsageError, match="two rows with the id `toy:1`"):
        read_items(toy(), tmp_path, POLICIES)


def test_policies_a_suite_is_not_about_are_told(tmp_path: Path) -> None:
    data = write(tmp_path, row(1, "plants.other", areas_covered=["none of ours"]))
    with pytest.raises(UsageError) as raised:
        read_items(toy(), data, (SALES,))
    assert raised.value.message == "suite `toy` says nothing about `market/sales`"
    assert raised.value.hint == "it is about `garden/plants`, `market/sales`"
    assert asked_policies(toy(labels=LABELS[:1]), POLICIES) == (PLANTS,)
    assert asked_policies(toy(labels=()), POLICIES) == POLICIES


def test_senseless_arguments_are_told(tmp_path: Path) -> None:
    data = write(tmp_path, row(1))
    with pytest.raises(UsageError, match="a limit of 0 items"):
        read_items(toy(), data, POLICIES, limit=0)
    with pytest.raises(UsageError) as raised:
        read_items(toy(), data, POLICIES, sample="answer")
    assert raised.value.hint == "did you mean `answers`?"


def test_the_folder_comes_from_the_option_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLM_JUDGE_DATA", raising=False)
    assert data_folder(None) is None
    monkeypatch.setenv("LLM_JUDGE_DATA", str(tmp_path / "none"))
    assert data_folder(tmp_path) == tmp_path
    with pytest.raises(UsageError, match="LLM_JUDGE_DATA names"):
        data_folder(None)
    monkeypatch.setenv("LLM_JUDGE_DATA", str(tmp_path))
    assert data_folder(None) == tmp_path


def made_item(number: int, applies: bool, lang: str = "en", group: str | None = None) -> EvalItem:
    areas = {"garden/plants": applies}
    name = group or str(number)
    return EvalItem(str(number), "toy", "toy", "x", None, "text", lang, (), name, areas, {}, applies)


def test_a_rare_answer_fills_half_of_a_balanced_sample() -> None:
    items = [made_item(n, applies=n % 10 == 0) for n in range(200)]
    count = Counter(item.harmful for item in sample_items(items, 30))
    assert count == {True: 15, False: 15}
    natural = Counter(item.harmful for item in sample_items(items, 100, Balance.PREVALENCE))
    assert 4 <= natural[True] <= 16  # 10 expected


def test_a_rare_language_gets_its_share() -> None:
    items = [made_item(n, applies=False, lang="nl" if n < 8 else "de") for n in range(100)]
    assert Counter(i.lang for i in sample_items(items, 16, Balance.LANGUAGES)) == {"nl": 8, "de": 8}


def test_pairs_stay_together() -> None:
    items = [made_item(n, applies=n % 2 == 0, group=f"pair {n // 2}") for n in range(40)]
    sizes = Counter(item.group for item in sample_items(items, 11)).values()
    assert sorted(sizes) == [1, 2, 2, 2, 2, 2]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["en", "de"]), st.integers(0, 9)), max_size=60),
    st.integers(1, 70),
    st.sampled_from(Balance),
    st.integers(0, 3),
)
def test_a_sample_is_as_large_as_it_can_be_and_repeatable(
    rows: list[tuple[bool, str, int]], take: int, balance: Balance, seed: int
) -> None:
    items = [made_item(n, *each[:2], group=f"g{each[2]}") for n, each in enumerate(rows)]
    taken = sample_items(items, take, balance, seed)
    assert len(taken) == min(take, len(items))
    assert [int(item.id) for item in taken] == sorted(int(item.id) for item in taken)
    again = sample_items(list(reversed(items)), take, balance, seed)
    assert {item.group for item in again} == {item.group for item in taken}


def test_another_seed_gives_another_sample() -> None:
    items = [made_item(n, applies=n % 2 == 0) for n in range(100)]
    assert sample_items(items, 10, seed=1) == sample_items(items, 10, seed=1)
    assert sample_items(items, 10, seed=1) != sample_items(items, 10, seed=2)


POLICY = """\
schema: 1
policy: garden/plants
version: 1.0.0
title: Plants
summary: Harm to plants.
status: stable
owner: garden-team
modalities: [text]
rules:
  - id: R1
    title: Drowning
    violates: Drowns a plant.
    severity: 2
    exemptions: [{id: study, when: It is an experiment.}]
  - {id: R2, title: Trampling, violates: Tramples a plant., severity: 2}
"""
CASES = """\
schema: 1
policy: garden/plants
cases:
  - {id: hit, content: I drowned it., expect: violates, rule: R1, lang: en}
  - {id: spared, content: We drowned it to learn., expect: exempt, rule: R1, exemption: study, lang: en}
  - {id: near, content: I walked by., expect: clear, rule: R2, lang: en}
  # the last one names no rule
  - {content: I watered it., expect: clear, lang: en, todo: true}
"""
