"""The command line as a person uses it: words in; exit code, output and messages out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import POLICY, SCRIPT, Run, checked

from llm_judge.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, holding ``sales.yaml`` and ``script.json``."""
    (tmp_path / "sales.yaml").write_text(POLICY)
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    answers = tmp_path / "answers" / "answers-1.sqlite3"  # not the user's; the models stay where they are
    monkeypatch.setattr("llm_judge.evals.answer_cache.answers_file", lambda: answers)
    return tmp_path


@pytest.fixture
def llm_judge(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Run]:
    """Run ``llm-judge`` through its real entry point, in this process."""

    def run(*words: str | Path, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "argv", ["llm-judge", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = (stream.decode() for stream in capfdbinary.readouterr())
        return checked(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def judge(folder: Path, llm_judge: Callable[..., Run]) -> Callable[..., Run]:
    """Run ``llm-judge judge`` with the policy and script of ``folder``."""

    def run(*words: str | Path, stdin: bytes = b"") -> Run:
        return llm_judge("judge", "-p", "sales.yaml", "-e", "scripted:script.json", *words, stdin=stdin)

    return run
