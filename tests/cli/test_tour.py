"""docs/tour-policy.md is what the commands print; what differs from run to run is masked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_judge.cli.tour import INTRO, page, sections_of, stale
from llm_judge.cli.tour_run import Section, TourError, mask, take_steps, unnamed
from llm_judge.cli.tour_story import STEPS, Command, Edit, Step

JUDGED = Step("test", "It judges.", commands=(Command("git version", (0, 1, 3)),), judged=True)
SECTIONS = [
    Section(Step("look", "It looks."), "It looks.\n"),
    Section(JUDGED, "It judges.\n\n```console\n$ judge\n", "1 pass\n```\n\nExit code 0.\n"),
]


def checked(*words: str) -> None:
    command = [sys.executable, "-m", "llm_judge.cli.tour", "--check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{len(STEPS)} steps, none stale\n"


def test_the_page_is_not_stale() -> None:
    checked("--no-model")


@pytest.mark.model
def test_the_page_is_not_stale_where_a_model_judges() -> None:
    checked()


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("good: 2026-11-25T09:29:08Z, 12 files", "good: <date>, 12 files"),
        ("sequence 1795598948, digest 8063d92151064b93…", "sequence <seconds>, digest <digest>"),
        ("model b179c9523d0e  adapter none", "model <digest>  adapter none"),
        ("live/001795598948-a74e864ecd458e17.tar", "live/<bundle>.tar"),
        ("│ a.yaml │ 1,886 │ a8fc005187517a21 │", "│ a.yaml │   <n> │ <digest>         │"),
        ("│ b.yaml │    86 │ a8fc005187517a21 │", "│ b.yaml │   <n> │ <digest>         │"),
        ("got clear of SE1   p 0.01, exempt 0.30", "got clear of SE1   p <p>, exempt <p>"),
        (
            "probability 0.41 with 0.10 for exempt is in the uncertain band",
            "probability <p> with <p> for exempt is in the uncertain band",
        ),
        ("8 items, 12.5 s, 840 ms an item  ", "8 items, <n> s, <n> ms an item"),
        ("cannot read `/somewhere/a.yaml`", "cannot read `<folder>/a.yaml`"),
        ("SE1: severity 2 → 3, version 0.1.0 → 0.2.0", "SE1: severity 2 → 3, version 0.1.0 → 0.2.0"),
        ("8 cases: 5 pass, 3 failed, effaced", "8 cases: 5 pass, 3 failed, effaced"),
    ],
)
def test_what_differs_from_run_to_run_is_masked(printed: str, shown: str) -> None:
    assert mask(printed, "/somewhere") == shown
    assert mask(shown) == shown


def test_a_page_is_its_own_sections_and_not_stale() -> None:
    made = page(SECTIONS, {})
    assert list(sections_of(made)) == ["", "look", "test"]
    assert made.startswith(INTRO)
    assert not list(stale(SECTIONS, made))


def test_only_what_a_model_answers_may_differ() -> None:
    made = page(SECTIONS, {})
    assert not list(stale(SECTIONS, made.replace("1 pass", "1 failed").replace("code 0", "code 3")))
    assert [name for name, _ in stale(SECTIONS, made.replace("code 0", "code 2"))] == ["test"]
    assert [name for name, _ in stale(SECTIONS, made.replace("$ judge", "$ guess"))] == ["test"]
    assert [name for name, _ in stale(SECTIONS, made.replace("looks", "sees"))] == ["look"]
    assert [name for name, _ in stale(SECTIONS, made.replace("step: look", "step: see"))] == ["", "look"]


def test_answers_stay_where_no_model_was_asked() -> None:
    made = page(SECTIONS, {})
    unasked = [SECTIONS[0], Section(JUDGED, SECTIONS[1].fixed)]
    assert page(unasked, sections_of(made)) == made
    assert [name for name, _ in stale(unasked, page(unasked, {}))] == ["test"]


def test_edits_are_shown_and_commands_run(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("one\ntwo\nthree\n")
    step = Step(
        "look",
        "It looks.",
        "Look",
        (Edit("a.yaml", "two", "2"), Edit("a.yaml", "three", "3")),
        (Command("cat *.yaml"), Command("llm-judge policy explain P999", (2,))),
    )
    (section,) = take_steps([step], tmp_path, "local", ask_model=False)
    assert section.fixed.startswith(
        "## Look\n\nIt looks.\n\n```diff\n--- a.yaml\n+++ a.yaml\n@@ -1,3 +1,3 @@\n"
    )
    assert "$ cat *.yaml\none\n2\n3\n```\n\nExit code 0.\n" in section.fixed
    assert "error: there is no code `P999`" in section.fixed


def test_a_single_byte_of_a_packed_file_changes(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"head\0\xff\nPay here.\r\nend\0")
    take_steps(
        [Step("flip", "It flips.", edits=(Edit("a.tar", "Pay", "Say"),))], tmp_path, "", ask_model=False
    )
    assert (tmp_path / "a.tar").read_bytes() == b"head\0\xff\nSay here.\r\nend\0"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            Step("x", "", commands=(Command("git no-such"),)),
            "step `x`: `git no-such` ended with exit code 1, not",
        ),
        (Step("x", "", commands=(Command("no-such"),)), "step `x`: the command `no-such` is not"),
        (Step("x", "", edits=(Edit("a.yaml", "two", "2"),)), "step `x`: `a.yaml` no longer holds `two`"),
        (
            Step("x", "", commands=(Command("llm-judge --version", (0, 2)),), judged=True, names=("SE1",)),
            "step `x`: `llm-judge --version` does not name `SE1`",
        ),
    ],
)
def test_a_story_that_does_not_work_says_where(tmp_path: Path, step: Step, message: str) -> None:
    (tmp_path / "a.yaml").write_text("one\n")
    with pytest.raises(TourError, match=f"^{re.escape(message)}"):
        take_steps([step], tmp_path, "local", ask_model=True)


def test_names_are_found_across_line_breaks() -> None:
    assert unnamed(["8 items judged", "SE9"], "8 items\n   judged by SE1") == ["`SE9`"]
