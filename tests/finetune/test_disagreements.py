"""Misses of runs and corrections by reviewers: what counts, what does not, and every wrong line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind
from llm_judge.evals.run_folder import OUTCOMES, write_outcomes
from llm_judge.finetune.disagreements import misses, read_overrides
from llm_judge.finetune.rows import LabelledRow
from llm_judge.finetune.training_rows import Contrast

pytest.importorskip("pyarrow")

ROW = LabelledRow(
    "The tomatoes are dry.", "en", "set", {"a/b": True}, {"a/b#R1": "except", "a/b#R2": "no"}, "study"
)
ROWS = {ROW.digest: ROW}
RULES = {"a/b#R1": ("study",), "a/b#R2": ()}
LINE = {"decision": "d1", "text": "Something else.", "rule": "a/b#R1", "verdict": "violates"}


def run(folder: Path, digest: str, *answers: Answer) -> Path:
    outcome = ItemOutcome("set:1", digest, "s", "set", "text", "en", (), "set:1", answers, "allow")
    write_outcomes([outcome], folder / OUTCOMES)
    return folder


def said(kind: Kind, key: str, yes: float | None, exempt: float = 0.0, asked: bool = True) -> Answer:
    return Answer(kind, key, None, yes, exempt, 1.0, "abstain", asked)


def test_what_a_run_got_wrong_is_what_is_known_against_the_likeliest_label(tmp_path: Path) -> None:
    answers = (
        said(Kind.AREA, "a/b", 0.2),
        said(Kind.RULE, "a/b#R1", 0.7, 0.2),
        said(Kind.RULE, "a/b#R2", 0.1, 0.2),  # right
        said(Kind.RULE, "a/b#R3", 0.9),  # nobody knows
        said(Kind.RULE, "a/b#R1", 0.0, asked=False),
        said(Kind.RULE, "a/b#R1", None),
        said(Kind.ITEM, "any", 0.0),
    )
    found, unknown = misses(run(tmp_path, ROW.digest, *answers), ROWS)
    assert [(each.key, each.right, each.said) for each in found] == [
        ("a/b", "yes", "no"),
        ("a/b#R1", "except", "yes"),
    ]
    assert {each.contrast for each in found} == {Contrast.MISS}
    assert unknown == 0


def test_a_run_on_held_out_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no item of the run") as caught:
        misses(run(tmp_path, "0" * 64, said(Kind.AREA, "a/b", 0.2)), ROWS)
    assert "`split` is `train`" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no eval run"):
        misses(tmp_path / "nothing", ROWS)


def overrides(folder: Path, *lines: Any) -> Path:
    path = folder / "overrides.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n", "utf-8")
    return path


def test_a_correction_names_the_right_label_and_the_wrong_one(tmp_path: Path) -> None:
    known = {"decision": "d2", "sha256": ROW.digest.upper(), "rule": "a/b#R2", "verdict": "clear"}
    exempt = {**LINE, "verdict": "exempt", "exemption": "study", "said": "clear", "lang": "de"}
    gone = {**known, "sha256": "0" * 64}
    found, left_out = read_overrides(overrides(tmp_path, LINE, known, "", exempt, gone), ROWS, RULES)
    assert [(each.right, each.said) for each in found] == [("yes", "no"), ("no", "yes"), ("except", "no")]
    assert found[0].row.rules == {"a/b#R1": "yes"}
    assert found[1].row is ROW
    assert (found[2].row.exemption, found[2].row.lang) == ("study", "de")
    assert left_out == {("text not known", "review"): 1}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("{not json", "is not JSON", "one object a line"),
        ("[" * 100_000, "is not JSON", "one object a line"),
        ([1], "not an object", "decision"),
        ({**LINE, "verdikt": "x"}, "unknown key `verdikt`", "did you mean `verdict`"),
        ({**LINE, "rule": 3}, "`rule` must be a text", "quotes"),
        ({k: v for k, v in LINE.items() if k != "decision"}, "it needs `decision`", "keys"),
        ({**LINE, "sha256": "0" * 64}, "`text` or `sha256`, one of them", "keys"),
        ({**LINE, "verdict": "clean"}, "`verdict` cannot be `clean`", "did you mean `clear`"),
        ({**LINE, "said": "violates"}, "are the same", "leave out"),
        ({**LINE, "rule": "a/b#R9"}, "no rule `a/b#R9`", "did you mean"),
        ({**LINE, "verdict": "exempt"}, "`exemption` does not fit `exempt`", "`study`"),
        ({**LINE, "exemption": "study"}, "`exemption` does not fit `violates`", "`study`"),
    ],
)
def test_a_wrong_line_is_named_with_its_fix(tmp_path: Path, line: Any, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_overrides(overrides(tmp_path, LINE, line), ROWS, RULES)
    assert "line 2" in caught.value.message
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LINE, "said", "x"]), inner),
    max_leaves=8,
)


@given(line=JSON | st.text(max_size=20).filter(str.strip))
def test_whatever_stands_in_a_line_is_read_or_refused(line: Any, tmp_path_factory: Any) -> None:
    path = overrides(tmp_path_factory.mktemp("lines"), json.dumps(line))
    try:
        found, _ = read_overrides(path, ROWS, RULES)
    except UsageError:
        return
    assert len(found) <= 1


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_overrides(tmp_path / "none.jsonl", {}, {})
    (tmp_path / "latin.jsonl").write_bytes("ä".encode("latin-1"))
    with pytest.raises(UsageError, match="not utf-8"):
        read_overrides(tmp_path / "latin.jsonl", {}, {})
