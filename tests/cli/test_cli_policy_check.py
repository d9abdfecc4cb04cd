"""`llm-judge policy check` and `explain` as a policy editor meets them."""

from __future__ import annotations

import json
import subprocess

import pytest
from cli_runs import POLICY

from llm_judge.policy.codes import CODES

VAGUE = POLICY.replace("Shows a discount", "Shows a harmful discount")
WAIVER = """\
[tool.llm-judge.check.levels]
P122 = "off"
[[tool.llm-judge.check.waivers]]
code = "P201"
file = "sales.yaml"
reason = "Under review."
expires = 2999-12-31
"""


@pytest.fixture
def check(folder, llm_judge):
    return lambda *words: llm_judge("policy", "check", *words)


def test_warnings_are_shown_and_fail_only_when_strict(check, folder):
    (folder / "sales.yaml").write_text(VAGUE)
    run = check("sales.yaml")
    assert run.code == 0
    assert ": warning[P201] `harmful` means" in run.out
    assert "1 file checked. 0 errors, 2 warnings. Run `llm-judge policy explain P122`" in run.out
    assert check("sales.yaml", "--strict").code == 1


def test_errors_are_found_in_every_file_of_a_folder(check, folder):
    (folder / "demo").mkdir()
    (folder / "demo" / "sales.yaml").write_text(POLICY.replace("severity: 4", "severty: 4"))
    (folder / "demo" / "other.yaml").write_text(POLICY.replace("stable", "stabel"))
    run = check("demo")
    assert run.code == 1
    assert "other.yaml:6:9: error[P003]" in run.out
    assert "sales.yaml:13:5: error[P002] unknown key `severty`" in run.out
    assert "2 files checked. 2 errors, 0 warnings." in run.out


def test_the_nearest_configuration_sets_levels_and_waivers(check, folder):
    (folder / "pyproject.toml").write_text(WAIVER)
    (folder / "sales.yaml").write_text(VAGUE)
    run = check("sales.yaml", "--strict")
    assert run.code == 0
    assert "1 file checked. 0 errors, 0 warnings, 1 waived." in run.out
    assert "waived: P201 in sales.yaml until 2999-12-31: Under review." in run.out


def test_an_unknown_code_in_the_configuration_is_an_error(check, folder):
    (folder / "pyproject.toml").write_text(WAIVER.replace("P122", "P1222"))
    run = check("sales.yaml")
    assert run.code == 1
    assert "pyproject.toml:2:1: error[P140] unknown code `P1222`" in run.out


def test_machines_read_the_same_findings(check, folder):
    (folder / "pyproject.toml").write_text(WAIVER)
    (folder / "sales.yaml").write_text(VAGUE.replace("stable", "stabel"))
    shown = json.loads(check("sales.yaml", "--format", "json").out)
    assert (shown["files"], shown["errors"], shown["warnings"]) == (1, 1, 0)
    assert [found["code"] for found in shown["diagnostics"]] == ["P003"]
    assert [(found["code"], found["reason"]) for found in shown["waived"]] == [("P201", "Under review.")]
    sarif = json.loads(check("sales.yaml", "-f", "sarif").out)
    assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["P003", "P201"]
    github = check("sales.yaml", "-f", "github")
    assert github.out.startswith("::error file=sales.yaml,line=6,col=9,endColumn=14,title=P003::")
    assert "1 file checked." in github.err


def test_an_older_folder_shows_what_changed_in_silence(check, folder):
    (folder / "old").mkdir()
    (folder / "old" / "sales.yaml").write_text(POLICY)
    (folder / "sales.yaml").write_text(POLICY.replace("severity: 2", "severity: 3"))
    run = check("sales.yaml", "--base", "old")
    assert run.code == 1
    assert "error[P121] rule `MS2` changed (`severity`)" in run.out
    assert check("sales.yaml", "--base", "sales.yaml").code == 0


def test_an_older_revision_shows_it_too(check, folder):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", *words],
            check=True,
            capture_output=True,
        )

    git("init", "--quiet")
    git("add", "sales.yaml")
    git("commit", "--quiet", "--message", "first")
    (folder / "sales.yaml").write_text(POLICY.replace("severity: 2", "severity: 3"))
    run = check("sales.yaml", "--against", "git:HEAD")
    assert run.code == 1
    assert "P121" in run.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.yaml"], "error: there is no file `none.yaml`"),
        (["empty"], "error: there is no policy in `empty`"),
        (["sales.yaml", "--config", "none.toml"], "error: `none.toml` cannot be read"),
        (["sales.yaml", "--config", "script.json"], "error: `script.json` is not TOML"),
        (["sales.yaml", "--base", "empty"], "error: there is no policy to compare with in `empty`"),
        (["sales.yaml", "--base", "git:none"], "error: "),
        (["sales.yaml", "--format", "xml"], "'xml'"),
    ],
)
def test_what_could_not_run_says_so(check, folder, words, message):
    (folder / "empty").mkdir()
    run = check(*words)
    assert run.code == 2
    assert message in run.err


def test_a_code_is_explained(llm_judge):
    run = llm_judge("policy", "explain", "p201")
    assert run.code == 0
    assert "Why it matters" in run.out
    page = json.loads(llm_judge("policy", "explain", "P201", "--json").out)
    assert page["page"] == CODES["P201"].page
    assert (page["level"], page["can_be_turned_off"]) == ("warning", True)


def test_all_codes_are_listed(llm_judge):
    shown = llm_judge("policy", "explain").out
    assert all(code in shown for code in CODES)
    assert [code["code"] for code in json.loads(llm_judge("policy", "explain", "--json").out)] == list(CODES)


def test_an_unknown_code_is_corrected(llm_judge):
    run = llm_judge("policy", "explain", "P2O1")
    assert run.code == 2
    assert "did you mean `P201`?" in run.err
    assert "lists all codes" in llm_judge("policy", "explain", "x").err
