"""Items through a judge: what is true beside what was answered, and the same after a kill."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from samples import OPEN, compiled, make_policy, make_rule

from llm_judge.engines.scripted import ScriptedEngine, ScriptedRead
from llm_judge.errors import EngineError, Interrupted, UsageError
from llm_judge.evals.answer_cache import AnswerCache
from llm_judge.evals.outcomes import Answer, Ask, EvalItem, ItemOutcome, Kind
from llm_judge.evals.run import items_digest, judge_item, run_identity, run_items
from llm_judge.evals.run_folder import RunFolder, read_manifest, read_outcomes
from llm_judge.judge import Judge

pytest.importorskip("pyarrow")
POLICY = make_policy("garden/plants", (make_rule("R1"), make_rule("R2", ("satire",))))
FIRES = {"yes": 0.95, "no": 0.05}
CLEAR = {"yes": 0.01, "no": 0.98}


def made(number: int, text: str, applies: bool | None) -> EvalItem:
    areas = {} if applies is None else {"garden/plants": applies}
    rules = {} if applies is None else {"garden/plants#R1": "yes" if applies else "no"}
    return EvalItem(
        f"set:{number}", "made", "set", text, None, "text", "en", (), f"g{number}", areas, rules, applies
    )


ITEMS = [
    made(n, f"Drowning plant {n}." if n % 3 == 0 else f"Watering plant {n}.", n % 3 == 0) for n in range(80)
]


def judge() -> Judge:
    reads = [
        ScriptedRead("area:garden/plants", "Drowning", OPEN),
        ScriptedRead("area:*", "", CLEAR),
        ScriptedRead("rule:garden/plants#R1", "Drowning", FIRES),
        ScriptedRead("rule:*", "", CLEAR),
    ]
    return Judge(compiled(POLICY), ScriptedEngine(reads=reads))


def outcomes(folder: Path, items: list[EvalItem] = ITEMS) -> list[ItemOutcome]:
    with RunFolder(folder, run_identity(judge(), items, {})) as run:
        run_items(judge(), items, run)
    return read_outcomes(folder)


def answer(outcome: ItemOutcome, kind: Kind, key: str) -> Answer:
    (found,) = [a for a in outcome.answers if (a.kind, a.key) == (kind, key)]
    return found


def test_truth_and_answer_stand_side_by_side(tmp_path: Path) -> None:
    items = [*ITEMS[:2], replace(ITEMS[3], id="set:x", areas={}, rules={}, harmful=None)]
    bad, fine, unknown = outcomes(tmp_path / "run", items)
    area = answer(bad, Kind.AREA, "garden/plants")
    assert (area.truth, area.outcome, area.probability) == (True, "violates", pytest.approx(0.9))
    assert answer(bad, Kind.ITEM, "any").outcome == "violates"
    assert answer(bad, Kind.RULE, "garden/plants#R2").truth is None
    closed = answer(fine, Kind.RULE, "garden/plants#R1")
    assert (closed.truth, closed.outcome, closed.asked) == (False, "clear", False)
    assert {a.truth for a in unknown.answers} == {None}
    assert "Drowning" not in (tmp_path / "run" / "outcomes.parquet").read_bytes().decode("latin-1")


def test_an_item_that_cannot_be_opened_is_its_own_error(tmp_path: Path) -> None:
    items = [replace(ITEMS[0], id="set:empty", text=" "), ITEMS[1]]
    broken, fine = outcomes(tmp_path / "run", items)
    assert (broken.error or "").startswith("ContentEmpty")
    assert (broken.answers, fine.error) == ((), None)


def test_media_are_asked_for_by_name_when_their_turn_comes(tmp_path: Path) -> None:
    wanted: list[str] = []

    def words(name: str) -> bytes:
        wanted.append(name)
        return b"Drowning plant." if name == "first" else b"\xff\xfe"

    items = [replace(ITEMS[0], id=f"set:{name}", text=None, media=name) for name in ("first", "second")]
    with RunFolder(tmp_path / "run", run_identity(judge(), items, {})) as run:
        run_items(judge(), items, run, media=words)
        assert wanted == ["first", "second"]
        assert answer(run.outcomes[0], Kind.AREA, "garden/plants").outcome == "violates"
        assert (run.outcomes[1].error or "").startswith("ContentDamaged")
    (missing,) = outcomes(tmp_path / "other", items[:1])
    assert missing.error == "ContentNotFound: `set:first` has no file"


def test_a_file_that_cannot_be_made_any_more_ends_the_run_and_keeps_whole_chunks(tmp_path: Path) -> None:
    def gone(name: str) -> bytes:
        raise UsageError(f"no synthesiser for {name}")

    items = [*ITEMS[:32], replace(ITEMS[40], text=None, media="late")]
    with RunFolder(tmp_path / "run", run_identity(judge(), items, {})) as run:
        with pytest.raises(UsageError, match="no synthesiser for late"):
            run_items(judge(), items, run, media=gone)
        assert len(run.outcomes) == 32


class Dies(ScriptedEngine):
    """Answers a few calls, then fails as a dead engine does."""

    def __init__(self, calls: int, engine: ScriptedEngine) -> None:
        super().__init__(reads=engine.reads)
        self._left = calls

    def read(self, requests):  # type: ignore[no-untyped-def]
        self._left -= 1
        if self._left < 0:
            raise EngineError("gone")
        return super().read(requests)


def test_a_run_that_died_twice_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole = outcomes(tmp_path / "whole")
    held = []
    for calls in (4, 4, 99):
        one = judge()
        one.engine = Dies(calls, one.engine)  # type: ignore[arg-type]
        with RunFolder(tmp_path / "broken", run_identity(judge(), ITEMS, {}), resume=True) as run:
            held.append(len(run.outcomes))
            with contextlib.suppress(EngineError):
                run_items(one, ITEMS, run)
    assert held == [0, 32, 64]
    strip = [replace(one, ms=0.0) for one in read_outcomes(tmp_path / "broken")]
    assert strip == [replace(one, ms=0.0) for one in whole]


@pytest.mark.parametrize(
    "change", [{"text": "Other."}, {"areas": {"garden/plants": False}}, {"rules": {}}, {"id": "set:z"}]
)
def test_other_words_or_labels_are_another_run(change: dict[str, object]) -> None:
    assert items_digest(ITEMS) != items_digest([replace(ITEMS[0], **change), *ITEMS[1:]])  # type: ignore[arg-type]


def test_asks_only_what_labels_can_score_and_answers_the_same(tmp_path: Path) -> None:
    other = make_policy("garden/tools", (make_rule("T1"),))
    reads = [ScriptedRead("area:*", "", OPEN), ScriptedRead("rule:*", "Drowning", FIRES)]
    reads.append(ScriptedRead("rule:*", "", CLEAR))
    both = Judge(compiled(POLICY, other), ScriptedEngine(reads=reads))
    items = [*ITEMS[:2], replace(ITEMS[2], areas={}, rules={}, harmful=True)]
    found = {}
    for ask in Ask:
        with RunFolder(tmp_path / ask, run_identity(both, items, {})) as run:
            run_items(both, items, run, ask=ask)
            found[ask] = run.outcomes
    asked = [{a.key for a in outcome.answers if a.kind is Kind.AREA} for outcome in found[Ask.LABELLED]]
    # The third has a label as a whole only, and takes every policy to score.
    assert asked == [{"garden/plants"}, {"garden/plants"}, {"garden/plants", "garden/tools"}]
    assert [any(a.kind is Kind.ITEM for a in o.answers) for o in found[Ask.LABELLED]] == [False, False, True]
    for whole, part in zip(found[Ask.ALL], found[Ask.LABELLED], strict=True):
        assert set(part.answers) <= set(whole.answers)
    for part, ranked in zip(found[Ask.LABELLED], found[Ask.AREAS], strict=True):
        rules = [a for a in part.answers if a.kind is Kind.RULE]
        assert rules
        assert probabilities(ranked) == {
            k: p for k, p in probabilities(part).items() if k[0] is not Kind.RULE
        }


def probabilities(outcome: ItemOutcome) -> dict[tuple[Kind, str], float | None]:
    return {(answer.kind, answer.key): answer.probability for answer in outcome.answers}


def test_an_item_alone_is_judged_as_in_a_run(tmp_path: Path) -> None:
    alone = judge_item(judge(), ITEMS[0])
    among = outcomes(tmp_path)[0]
    assert replace(alone, ms=among.ms, tokens=among.tokens) == among


def test_the_manifest_counts_what_earlier_runs_answered(tmp_path: Path) -> None:
    counted = []
    with AnswerCache(tmp_path / "answers") as cache:
        for limit in (40, 80):
            folder, some = tmp_path / str(limit), ITEMS[:limit]
            with RunFolder(folder, run_identity(judge(), some, {})) as run:
                run_items(judge(), some, run, cache=cache)
            counted.append((read_manifest(folder)["cached_items"], [o.cached for o in read_outcomes(folder)]))
    assert counted == [(0, [False] * 40), (40, [True] * 40 + [False] * 40)]


def words_of(name: str) -> bytes:
    return b" " if name == "5" else f"Drowning plant {name}.".encode()


FILES = [replace(item, text=None, media=str(number)) for number, item in enumerate(ITEMS)]


def test_opening_ahead_changes_no_outcome_and_no_error(tmp_path: Path) -> None:
    found = []
    for workers in (1, 3):
        with RunFolder(tmp_path / str(workers), run_identity(judge(), FILES, {})) as run:
            run_items(judge(), FILES, run, media=words_of, workers=workers)
            found.append([replace(one, ms=0.0) for one in run.outcomes])
    assert found[0] == found[1]
    assert [one.item for one in found[0] if one.error] == ["set:5"]


def test_a_stop_while_items_are_opened_ahead_keeps_whole_chunks_and_goes_on(tmp_path: Path) -> None:
    def media(name: str) -> bytes:
        if name == "40":
            os.kill(os.getpid(), signal.SIGINT)
        return words_of(name)

    identity = run_identity(judge(), FILES, {})
    with RunFolder(tmp_path / "run", identity) as run:
        with pytest.raises(Interrupted, match="stopped after the items in hand"):
            run_items(judge(), FILES, run, media=media, workers=2)
        assert len(run.outcomes) in (32, 64)
    with RunFolder(tmp_path / "run", identity, resume=True) as run:
        run_items(judge(), FILES, run, media=words_of, workers=2)
    assert [one.item for one in read_outcomes(tmp_path / "run")] == [item.id for item in FILES]


@pytest.mark.parametrize("ask", Ask)
def test_a_stop_between_chunks_is_clean_too(tmp_path: Path, ask: Ask) -> None:
    def press(judged: int) -> None:
        if judged:
            signal.raise_signal(signal.SIGINT)

    with RunFolder(tmp_path / "run", run_identity(judge(), ITEMS, {})) as run:
        with pytest.raises(Interrupted, match="stopped after the items in hand"):
            run_items(judge(), ITEMS, run, ask=ask, advance=press)
        assert len(run.outcomes) == 32
