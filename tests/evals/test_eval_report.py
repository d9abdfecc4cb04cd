"""The report says what the run holds, what it lacks, and shows words of items as words only."""

from __future__ import annotations

import html as html_module
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from outcome_rows import answer, item, table
from report_runs import HOSTILE, made_robustness, made_run, words_of

from llm_judge.diagnostics import Level
from llm_judge.errors import UsageError
from llm_judge.evals.doctor import Finding
from llm_judge.evals.eval_report import report_data, to_html, to_markdown
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.run_data import BASELINES, RunData, read_run
from llm_judge.evals.run_folder import RunFolder

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
EMPTY = RunData("empty", {}, ())
FINDINGS = [
    Finding(
        "D301", Level.ERROR, ("set_two:1", "elsewhere:9"), "`set_two:1` is labelled twice", "correct one"
    ),
    Finding("D301", Level.ERROR, ("elsewhere:7", "elsewhere:8"), "they stand elsewhere", "correct one"),
    Finding("D401", Level.WARNING, (), "`safety/hate` has only yes in dev", "add items"),
]


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    run = made_run(count=200)
    baselines = [made_run("tfidf", 200, 1.5), made_run("constant", 150, 0.0)]
    return report_data(
        run, baselines, words_of(run), findings=FINDINGS, robustness=made_robustness(), draws=10
    )


@pytest.fixture(scope="module")
def html(data: dict[str, Any]) -> str:
    return to_html(data)


class Elements(HTMLParser):
    """Names of all elements, scripts with their text, and all attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def outcomes_of(text: str, heading: str) -> str:
    """One section of the Markdown."""
    return text.partition(f"### {heading}\n")[2].partition("\n### ")[0]


def test_the_data_are_json_and_make_the_same_report_after_a_round_trip(
    data: dict[str, Any], html: str
) -> None:
    again = json.loads(json.dumps(data, allow_nan=False))
    assert to_html(again) == html
    assert to_markdown(again) == to_markdown(data)


def test_hostile_words_stay_words(html: str) -> None:
    elements = Elements(html)
    assert elements.names.count("script") == 1
    assert "img" not in elements.names
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert ("data-whole", HOSTILE) in elements.attributes


def test_words_of_items_are_masked_and_markdown_never_holds_them_whole(data: dict[str, Any]) -> None:
    assert "Words number" not in to_markdown(data)
    visible = re.sub(r'data-whole="[^"]*"', "", to_html(data))
    assert "Words number" not in visible
    assert "W···s n····r" in visible


def test_without_words_the_report_holds_none(data: dict[str, Any]) -> None:
    page = to_html({**data, "texts": {}})
    assert "data-whole" not in page
    assert "No words are given" in page


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    for name, value in Elements(html).attributes:
        if name in ("src", "href", "xlink:href"):
            assert value is not None
            assert value.startswith(("#", "data:,"))


def test_every_baseline_has_a_row_and_what_was_not_run_has_its_command(data: dict[str, Any]) -> None:
    section = outcomes_of(to_markdown(data), "Against baselines")
    for name, title in BASELINES.items():
        assert f"| {title} |" in section
        assert (f"core-text --which {name} --sample 400" in section) == (name not in ("tfidf", "constant"))
    assert "only 150 of 200 items" in section
    assert "this run minus the baseline" in section


def test_a_run_that_is_a_baseline_is_its_own_row() -> None:
    run = RunData("untuned", {}, tuple(table((True, 0.9), (False, 0.1))))
    section = outcomes_of(to_markdown(report_data(run, [], {}, draws=0)), "Against baselines")
    assert "| untuned packaged model, areas only | is this run |" in section
    assert "--which untuned" not in section


def test_markdown_tables_have_one_cell_a_column(data: dict[str, Any]) -> None:
    columns = 0
    for line in to_markdown(data).splitlines():
        if line.startswith("|"):
            columns = columns or line.count("|")
            assert line.count("|") == columns
        else:
            columns = 0


def test_counts_and_confusion_by_hand() -> None:
    rows = [(True, 0.9), (True, 0.1), (True, None), (False, 0.8), (False, 0.5), (None, 0.9)]
    run = RunData("mine", {"policies": {"safety/hate": "1", "mature/graphic": "1"}}, tuple(table(*rows)))
    found = report_data(run, [], {}, draws=0)
    (row,) = found["confusion"]
    assert row["applies"] == {"clear": 1, "unreadable": 1, "violates": 1}
    assert row["does_not"] == {"abstain": 1, "violates": 1}
    assert row["unknown"] == {"violates": 1}
    assert found["no_data"]["areas"] == ["mature/graphic"]
    text = to_markdown(found)
    assert "| safety/hate | 5 | 1 |" in outcomes_of(text, "Not labelled, or in part")
    assert "mature/graphic" in outcomes_of(text, "Summary")


def test_a_rule_that_was_not_asked_is_counted_as_such_and_its_area_stands_for_it() -> None:
    area = answer(True, 0.1)
    rule = replace(area, kind=Kind.RULE, key="safety/hate#HS1", asked=False)
    found = report_data(RunData("mine", {}, (item(1, area, rule),)), [], {}, draws=0)
    assert [row["applies"] for row in found["confusion"]] == [{"clear": 1}, {"not_asked": 1}]
    assert [row["kind"] for row in found["worst"]["misses"]] == ["area"]


def test_worst_errors_come_surest_first_and_no_abstention_is_one() -> None:
    rows = [(True, 0.2), (True, 0.05), (True, 0.5), (False, 0.75), (False, 0.99), (False, 0.1), (None, 0.9)]
    worst = report_data(RunData("mine", {}, tuple(table(*rows))), [], {}, draws=0)["worst"]
    assert [row["item"] for row in worst["misses"]] == ["set:1", "set:0"]
    assert [row["item"] for row in worst["false_alarms"]] == ["set:4", "set:3"]


def test_a_flipped_label_is_a_candidate_and_comes_first_where_others_agree() -> None:
    rows = [(True, 0.9)] * 20 + [(False, 0.1)] * 20
    odd = [(False, 0.97), (False, 0.95)]
    run = RunData("mine", {}, tuple(table(*rows, *odd)))
    other = RunData("tfidf", {}, tuple(table(*rows, (False, 0.1), (False, 0.9))))
    noise = report_data(run, [other], {}, draws=0)["noise"]
    assert [(row["item"], row["others_against"], row["others"]) for row in noise] == [
        ("set:41", 1, 1),
        ("set:40", 0, 1),
    ]


def test_near_duplicates_with_opposite_labels_are_listed() -> None:
    findings = [
        Finding("D302", Level.WARNING, ("set:0", "set:1"), "opposite labels", "look"),
        Finding("D101", Level.WARNING, ("set:0",), "an id stands twice", "look"),
    ]
    run = RunData("mine", {}, tuple(table((True, 0.9), (False, 0.1))))
    words = {"set:0": "planting roses"}
    found = report_data(run, [], words, findings=findings, draws=0)
    section = outcomes_of(to_markdown(found), "Label-noise candidates")
    assert "set:0: opposite labels: p······g r···s" in section
    assert "stands twice" not in section


def test_agreement_by_hand() -> None:
    """Labels: 6 yes/yes, 2 yes/no, 1 no/yes, 7 no/no and a doubt that is left out: κ = (13/16 − ½)/½."""
    rows = [(True, 0.9)] * 6 + [(True, 0.1)] * 2 + [(False, 0.9)] + [(False, 0.1)] * 7 + [(True, 0.5)]
    run = RunData("mine", {}, tuple(table(*rows)))
    other = RunData("tfidf", {}, tuple(table(*rows[:8], *[(truth, 0.1) for truth, _ in rows[8:]])))
    found = report_data(run, [other], {}, draws=0)["agreement"]
    (labels,) = found["labels"]
    assert (labels["key"], labels["n"], labels["same"]) == ("safety/hate", 16, 13)
    assert labels["kappa"]["value"] == 0.625
    (between,) = found["runs"]["tfidf"]  # the doubt is a word of its own between runs
    assert (between["n"], between["same"]) == (17, 15)
    section = outcomes_of(to_markdown(report_data(run, [other], {}, draws=50)), "Agreement")
    assert re.search(r"\| safety/hate \| 16 \| 13 \| 0\.6[23] \(", section)
    assert "| TF-IDF + logistic regression | 17 | 15 |" in section


def test_agreement_without_another_run_or_labels_says_so() -> None:
    run = RunData("mine", {}, tuple(table((None, 0.9), (None, 0.2))))
    section = outcomes_of(to_markdown(report_data(run, [], {}, draws=0)), "Agreement")
    assert "agreement with labels is n/a" in section
    assert "llm-judge eval baselines core-text" in section


def test_robustness_stands_by_family_and_by_area(data: dict[str, Any]) -> None:
    section = outcomes_of(to_markdown(data), "Robustness")
    (whole,) = [
        row
        for row in data["robustness"]["rows"]
        if (row["family"], row["kind"], row["key"]) == ("perturb:leet", "area", "all")
    ]
    recall = whole["recall"]
    name = "perturb:leet".replace(":", "&#58;") if "&#58;" in section else "perturb:leet"
    assert f"| {name} | all areas | {whole['pairs']} | {recall['total']} |" in section
    assert f"{recall['before']} → {recall['after']}" in section.replace("&gt;", ">")
    assert f"| {name} | safety/hate |" in section
    assert "n/a, no guideline that these items are labelled for judges pictures" in section
    assert "2 items left out: nothing can be drawn (2)" in section
    assert data["robustness"]["differs"] == []
    assert "another judge" not in outcomes_of(to_markdown(data), "Summary")


def test_robustness_of_another_judge_is_a_warning() -> None:
    run = made_run(count=60)
    judge = {**run.manifest["judge"], "adapter_digest": "56" * 32}
    tuned = RunData(run.name, {**run.manifest, "judge": judge}, run.outcomes)
    baseline = RunData("mine", {}, run.outcomes)  # no judge at all
    for each, names in ((tuned, "adapter_digest."), (baseline, "policy_digest, prompt_digest, engine")):
        found = to_markdown(report_data(each, [], {}, robustness=made_robustness(), draws=0))
        for heading in ("Summary", "Robustness"):
            section = outcomes_of(found, heading).replace("&#95;", "_")
            assert "measured on another judge than this run's; what differs: " + names in section


def test_findings_stand_by_code_and_those_of_this_run_first(data: dict[str, Any]) -> None:
    section = outcomes_of(to_markdown(data), "What is wrong with the labelled data").replace("&#95;", "_")
    assert "| D301, error | 2 | 1 |" in section
    assert section.index("set_two:1") < section.index("they stand elsewhere")
    assert "| D401, warning | 1 | 0 |" in section
    assert "labels or splits of this run's items: 1." in outcomes_of(to_markdown(data), "Summary")
    assert data["opposite"][0]["ids"] == ["set_two:1", "elsewhere:9"]


@pytest.mark.parametrize("render", [to_markdown, to_html])
def test_what_was_not_run_says_so_in_one_line_with_its_command(
    render: Callable[[dict[str, Any]], str],
) -> None:
    shown = render(report_data(made_run(count=20), [], {}, draws=0)).replace("&#95;", "_")
    assert "Not run: llm-judge eval robustness core-text --out FOLDER" in shown
    assert "Not examined: llm-judge eval doctor --data DATA_FOLDER --json" in html_module.unescape(shown)
    nothing = render(report_data(EMPTY, [], {}, findings=[]))
    assert "The doctor found nothing." in nothing


def test_an_empty_run_says_so() -> None:
    found = report_data(EMPTY, [], {})
    assert "There are no items" in to_markdown(found)
    assert "Nothing to draw" in to_html(found)


def test_too_few_labels_give_a_reason_instead_of_numbers_and_plots() -> None:
    run = RunData("mine", {}, tuple(table((True, 0.9), (False, 0.2))))
    found = report_data(run, [], {}, draws=10)
    assert re.search(r"n/a \([^)]*needed\)", to_markdown(found))
    assert "Too few labels" in to_html(found)
    assert "<svg" not in to_html(found)


@pytest.mark.parametrize("rows", [[(True, None)] * 12, [(None, 0.9)] * 12, [(True, 0.5)] * 12])
def test_all_unreadable_all_unlabelled_and_all_abstained(
    rows: list[tuple[bool | None, float | None]],
) -> None:
    found = report_data(RunData("mine", {}, tuple(table(*rows))), [], {}, draws=10)
    assert "n/a (" in to_markdown(found)
    assert "</html>" in to_html(found)


def test_errors_are_counted_where_they_cannot_be_missed() -> None:
    failed = replace(item(3), error=f"ContentDamaged: {HOSTILE}")
    run = RunData("mine", {}, (*table((True, 0.9), (False, 0.2)), failed))
    found = report_data(run, [], {}, draws=0)
    assert "1 of 3 items ended in an error" in outcomes_of(to_markdown(found), "Summary")
    assert "img" not in Elements(to_html(found)).names


def test_many_different_errors_are_summed_up() -> None:
    failed = tuple(item(number, error=f"EngineError: request {number}") for number in range(500))
    section = outcomes_of(
        to_markdown(report_data(RunData("mine", {}, failed), [], {}, draws=0)),
        "Abstentions, unreadable answers, errors and cost",
    )
    assert "other messages | 480/500" in section


def test_hostile_names_of_runs_and_slices_stay_text() -> None:
    rows = [(True, 0.9)] * 12 + [(False, 0.2)] * 12
    run = RunData(HOSTILE, {"suites": [HOSTILE], HOSTILE: HOSTILE}, tuple(table(*rows, slices=(HOSTILE,))))
    elements = Elements(to_html(report_data(run, [RunData("<b>x", {}, run.outcomes)], {}, draws=5)))
    assert elements.names.count("script") == 1
    assert not {"img", "b"} & set(elements.names)


def test_every_digest_of_the_manifest_is_shown(data: dict[str, Any]) -> None:
    section = outcomes_of(to_markdown(data), "Versions and digests")
    assert all(digest * 32 in section for digest in ("ab", "12", "34"))
    assert "torch" in section


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two runs are called `empty`"):
        report_data(EMPTY, [EMPTY], {})


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with RunFolder(tmp_path / "mine", {"suites": ["core-text"]}) as folder:
        folder.append(table((True, 0.9)))
        folder.finish({"seconds": 1.0})
    run = read_run(tmp_path / "mine")
    assert (run.name, run.outcomes) == ("mine", tuple(table((True, 0.9))))
    assert run.manifest["suites"] == ["core-text"]
