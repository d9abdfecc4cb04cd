"""`policy schema` and `policy docs`: files made from others, written or only compared."""

from __future__ import annotations

import pytest

from llm_judge.resources import content_folder

HATE = content_folder("policies") / "safety" / "hate.yaml"


@pytest.fixture(params=["schema", "docs"])
def command(request, folder):
    return ["policy", request.param, "--out", "made", *(["-p", HATE] if request.param == "docs" else [])]


def test_written_once_then_fresh_then_stale(folder, llm_judge, command):
    assert llm_judge(*command, "--check").code == 1
    assert not (folder / "made").exists()
    run = llm_judge(*command)
    files = sorted(path for path in (folder / "made").rglob("*") if path.is_file())
    assert run.code == 0
    assert len(files) == len(run.out.splitlines())
    assert (llm_judge(*command, "--check").code, llm_judge(*command).out) == (0, "")
    files[0].write_text("changed")
    run = llm_judge(*command, "--check")
    assert (run.code, run.out) == (1, f"stale: {files[0].relative_to(folder)}\n")
    assert files[0].read_text() == "changed"


def test_pages_of_policies_that_are_gone_are_deleted_and_others_stay(folder, llm_judge):
    command = ["policy", "docs", "--out", "made", "-p"]
    llm_judge(*command, HATE)
    (folder / "made/policies/mine.md").write_text("# Mine\n")
    run = llm_judge(*command, "sales.yaml")
    assert "deleted: made/policies/safety/hate.md" in run.out
    assert not (folder / "made/policies/safety/hate.md").exists()
    assert (folder / "made/policies/demo/sales.md").exists()
    assert (folder / "made/policies/mine.md").exists()


def test_a_folder_that_cannot_be_made_is_one_line(folder, llm_judge, command):
    (folder / "made").write_text("a file")
    run = llm_judge(*command)
    assert run.code == 2
    assert "cannot write" in run.err


def test_a_wrong_policy_is_shown(folder, llm_judge):
    (folder / "sales.yaml").write_text("schema: 2\n")
    run = llm_judge("policy", "docs", "--out", "made", "-p", "sales.yaml")
    assert run.code == 2
    assert "error[P0" in run.err
    assert not (folder / "made").exists()
