"""Which configuration counts, and what its waivers cover; wrong ones are in bad_policies/folders."""

from datetime import date
from pathlib import Path

import pytest

from llm_judge.diagnostics import Diagnostic, Level, Span
from llm_judge.errors import UsageError
from llm_judge.policy.check_config import find_config, load_config

WAIVER = 'code = "P201"\nfile = "{}"\nreason = "Under review."\nexpires = {}\n'
TODAY = date(2026, 1, 1)


def config(tmp_path, glob="*", expires="2026-12-31"):
    path = tmp_path / "llm-judge.toml"
    path.write_text("[[check.waivers]]\n" + WAIVER.format(glob, expires))
    return load_config(path, TODAY)


def vague(file):
    return Diagnostic("P201", Level.WARNING, Span(str(file), 1, 1), "vague")


def test_the_nearest_file_with_a_table_counts(tmp_path, monkeypatch):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    (tmp_path / "pyproject.toml").write_text("[tool.llm-judge.check.levels]\n")
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_config([below / "x.yaml"]) == tmp_path / "pyproject.toml"
    (tmp_path / "a" / "llm-judge.toml").write_text("")
    assert find_config([below]) == Path("llm-judge.toml")
    assert find_config([Path("b/x.yaml")]) == Path("llm-judge.toml")


@pytest.mark.parametrize(
    ("glob", "file", "covered"),
    [
        ("*", "x/y.yaml", True),
        ("x/*", "x/y.yaml", True),
        ("y.yaml", "x/y.yaml", False),
        ("x/*", "y.yaml", False),
    ],
)
def test_a_waiver_covers_files_below_its_configuration(tmp_path, glob, file, covered):
    assert bool(config(tmp_path, glob).waiver(vague(tmp_path / file))) is covered


def test_a_waiver_holds_until_the_end_of_its_day(tmp_path):
    assert config(tmp_path, expires="2026-01-01").found == ()
    assert config(tmp_path, expires="2026-01-01T12:00:00").found == ()
    assert [found.code for found in config(tmp_path, expires="2025-12-31").found] == ["P142"]


@pytest.mark.parametrize("data", [b"[check", b"\xff", b"a = " + b"[" * 5000, b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_could_not_run(tmp_path, data):
    path = tmp_path / "llm-judge.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="is not TOML") as caught:
        load_config(path, TODAY)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "check = 1",
        "[check]\nlevels = 1\nwaivers = 1",
        "[check]\nwaivers = [1]",
        '[check.levels]\nP201 = ["x"]',
    ],
)
def test_a_wrong_type_is_a_finding(tmp_path, text):
    path = tmp_path / "llm-judge.toml"
    path.write_text(text)
    assert {found.code for found in load_config(path, TODAY).found} == {"P140"}
