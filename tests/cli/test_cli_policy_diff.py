"""`llm-judge policy diff` as a policy editor runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import POLICY, Run

EDIT = POLICY.replace("severity: 4", "severity: 5").replace("version: 1.0.0", "version: 1.1.0")
CASES = """\
schema: 1
policy: demo/sales
cases:
  - {id: fee, content: "Pay a small fee to claim your prize.", expect: violates, rule: MS1, lang: en}
  - {id: calm, content: "Two for one on Monday.", expect: clear, rule: MS1, lang: en}
"""


@pytest.fixture
def diff(folder: Path, llm_judge: Callable[..., Run]) -> Callable[..., Run]:
    """Run ``policy diff``; ``new.yaml`` holds the given text."""

    def run(new: str, *words: str | Path, old: str = "sales.yaml") -> Run:
        (folder / "new.yaml").write_text(new)
        (folder / "sales.cases.yaml").write_text(CASES)
        return llm_judge("policy", "diff", old, "new.yaml", "-e", "scripted:script.json", *words)

    return run


def test_changes_in_words(diff: Callable[..., Run]) -> None:
    done = diff(EDIT)
    assert (done.code, done.err) == (1, "")
    assert "MS1: severity 4 → 5" in done.out
    assert "version 1.0.0 → 1.1.0 (does not change what is judged)" in done.out


def test_words_are_marked_without_colours_too(diff: Callable[..., Run]) -> None:
    done = diff(POLICY.replace("was never asked", "was never paid"))
    assert "MS2: description reworded: Shows a discount on a price that was never [-asked.-]{+paid.+}" in (
        " ".join(done.out.split())
    )


def test_layout_is_no_change(diff: Callable[..., Run]) -> None:
    done = diff("# tidied\n" + POLICY)
    assert done.code == 0
    assert "No change of meaning." in done.out
    assert "Only layout or comments changed: demo/sales." in done.out


def test_impact_lists_flips(diff: Callable[..., Run]) -> None:
    done = diff(EDIT.replace("do: remove", "do: label"), "--impact", "sales.cases.yaml", "--json")
    data = json.loads(done.out)
    assert done.code == 1
    assert data["policies"][0]["changes"][0] == {
        "rule": "MS1",
        "text": "severity 4 → 5",
        "meaning": True,
        "before": None,
        "after": None,
    }
    impact = data["impact"]
    assert impact["decisions"]["how"] == {"remove → label": 1}
    assert [row["id"] for row in impact["flipped"]] == ["demo/sales/fee"]
    assert impact["languages"]["en"]["flips"]["count"] == 1


def test_nothing_is_judged_where_nothing_changed(diff: Callable[..., Run]) -> None:
    done = diff("# tidied\n" + POLICY, "--impact", "sales.cases.yaml")
    assert done.code == 0
    assert "nothing was judged" in done.err


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "## Policy"), ("html", "<!doctype"), ("table", "Policy")]
)
def test_reports_go_to_a_file(diff: Callable[..., Run], folder: Path, form: str, start: str) -> None:
    done = diff(EDIT, "--format", form, "--out", "report", "--impact", ".")
    assert (done.code, done.out) == (1, "")
    text = (folder / "report").read_text()
    assert text.startswith(start)
    assert "2 items judged by both versions of demo/sales" in " ".join(text.split())


def test_revisions_of_git(diff: Callable[..., Run], folder: Path, llm_judge: Callable[..., Run]) -> None:
    def git(*words: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)

    (folder / "pack").mkdir()
    path = folder / "pack" / "sales.yaml"
    path.write_text(POLICY.replace("demo/sales", "pack/sales"))
    git("init", "-q")
    git("add", "pack")
    git("commit", "-q", "-m", "first")
    path.write_text(EDIT.replace("demo/sales", "pack/sales"))
    for old, new in (
        ("HEAD", "pack"),
        ("HEAD", "pack/sales.yaml"),
        ("git:HEAD:pack", "pack"),
        ("HEAD:pack", "pack"),
    ):
        assert "MS1: severity 4 → 5" in llm_judge("policy", "diff", old, new).out
    git("commit", "-q", "-a", "-m", "second")
    assert "severity 4 → 5" in llm_judge("policy", "diff", "HEAD~1", "HEAD", "--folder", "pack").out
    assert llm_judge("policy", "diff", "HEAD", "pack").code == 0
    cases = folder / "pack" / "sales.cases.yaml"
    cases.write_text(CASES.replace("demo/sales", "pack/sales"))
    git("add", "pack")
    git("commit", "-q", "-m", "third")
    cases.write_text(cases.read_text().replace("Monday", "Tuesday"))
    for place in ("pack", "pack/sales.yaml"):
        done = llm_judge("policy", "diff", "HEAD", place)
        assert done.code == 0
        said = "cases: 1 changed, 0 added, 0 removed (does not change what is judged)"
        assert said in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "pdf"), "unknown --format `pdf`"),
        (("--out", "no/such"), "there is no folder `no`"),
        (("--impact", "missing.cases.yaml"), "there is no file `missing.cases.yaml`"),
        (("--impact", "missing.jsonl"), "cannot read `missing.jsonl`"),
        (("--impact", "script.json"), "script.json"),
    ],
)
def test_what_cannot_run(diff: Callable[..., Run], words: tuple[str, ...], said: str) -> None:
    done = diff(EDIT, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("old", ["missing/sales.yaml", "nosuch"])
def test_a_side_that_is_not_there(diff: Callable[..., Run], old: str) -> None:
    done = diff(EDIT, old=old)
    assert done.code == 2
    assert f"there is no file or folder `{old}`, and git knows no such revision" in done.err


def test_a_copied_folder_can_be_compared(diff: Callable[..., Run], folder: Path) -> None:
    (folder / "copy").mkdir()
    (folder / "copy" / "sales.yaml").write_text(POLICY)
    assert "severity 4 → 5" in diff(EDIT, old="copy").out
    (folder / "empty").mkdir()
    assert "there is no policy in `empty`" in diff(EDIT, old="empty").err
