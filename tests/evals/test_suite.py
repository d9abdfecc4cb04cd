"""Suites as files: what they may say, every mistake with its place, and the shipped ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import make_policy, make_rule

from llm_judge.diagnostics import Diagnostic
from llm_judge.errors import PolicyError, UsageError
from llm_judge.evals.suite import (
    Reads,
    Suite,
    areas_without_data,
    load_suite,
    load_suites,
    parse_suite,
    suites_folder,
)
from llm_judge.policy.load import scan_policies
from llm_judge.policy.model import Policy
from llm_judge.resources import content_folder

RULES = {"garden/plants": ("R1", "R2"), "market/sales": ("S1",)}
PLAIN = """\
schema: 1
suite: toy
title: A toy set
about: Says something.
reads: texts
sources: [toy]
labels:
  - policy: garden/plants
    covered_as: [plants]
    violates: [plants.drown, plants.other]
    unclear: [plants.odd]
    rules: {plants.drown: R1}
slices: [slices, origin]
"""
COMPOSED = """\
schema: 1
suite: both
title: Both
about: Two sets.
compose:
  - {suite: toy, take: 5}
  - {suite: toy, take: 3, balance: languages, reads: images}
"""


def found_in(text: str, name: str = "toy") -> list[Diagnostic]:
    suite, found = parse_suite(text, f"{name}.yaml", RULES, {"toy": False, "both": True})
    assert (suite is None) == bool(found)
    return found


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shipped() -> dict[str, Suite]:
    return load_suites()


@pytest.fixture(scope="module")
def guidelines() -> tuple[Policy, ...]:
    return scan_policies([content_folder("policies")]).policies


def test_a_plain_suite_is_read() -> None:
    suite, found = parse_suite(PLAIN, "toy.yaml", RULES, {})
    assert found == []
    assert suite is not None
    assert (suite.reads, suite.split, suite.policy_ids) == (Reads.TEXTS, "dev", ("garden/plants",))
    assert suite.labels[0].rules == {"plants.drown": "R1"}
    assert suite.needs_data


@pytest.mark.parametrize(
    ("old", "new", "code", "place", "words"),
    [
        ("policy: garden/plants", "policy: garden/plant", "E101", (8, 13), "did you mean `garden/plants`?"),
        ("{plants.drown: R1}", "{plants.drown: R3}", "E102", (12, 27), "rules: `R1`, `R2`"),
        ("{plants.drown: R1}", "{plants.drawn: R1}", "E104", (12, 13), "did you mean `plants.drown`?"),
        ("[plants.odd]", "[plants.other]", "E104", (11, 15), "keep one of them"),
        ("suite: toy", "suite: tay", "E105", (2, 8), "write `suite: toy`, or rename the file"),
        ("sources: [toy]\n", "", "E104", (5, 8), "name values of the column `source`"),
        ("reads: texts\n", "", "E104", (2, 8), "a plain suite has `reads`"),
        ("slices: [", "partly: true\nslices: [", "E104", (13, 9), "say what is not known"),
        ("violates:", "violate:", "P002", (10, 5), "did you mean `violates`?"),
        ("reads: texts", "reads: text", "P003", (5, 8), "did you mean `texts`?"),
        ("covered_as: [plants]", "covered_as: plants", "P005", (9, 17), "write `[plants]`"),
        ("title: A toy set\n", "", "P001", (1, 1), "add `title: …`"),
    ],
)
def test_a_mistake_is_one_message_with_its_place(
    old: str, new: str, code: str, place: tuple[int, int], words: str
) -> None:
    (found,) = found_in(PLAIN.replace(old, new))
    assert (found.code, (found.span.line, found.span.column)) == (code, place)
    assert words in (found.help or "")


def test_an_area_has_one_block_of_labels() -> None:
    (found,) = found_in(PLAIN.replace("slices:", "  - {policy: garden/plants}\nslices:"))
    assert found.message == "`garden/plants` has labels twice"


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("suite: toy, take: 5", "suite: tea, take: 5", "E103", "there is no suite `tea`"),
        ("suite: toy, take: 5", "suite: both, take: 5", "E103", "suite `both` is composed itself"),
        ("take: 5", "take: 0", "P006", "`take` cannot be `0`"),
        ("languages", "language", "P003", "`balance` cannot be `language`"),
        ("compose:", "sources: [toy]\ncompose:", "E104", "a composed suite has no `sources` of its own"),
        (
            "compose:",
            "reads: texts\ncompose:",
            "E104",
            "a suite has `reads` or `compose`, and only one of them",
        ),
    ],
)
def test_a_wrong_part_is_told(old: str, new: str, code: str, message: str) -> None:
    found = found_in(COMPOSED.replace(old, new), "both")
    assert [(each.code, each.message) for each in found] == [(code, message)]


@pytest.mark.parametrize("text", ["", "- a list\n", "schema: 1\n", "labels: text\n", "compose: [1, text]\n"])
def test_nonsense_is_told_and_never_a_crash(text: str) -> None:
    assert found_in(text)


def test_parts_are_filled_in_and_read_as_their_line_says(tmp_path: Path) -> None:
    policies = [make_policy("garden/plants", (make_rule("R1"),))]
    suites = load_suites(write(tmp_path, toy=PLAIN, both=COMPOSED), policies)
    texts, pictures = suites["both"].members
    assert (texts.reads, texts.sources) == (Reads.TEXTS, ("toy",))
    assert (pictures.reads, pictures.sources) == (Reads.IMAGES, ("rendered:toy",))
    assert suites["both"].policy_ids == ("garden/plants",)
    assert load_suite(tmp_path / "both.yaml", policies) == suites["both"]


def test_every_wrong_file_is_reported_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path, toy=PLAIN.replace("R1}", "R9}"), both=COMPOSED.replace("take: 5", "take: 0"))
    with pytest.raises(PolicyError) as raised:
        load_suites(folder, [make_policy("garden/plants", (make_rule("R1"),))])
    found = [each for each in raised.value.diagnostics if isinstance(each, Diagnostic)]
    assert [each.code for each in found] == ["P006", "E102"]


def test_an_unknown_suite_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as raised:
        load_suite("gaahd")
    assert (raised.value.message, raised.value.hint) == ("there is no suite `gaahd`", "did you mean `gahd`?")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no file"):
        load_suite(tmp_path / "none.yaml", [make_policy()])


def test_an_area_without_a_positive_has_no_data() -> None:
    suite, _ = parse_suite(PLAIN, "toy.yaml", RULES, {})
    assert suite is not None
    policies = [make_policy("market/sales"), make_policy("garden/plants")]
    assert areas_without_data({"toy": suite}, policies) == ["market/sales"]
    assert areas_without_data({}, policies) == ["garden/plants", "market/sales"]


def test_every_shipped_suite_loads(shipped: dict[str, Suite]) -> None:
    """Loading checks that each cites policies, rules and suites that exist."""
    assert set(shipped) == {path.stem for path in suites_folder().glob("*.yaml")}
    composed = {name for name, suite in shipped.items() if suite.compose}
    assert composed == {
        *("core-text", "multilingual", "functional", "image-text", "speech", "injection", "benign"),
    }
    assert all(suite.licence for name, suite in shipped.items() if name not in composed)
    assert [name for name, suite in shipped.items() if not suite.needs_data] == ["guideline-cases"]


def test_the_label_maps_cover_many_sets_and_areas(
    shipped: dict[str, Suite], guidelines: tuple[Policy, ...]
) -> None:
    sets = {source for suite in shipped.values() if suite.labels for source in suite.sources}
    assert len(sets) >= 14
    assert len(guidelines) - len(areas_without_data(shipped, guidelines)) >= 17


def test_the_core_suite_judges_every_area_its_sets_score(shipped: dict[str, Suite]) -> None:
    core = shipped["core-text"]
    scored = {label.policy for suite in core.members for label in suite.labels if label.violates}
    assert set(core.policy_ids) == scored


@pytest.mark.parametrize("path", sorted(suites_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_suite_fits_one_screen_and_is_listed(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 45
    assert f"| `{path.stem}` |" in (path.parent / "README.md").read_text(encoding="utf-8")


def test_the_page_lists_the_areas_without_data(
    shipped: dict[str, Suite], guidelines: tuple[Policy, ...]
) -> None:
    page = (suites_folder() / "README.md").read_text(encoding="utf-8")
    section = page.partition("## Areas without data")[2].partition("\n## ")[0]
    assert all(f"`{area}`" in section for area in areas_without_data(shipped, guidelines))
    assert section.count("/") >= len(areas_without_data(shipped, guidelines))
