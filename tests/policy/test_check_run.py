"""Every check has a wrong file with its expected message, a page, and an entry in the list of codes.

``bad_policies/checks`` holds single policies, ``bad_policies/folders`` whole folders with cases, overlays,
configuration and an older version. ``UPDATE_GOLDEN=1`` writes the expected messages anew.
"""

import os
import re
from datetime import date
from pathlib import Path

import pytest

from llm_judge.cli.policy_check import summary
from llm_judge.decision import UNCALIBRATED
from llm_judge.diagnostics import to_text
from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.check_config import CheckConfig, load_config
from llm_judge.policy.check_run import check_paths
from llm_judge.policy.codes import CODES, HEADINGS, PAGES
from llm_judge.policy.load import load_policy

BAD = Path(__file__).parents[1] / "bad_policies"
SINGLE = sorted((BAD / "checks").glob("*.yaml"))
FOLDERS = sorted(path for path in (BAD / "folders").iterdir() if path.is_dir())
GOOD = (Path(__file__).parent / "refund.yaml").read_text()
TODAY = date(2026, 1, 1)
NO_CASES_NEEDED = CheckConfig({"P122": "off"})


def expect(text, golden):
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def checked(folder):
    older = {}
    for path in sorted(Path("base").rglob("*.yaml")):
        policy = load_policy(path)
        older[policy.policy] = policy
    config = Path("llm-judge.toml")
    settings = load_config(config, TODAY) if config.is_file() else CheckConfig()
    return check_paths([Path("policies")], UNCALIBRATED, settings, older)


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: path.name)
def test_a_wrong_policy_gives_its_message(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    report = check_paths([Path(path.name)], UNCALIBRATED, NO_CASES_NEEDED)
    assert report.diagnostics
    expect(to_text(report.diagnostics), path.with_suffix(".txt"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_wrong_folder_gives_its_messages(folder, monkeypatch):
    monkeypatch.chdir(folder)
    report = checked(folder)
    assert report.diagnostics
    expect(f"{to_text(report.diagnostics)}\n{summary(report)}\n", folder / "expected.txt")


def test_every_code_has_a_page_and_a_wrong_file():
    golden = "".join(path.read_text() for path in BAD.rglob("*.txt"))
    shown = set(re.findall(r"\[(P\d{3})\]", golden))
    assert shown == set(CODES)
    assert {path.stem for path in PAGES.iterdir()} == set(CODES)
    assert len(list(BAD.glob("*.yaml"))) + len(SINGLE) + len(FOLDERS) >= 60


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.id)
def test_a_page_has_its_headings_and_agrees_with_the_list(code):
    lines = code.page.splitlines()
    assert lines[0] == f"# {code.id}: {code.title}"
    assert lines[2] == f"Level: {code.level}"
    assert [line[3:] for line in lines if line.startswith("## ")] == list(HEADINGS)
    assert ("cannot be turned off" in code.page) == code.fixed


def test_every_code_in_the_program_is_in_the_list():
    package = PAGES.parents[1]
    texts = (path.read_text() for path in package.rglob("*.py") if path.name != "codes.py")
    used = {code for text in texts for code in re.findall(r'"(P\d{3})"', text)}
    assert used == set(CODES)


def test_a_good_policy_has_no_findings(tmp_path):
    path = tmp_path / "refund.yaml"
    path.write_text(GOOD)
    assert check_paths([path], UNCALIBRATED, NO_CASES_NEEDED).diagnostics == ()


def test_the_shipped_guidelines_have_no_errors():
    report = check_paths([PAGES.parents[2] / "policies"], UNCALIBRATED)
    assert [found for found in report.diagnostics if found.level == "error"] == []


def test_a_policy_and_its_cases_are_one_check(tmp_path):
    (tmp_path / "refund.yaml").write_text(GOOD)
    (tmp_path / "refund.cases.yaml").write_text("schema: 1\npolicy: demo/refund\ncases: []\n")
    for paths in ([tmp_path / "refund.yaml"], [tmp_path / "refund.yaml", tmp_path / "refund.cases.yaml"]):
        report = check_paths(paths, UNCALIBRATED)
        assert report.files == 2
        assert [found.code for found in report.diagnostics] == ["P006"]


def test_cases_alone_are_checked_against_the_policy_beside_them(tmp_path):
    (tmp_path / "refund.yaml").write_text(GOOD)
    cases = tmp_path / "refund.cases.yaml"
    cases.write_text("schema: 1\npolicy: demo/refund\ncases:\n  - {content: a, expect: violates, rule: XX}\n")
    assert [found.code for found in check_paths([cases], UNCALIBRATED).diagnostics] == ["P108"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("status: stable", "status: stabel", ["P003", "P109"]),
        ("- id: RA1", "- id: [RA1]", ["P005"]),  # a rule without a name: nothing is said of names
        ("- id: report", "- id: [report]", ["P005"]),
        ("rules:", "rules: x\nother:", ["P005", "P002"]),
    ],
)
def test_names_in_cases_are_checked_where_those_of_a_broken_policy_can_be_read(tmp_path, old, new, said):
    assert old in GOOD
    (tmp_path / "refund.yaml").write_text(GOOD.replace(old, new, 1))
    cases = "  - {content: a, expect: exempt, rule: RA1, exemption: xx}\n"
    (tmp_path / "refund.cases.yaml").write_text(f"schema: 1\npolicy: demo/refund\ncases:\n{cases}")
    found = {found.code for found in check_paths([tmp_path / "refund.yaml"], UNCALIBRATED).diagnostics}
    assert ("P109" in found) == ("P109" in said)
    assert said[0] in found


def test_nothing_to_check_could_not_run(tmp_path):
    with pytest.raises(UsageError, match="no policy"):
        check_paths([tmp_path], UNCALIBRATED)
    with pytest.raises(PolicyError, match="there is no file"):
        check_paths([tmp_path / "none.yaml"], UNCALIBRATED)
