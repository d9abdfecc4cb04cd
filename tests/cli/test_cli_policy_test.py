"""`llm-judge policy test` and `probe` as a policy editor runs them."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import POLICY, Run

GOOD = """\
schema: 1
policy: demo/sales
cases:
  - {id: fee, content: "Pay a small fee to claim your prize.", expect: violates, rule: MS1}
  - {id: calm, content: "Two for one on Monday.", expect: clear, rule: MS1}
"""
WRONG = GOOD + '  - {id: bad, content: "Claim it now.", expect: violates, rule: MS2, todo: false}\n'
UNSURE = GOOD + '  - {id: hm, content: "perhaps a fee", expect: violates, rule: MS2}\n'
ENGINE = ("-e", "scripted:script.json")


@pytest.fixture
def test(folder: Path, llm_judge: Callable[..., Run]) -> Callable[..., Run]:
    """Run ``policy test`` on ``sales.yaml`` after writing its cases."""

    def run(cases: str | None, *words: str | Path) -> Run:
        if cases is not None:
            (folder / "sales.cases.yaml").write_text(cases)
        return llm_judge("policy", "test", "sales.yaml", *ENGINE, *words)

    return run


def test_all_pass(test: Callable[..., Run]) -> None:
    done = test(GOOD)
    assert (done.code, done.err) == (0, "")
    assert "demo/sales  2 of 2 pass" in done.out
    assert "rules without a case: MS2" in done.out
    assert "exemptions without a case: MS1: warning" in done.out
    assert "1 policy, 2 cases: 2 pass, 0 failed, 0 undecided, 0 todo" in done.out
    assert "engine scripted:scripted" in done.out


def test_a_failure_shows_place_expected_and_got(test: Callable[..., Run]) -> None:
    done = test(WRONG)
    assert done.code == 1
    assert "FAIL sales.cases.yaml:6:10  “Claim it now.”" in done.out
    assert "expected violates by MS2   got clear of MS2   p 0.01" in done.out


def test_undecided_has_its_own_exit_code(test: Callable[..., Run], folder: Path) -> None:
    script = json.loads((folder / "script.json").read_text())
    unsure = {"question": "rule:*MS2", "contains": "perhaps", "probabilities": {"yes": 0.5, "no": 0.5}}
    (folder / "script.json").write_text(json.dumps(script | {"reads": [unsure, *script["reads"]]}))
    done = test(UNSURE)
    assert done.code == 3
    assert "2 of 3 pass, 1 undecided" in done.out


@pytest.mark.parametrize(
    ("cases", "words", "said"),
    [
        (None, (), "nothing ran: there is no case"),
        (GOOD, ("--run", "HS9"), "nothing ran: no case matches `HS9`"),
        (GOOD, ("--run", "["), "is not a regular expression"),
        (GOOD.replace("rule: MS1", "rule: MS8"), (), "has no rule `MS8`"),
        (GOOD, ("--junit", "no/such.xml"), "there is no folder `no`"),
        (GOOD, ("--junit", "."), "it is a folder"),
        (GOOD, ("--changed",), "not in a git repository"),
        (GOOD, ("missing.yaml",), "there is no file `missing.yaml`"),
    ],
)
def test_what_cannot_run(
    test: Callable[..., Run], cases: str | None, words: tuple[str, ...], said: str
) -> None:
    done = test(cases, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_cases_file_stands_for_its_policy(test: Callable[..., Run], llm_judge: Callable[..., Run]) -> None:
    test(GOOD)
    assert llm_judge("policy", "test", "sales.cases.yaml", *ENGINE).code == 0


def test_json_and_junit(test: Callable[..., Run], folder: Path) -> None:
    done = test(WRONG, "--json", "--junit", "report.xml")
    data = json.loads(done.out)
    assert (done.code, data["counts"]["fail"], data["policies"][0]["cases"][2]["line"]) == (1, 1, 6)
    assert Xml.parse(folder / "report.xml").getroot().get("failures") == "1"  # noqa: S314  # written by us


def test_changed_against_git(test: Callable[..., Run], folder: Path) -> None:
    def git(*words: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    git("add", "sales.yaml")
    git("commit", "-q", "-m", "first")
    (folder / "sales.yaml").write_text("# only a comment\n" + POLICY)
    done = test(GOOD, "--changed")
    assert (done.code, done.out) == (2, "")
    assert "nothing ran: no policy means anything else than at `HEAD`" in done.err
    (folder / "sales.yaml").write_text(POLICY.replace("severity: 2", "severity: 3"))
    assert test(GOOD, "--changed").code == 0
    assert "git knows no revision `nosuch`" in test(GOOD, "--changed", "--base", "nosuch").err


def test_probe_prints_rates_and_writes_a_report(
    test: Callable[..., Run], llm_judge: Callable[..., Run], folder: Path
) -> None:
    test(GOOD)
    done = llm_judge("policy", "probe", "sales.yaml", *ENGINE, "--out", "probe.json")
    assert done.code == 0
    assert "inversion flip rate 0/2 0 % (0–66)" in done.out
    assert json.loads((folder / "probe.json").read_text())["overall"]["collateral"]["count"] == 0
    page = llm_judge("policy", "probe", "sales.yaml", *ENGINE, "--json", "--out", "probe.html")
    assert "checks" in json.loads(page.out)
    assert (folder / "probe.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--probes", "twisted"), "there is no probe `twisted`"),
        (("--only", "demo/sales#MS9"), "has no rule `MS9`"),
        (("--only", "demo/sales#MS2"), "nothing to probe"),
    ],
)
def test_probe_that_cannot_run(
    test: Callable[..., Run], llm_judge: Callable[..., Run], words: tuple[str, ...], said: str
) -> None:
    test(GOOD)
    done = llm_judge("policy", "probe", "sales.yaml", *ENGINE, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
