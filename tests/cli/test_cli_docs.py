"""docs/cli.md is what the command tree says; every command explains itself."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from llm_judge import __version__
from llm_judge.cli.docs import PAGE, cli_page

COMMANDS = re.findall(r"^## llm-judge(.*)$", cli_page(), re.MULTILINE)


def test_the_page_is_not_stale():
    assert PAGE.read_text(encoding="utf-8") == cli_page(), "run `python -m llm_judge.cli.docs`"


def test_every_option_and_argument_is_explained():
    cells = [line.split(" | ") for line in cli_page().splitlines() if line.startswith("| `")]
    assert len(cells) > 20
    assert all(cell[1].strip("| ") for cell in cells)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(llm_judge, command):
    run = llm_judge(*command.split(), "--help")
    assert (run.code, run.err) == (0, "")
    assert f"Usage: llm-judge{command}" in run.out


def test_the_module_runs_like_the_command():
    command = [sys.executable, "-m", "llm_judge", "--version"]
    assert subprocess.check_output(command, text=True) == f"llm-judge {__version__}\n"
