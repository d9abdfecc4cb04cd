"""A row among harmless lines: only the segments that hold the row are cited."""

from __future__ import annotations

import random

from llm_judge.finetune.contents import Presenter
from llm_judge.finetune.rows import LabelledRow

HARMLESS = [
    LabelledRow(f"Tea number {n} is ready{', and so is the bread' * 12}.", "en", "own", {}, {})
    for n in range(9)
]
ROW = LabelledRow("Drown all of the slugs" + ", and the snails" * 15 + ".", "en", "own", {}, {})


def test_lines_before_and_after_a_row_are_not_cited() -> None:
    presenter = Presenter(random.Random(3), len, HARMLESS, 0.0)
    found = [presenter.among_others(ROW, 5_000) for _ in range(40)]
    apart = [each for each in found if each is not None]
    first = {cited[0] == 1 for _, cited in apart}
    last = {cited[-1] == len(content.segments) for content, cited in apart}
    assert first == last == {True, False}  # lines stood before it, and after it
    for content, cited in apart:
        words = [segment.text for segment in content.segments if segment.id in cited]
        assert " ".join(words).strip() == ROW.text
