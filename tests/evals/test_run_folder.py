"""A run that is killed goes on where whole chunks end; two runs never mix."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.errors import OutputError, UsageError
from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind
from llm_judge.evals.run_folder import (
    JOURNAL,
    MANIFEST,
    OUTCOMES,
    RunFolder,
    read_manifest,
    read_outcomes,
    write_outcomes,
)

pytest.importorskip("pyarrow")
IDENTITY = {"items_digest": "abc", "options": {"seed": 1}}


def outcome(number: int, *answers: Answer) -> ItemOutcome:
    return ItemOutcome(
        f"set:{number}", "0a", "made", "set", "text", "en", ("x",), f"g{number}", answers, "allow"
    )


def chunk(start: int) -> list[ItemOutcome]:
    return [outcome(number) for number in range(start, start + 3)]


numbers = st.floats(0, 1) | st.none()
answers = st.builds(
    Answer,
    kind=st.sampled_from(Kind),
    key=st.text(max_size=5),
    truth=st.booleans() | st.none(),
    probability=numbers,
    exempt_probability=st.floats(0, 1),
    label_mass=st.floats(0, 1),
    outcome=st.sampled_from(["violates", "abstain"]),
    asked=st.booleans(),
)


@given(st.lists(st.lists(answers, max_size=3), max_size=4))
def test_parquet_keeps_outcomes_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Answer]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    written = [outcome(number, *row) for number, row in enumerate(rows)]
    write_outcomes(written, folder / OUTCOMES)
    assert read_outcomes(folder) == written


def test_a_finished_run_has_one_file_and_a_manifest(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", IDENTITY) as run:
        run.append(chunk(0))
        run.append(chunk(3))
        run.finish({"seconds": 2.5})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [MANIFEST, OUTCOMES]
    assert read_manifest(tmp_path / "run") == {"schema": 1, **IDENTITY, "finished": True, "seconds": 2.5}
    assert [one.item for one in read_outcomes(tmp_path / "run")] == [f"set:{n}" for n in range(6)]


@given(st.integers(0, 400))
def test_wherever_it_was_killed_whole_chunks_are_kept(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with RunFolder(folder, IDENTITY) as run:
        run.append(chunk(0))
        whole = (folder / JOURNAL).stat().st_size
        run.append(chunk(3))
    journal = (folder / JOURNAL).read_bytes()
    (folder / JOURNAL).write_bytes(journal[: len(journal) - cut] if cut else journal)
    left = len(journal) - cut
    with RunFolder(folder, IDENTITY, resume=True) as run:
        kept = 6 if cut == 0 else 3 if left >= whole else 0
        assert [one.item for one in run.outcomes] == [f"set:{n}" for n in range(kept)]
        run.append(chunk(kept))
    with RunFolder(folder, IDENTITY, resume=True) as run:
        assert len(run.outcomes) == kept + 3


def test_a_finished_run_is_resumed_as_it_is(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as run:
        run.append(chunk(0))
        run.finish({})
    with RunFolder(tmp_path, IDENTITY, resume=True) as run:
        assert run.finished
        assert run.outcomes == chunk(0)


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY), pytest.raises(OutputError, match="another process"):
        RunFolder(tmp_path, IDENTITY)
    with pytest.raises(UsageError, match="already holds a run"):
        RunFolder(tmp_path, IDENTITY)
    with pytest.raises(UsageError, match="another items digest"):
        RunFolder(tmp_path, {**IDENTITY, "items_digest": "abd"}, resume=True)
    with pytest.raises(UsageError, match="not finished"):
        read_outcomes(tmp_path)
    (tmp_path / JOURNAL).write_text('{"not": "a chunk"}\n')
    with pytest.raises(UsageError, match="not of a run"):
        RunFolder(tmp_path, IDENTITY, resume=True)


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no eval run"):
        read_manifest(tmp_path / "nowhere")
    (tmp_path / "runs" / "core-text").mkdir(parents=True)
    (tmp_path / "runs" / "core-text" / MANIFEST).write_text("{}")
    with pytest.raises(UsageError, match="no eval run") as raised:
        read_outcomes(tmp_path / "runs")
    assert str(tmp_path / "runs" / "core-text") in str(raised.value.hint)
    (tmp_path / OUTCOMES).write_bytes(b"PAR1 but not really")
    with pytest.raises(UsageError, match="damaged"):
        read_outcomes(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        RunFolder(tmp_path / "file" / "run", IDENTITY)
