"""`llm-judge eval`: from labelled rows to a page, as an engineer runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Run

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

# Thirty texts that pay first, thirty that do not; the script of `folder` fires on "fee".
CASES = "schema: 1\npolicy: demo/sales\ncases:\n" + "".join(
    f'  - {{id: bad{n}, content: "Pay a small fee of {n} to claim it.", expect: violates, rule: MS1}}\n'
    f'  - {{id: fine{n}, content: "Meet us at stall {n} on Monday.", expect: clear}}\n'
    for n in range(30)
)
ENGINE = ("-p", "sales.yaml", "-e", "scripted:script.json")


@pytest.fixture
def cases(folder: Path) -> Path:
    (folder / "sales.cases.yaml").write_text(CASES)
    return folder


@pytest.fixture
def run(cases: Path, llm_judge: Callable[..., Run]) -> Path:
    done = llm_judge("eval", "run", "guideline-cases", *ENGINE)
    assert (done.code, done.err) == (0, "")
    assert "60 items in runs/guideline-cases" in done.out
    return cases / "runs" / "guideline-cases"


def area(report: dict[str, Any], metric: str) -> dict[str, Any]:
    (cell,) = [c for c in report["systems"][0]["cells"] if (c["kind"], c["key"]) == ("area", "demo/sales")]
    return dict(cell["metrics"][metric])


def test_a_run_is_scored_and_shown(run: Path, llm_judge: Callable[..., Run]) -> None:
    report = json.loads(llm_judge("eval", "report", run, "--json", "--draws", "50").out)
    assert report["items"] == 60
    assert area(report, "auroc")["value"] == 1.0
    assert area(report, "recall")["value"] == 1.0
    shown = llm_judge("eval", "report", run, "--draws", "20")
    assert shown.code == 0
    assert "not run" in shown.out  # the baselines have their rows all the same
    for name in ("page.html", "page.md", "page.json"):
        assert llm_judge("eval", "report", run, "--draws", "0", "--out", name).code == 0
        assert Path(name).stat().st_size > 1000
    assert "small fee" not in Path("page.md").read_text()


def test_a_run_goes_on_only_when_asked(run: Path, llm_judge: Callable[..., Run]) -> None:
    again = llm_judge("eval", "run", "guideline-cases", *ENGINE)
    assert again.code == 2
    assert "add --resume" in again.err
    assert llm_judge("eval", "run", "guideline-cases", *ENGINE, "--resume").code == 0
    other = llm_judge("eval", "run", "guideline-cases", *ENGINE, "--resume", "--limit", "6")
    assert other.code == 2
    assert "is a run with another" in other.err


def test_compare_and_its_gate(run: Path, llm_judge: Callable[..., Run]) -> None:
    same = llm_judge("eval", "compare", run, run, "--draws", "50")
    assert same.code == 0
    assert "0/60 0 %" in same.out
    Path("gate.yaml").write_text(
        "floors:\n  - {kind: area, key: demo/sales, metric: recall, at_least: 0.9}\n"
    )
    assert "the gate is met" in llm_judge("eval", "compare", run, run, "--gate", "gate.yaml").out
    Path("gate.yaml").write_text(
        "ceilings:\n  - {kind: area, key: demo/sales, metric: recall, at_most: 0.5}\n"
    )
    missed = llm_judge("eval", "compare", run, run, "--gate", "gate.yaml", "--json")
    assert missed.code in (1, 2)


def test_calibrate_writes_what_was_fitted(cases: Path, llm_judge: Callable[..., Run]) -> None:
    script = json.loads((cases / "script.json").read_text())
    opens = {"question": "area:*", "contains": "Monday", "probabilities": {"yes": 0.6, "no": 0.4}}
    (cases / "script.json").write_text(json.dumps(script | {"reads": [opens, *script["reads"]]}))
    llm_judge("eval", "run", "guideline-cases", *ENGINE)
    done = llm_judge("eval", "calibrate", "runs/guideline-cases")
    assert (done.code, done.err) == (0, "wrote calibration.json\n")
    written = json.loads(Path("calibration.json").read_text())
    assert written["identity"]["data"]
    (entry,) = [entry for entry in written["entries"] if entry["key"] == "demo/sales"]
    assert (entry["n"], entry["positives"]) == (60, 30)

    report = ("eval", "report", "runs/guideline-cases", "--draws", "20", "--calibration", "calibration.json")
    found = json.loads(llm_judge(*report, "--json").out)["calibrated"]
    assert found["fitted_on"] == "these"
    row = next(row for row in found["thresholds"] if row["threshold"] == "recall_90")
    assert (row["key"], row["n"], row["metrics"]["f1"]["value"]) == ("demo/sales", 60, 1.0)
    assert "at calibrated thresholds, fitted on these rows" in llm_judge(*report).out
    with_it = (*ENGINE, "--calibration", "calibration.json", "--out", "calibrated")
    assert llm_judge("eval", "run", "guideline-cases", *with_it).code == 0
    manifest = json.loads(Path("calibrated/guideline-cases/manifest.json").read_text())
    assert len(manifest["judge"]["calibration_digest"]) == 64
    (cases / "sales.yaml").write_text((cases / "sales.yaml").read_text().replace("a fee", "any fee"))
    refused = llm_judge("eval", "run", "guideline-cases", *with_it, "--resume")
    assert (refused.code, "made for another policy and prompt" in refused.err) == (2, True)


def test_disguises_and_hidden_orders(cases: Path, llm_judge: Callable[..., Run]) -> None:
    words = ("--family", "spacing", "--family", "order_no", "--limit", "8", "--json")
    done = llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words)
    rows = {(row["family"], row["kind"]): row for row in json.loads(done.out)}
    assert rows["inject:order_no", "area"]["recall"]["value"] == 0  # the script reads on
    assert rows["perturb:spacing", "area"]["recall"]["value"] < 0  # "f e e" is no fee to it


def test_disguises_as_pictures_are_kept_go_on_and_stand_in_the_report(
    run: Path, llm_judge: Callable[..., Run]
) -> None:
    words = ("--family", "drawn", "--family", "leet", "--limit", "6", "--out", "runs/disguised")
    done = llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words, "--json")
    assert done.code == 0
    assert done.err.endswith("wrote runs/disguised/robustness.json\n")  # after progress, on a slow machine
    rows = {(row["family"], row["key"]): row for row in json.loads(done.out)}
    assert rows["perturb:drawn", "demo/sales"]["flips"]["count"] == 0  # read off the picture
    assert rows["perturb:leet", "demo/sales"]["recall"]["value"] < 0
    kept = Path("runs/disguised/robustness.json").read_bytes()
    again = llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words)
    assert again.code == 2
    assert "add --resume" in again.err
    assert llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words, "--resume").code == 0
    assert Path("runs/disguised/robustness.json").read_bytes() == kept
    told = ("--robustness", "runs/disguised/robustness.json", "--draws", "0", "--json")
    report = json.loads(llm_judge("eval", "report", run, *told).out)
    assert report["robustness"]["differs"] == []
    assert len(report["robustness"]["rows"]) == len(rows)


def test_a_guideline_for_texts_only_is_not_asked_about_pictures(
    cases: Path, llm_judge: Callable[..., Run]
) -> None:
    policy = cases / "sales.yaml"
    policy.write_text(policy.read_text().replace("[text, image, audio, video]", "[text]"))
    words = ("--family", "drawn", "--limit", "4")
    done = llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words)
    assert done.code == 0
    assert re.search(r"perturb:drawn +0 +n/a", done.out)


def test_what_cannot_be_said_here_is_one_line(
    cases: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    words = ("--family", "spoken", "--family", "leet", "--limit", "6")
    done = llm_judge("eval", "robustness", "guideline-cases", *ENGINE, *words)
    assert done.code == 0
    assert done.err.count("left out") == 1
    assert "perturb:spoken: 6 of 6 items left out: speaking text needs espeak-ng" in done.err


def labelled(folder: Path, split: str, texts: list[tuple[str, bool]]) -> None:
    rows = [
        {
            "id": f"{split}:{number}",
            "source": "sms_spam",
            "lang": "en",
            "text": text,
            "context": "[]",
            "content_type": "sms",
            "origin": "human",
            "target": None,
            "pair_group": None,
            "violates": bad,
            "agreement": None,
            "labels": ["spam.promo"] if bad else [],
            "areas_covered": ["fraud_spam"],
            "slices": ["made"],
        }
        for number, (text, bad) in enumerate(texts)
    ]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in rows[0] if name not in ("violates", "agreement")),
            ("violates", pa.bool_()),
            ("agreement", pa.float64()),
        ]
    )
    for name in ("labels", "areas_covered", "slices"):
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.list_(pa.string())))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{split}.parquet")


def rows(seed: int) -> list[tuple[str, bool]]:
    return [
        (
            f"Big sale number {n}{seed}, reply now to order" if bad else f"See you at {n}{seed} for tea, mum",
            bad,
        )
        for n in range(15)
        for bad in (True, False)
    ]


def test_doctor_finds_a_leak_and_a_flipped_label(folder: Path, llm_judge: Callable[..., Run]) -> None:
    planted = "The harvest market opens on the square at nine, bring your own basket and some change"
    labelled(folder, "train", [*rows(1), (planted, True)])
    labelled(folder, "dev", [*rows(2), (planted, False), (planted + "!", True)])
    done = llm_judge("eval", "doctor", "--data", folder, "--json")
    found = json.loads(done.out)
    assert done.code == 1
    assert any(one["code"].startswith("D2") and "train:30" in one["ids"] for one in found)
    assert any(one["code"].startswith("D3") and {"dev:30", "dev:31"} <= set(one["ids"]) for one in found)
    assert "harvest" not in done.out
    Path("findings.json").write_text(done.out)
    assert llm_judge("eval", "baselines", "sms_spam", "--data", folder, "--which", "constant").code == 0
    shown = ("--findings", "findings.json", "--draws", "0", "--json")
    report = json.loads(llm_judge("eval", "report", "runs/baselines/constant/sms_spam", *shown).out)
    (leak,) = [each for each in report["findings"] if each["code"].startswith("D201")]
    assert leak["count"] == leak["of_this_run"] == 2


def test_figures_of_baselines_are_written_for_every_suite(
    folder: Path, llm_judge: Callable[..., Run]
) -> None:
    labelled(folder, "train", rows(1))
    labelled(folder, "dev", rows(2))
    which = ("--data", folder, "--which", "constant", "--which", "tfidf", "--figures")
    missing = llm_judge("eval", "baselines", "sms_spam", *which, "kept")
    assert (missing.code, "there is no folder `kept`" in missing.err) == (2, True)
    Path("kept").mkdir()
    assert llm_judge("eval", "baselines", "sms_spam", *which, "kept").code == 0
    (suite,) = json.loads(Path("kept/figures.json").read_text())["suites"]
    assert (suite["suite"], suite["items"], len(suite["policy_digest"])) == ("sms_spam", 30, 64)
    cells = [(s["name"], c) for s in suite["systems"] for c in s["cells"] if c["key"] == "integrity/spam"]
    auroc = {name: cell["metrics"]["auroc"] for name, cell in cells}
    assert auroc["constant"]["value"] == 0.5
    assert auroc["tfidf"]["value"] == 1.0
    shown = Path("kept/README.md").read_text()
    assert "spam | integrity/spam | 30 | 15 | 1.00 |" in shown
    assert "Big sale" not in shown + Path("kept/figures.json").read_text()


def test_baselines_answer_the_same_items(folder: Path, llm_judge: Callable[..., Run]) -> None:
    labelled(folder, "train", rows(1))
    labelled(folder, "dev", rows(2))
    which = [word for name in ("constant", "keywords", "tfidf") for word in ("--which", name)]
    done = llm_judge("eval", "baselines", "sms_spam", "--data", folder, *which)
    assert done.code == 0
    against = ("--baselines", "runs/baselines", "--draws", "20", "--json")
    report = json.loads(llm_judge("eval", "report", "runs/baselines/tfidf/sms_spam", *against).out)
    ran = {system["name"]: system["ran"] for system in report["systems"]}
    assert (ran["constant"], ran["keywords"], ran["untuned"]) == (True, True, False)
    refused = llm_judge("eval", "calibrate", "runs/baselines/tfidf/sms_spam")
    assert refused.code == 2
    assert "was not answered by a judge" in refused.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "core-text"), "give their folder with --data"),
        (("run", "core-texts"), "did you mean `core-text`?"),
        (("run", "core-text", "--data", "nowhere"), "not a folder"),
        (("report", "nowhere"), "no eval run"),
        (("report", "nowhere", "--out", "page.pdf"), "end it with .html, .md or .json"),
        (("report", "nowhere", "--calibration", "nowhere"), "cannot be read: no such file"),
        (("compare", "nowhere", "nowhere"), "no eval run"),
        (("calibrate", "nowhere", "--method", "magic"), "choose from temperature, isotonic"),
        (("baselines", "core-text", "--which", "oracle"), "choose from constant"),
        (("robustness", "guideline-cases", "--family", "shouted"), "there is no family"),
        (("robustness", "guideline-cases", "--resume"), "name it with --out"),
        (("doctor",), "--data"),
    ],
)
def test_wrong_input_is_one_message(
    folder: Path,
    llm_judge: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.delenv("LLM_JUDGE_DATA", raising=False)
    done = llm_judge("eval", *words)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("error:") == 1


def test_files_of_another_kind_are_one_message(run: Path, llm_judge: Callable[..., Run]) -> None:
    for option, what in (("--robustness", "a robustness run"), ("--findings", "a list of findings")):
        done = llm_judge("eval", "report", run, option, run / "manifest.json")
        assert done.code == 2
        assert f"is not {what}" in done.err
        assert done.err.count("error:") == 1


def test_suites_say_what_no_data_scores(folder: Path, llm_judge: Callable[..., Run]) -> None:
    found = json.loads(llm_judge("eval", "suites", "--json").out)
    assert len([suite for suite in found["suites"] if suite["needs_data"]]) >= 12
    assert "mature/graphic" in found["areas_without_data"]
    assert "guideline-cases" in llm_judge("eval", "suites").out


def test_a_missing_extra_is_one_message(
    folder: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_judge.cli.extras.find_spec", lambda name: None if name == "sklearn" else name)
    done = llm_judge("eval", "suites")
    assert done.code == 2
    assert "evaluation needs sklearn" in done.err
    assert "pip install 'llm-judge[eval]'" in done.err


def test_a_second_run_asks_only_what_is_new(cases: Path, llm_judge: Callable[..., Run]) -> None:
    command = ("eval", "run", "guideline-cases", *ENGINE, "--sample", "prevalence")
    first = llm_judge(*command, "--limit", "20", "--out", "first")
    assert first.out == "guideline-cases: 20 items in first/guideline-cases\n"
    more = llm_judge(*command, "--out", "more", "--workers", "2")
    assert "60 items in more/guideline-cases, 20 of them answered by earlier runs" in more.out
    assert json.loads(Path("more/guideline-cases/manifest.json").read_text())["cached_items"] == 20
    held = json.loads(llm_judge("eval", "cache", "--json").out)
    assert (held["contents"], held["answers"], held["judges"]) == (60, 60, 1)
    assert "60 answers about 60 contents by 1 judges" in llm_judge("eval", "cache").out
    assert "earlier" not in llm_judge(*command, "--out", "anew", "--no-cache").out
    script = json.loads((cases / "script.json").read_text())
    (cases / "script.json").write_text(json.dumps(script | {"default": {"no": 0.9, "yes": 0.05}}))
    assert "earlier" not in llm_judge(*command, "--out", "other").out

    cleared = llm_judge("eval", "cache", "--clear")
    assert re.match(r"0\.[1-9] MB freed in .*/answers\n", cleared.out)
    assert "0 answers about 0 contents" in llm_judge("eval", "cache").out


def test_a_damaged_cache_is_one_line_and_stops_no_run(cases: Path, llm_judge: Callable[..., Run]) -> None:
    (cases / "answers").mkdir()
    (cases / "answers" / "answers-1.sqlite3").write_bytes(b"nothing" * 1000)
    done = llm_judge("eval", "run", "guideline-cases", *ENGINE)
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert line.startswith("warning: the answer cache")
    assert "is damaged: it is now `answers-1.damaged`" in line
