"""A table loses nothing at any width, and keeps ids whole where there is room for them."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from llm_judge.evals.document import Grid, to_rich
from llm_judge.evals.fitted import wrapped

HEADER = ("rule", "items", "verdict flips", "95 % interval", "how", "right → wrong", "wrong → right", "p")
HOW = "exempt (satire) → violates ×3, could not tell → clear ×2"


def shown(name: str, width: int) -> str:
    row = (name, "120", "12", "0.05–0.17", HOW, "10", "2", "0.0391")
    console = Console(file=io.StringIO(), width=width)
    for block in to_rich([Grid(HEADER, (row,), frozenset({1, 2, 5, 6, 7}))]):
        console.print(block)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", ["SE1", "community/selling#SE1", "a" * 70, "出售门票的规则" * 4])
@pytest.mark.parametrize("width", [12, 30, 45, 60, 80, 100, 200])
def test_nothing_is_lost(name: str, width: int) -> None:
    text = shown(name, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    letters = "".join(text.split())
    for wanted in "".join((name, HOW, "1201220.05–0.17100.0391")):
        assert wanted.isspace() or letters.count(wanted) >= (name + HOW).count(wanted)


@pytest.mark.parametrize("width", [80, 100])
def test_words_stay_whole_on_a_usual_terminal(width: int) -> None:
    text = shown("community/selling#SE1", width)
    for word in ("community/", "0.05–0.17", "0.0391", "violates", "(satire)", "interval"):
        assert word in text
    assert " SE1 " in shown("SE1", width)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("could not tell", 9, ["could not", "tell"]),
        ("community/selling#SE1", 12, ["community/", "selling#SE1"]),
        ("abcdefgh ij", 3, ["abc", "def", "gh", "ij"]),
        ("出售门票", 5, ["出售", "门票"]),
    ],
)
def test_lines_break_between_words(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines
