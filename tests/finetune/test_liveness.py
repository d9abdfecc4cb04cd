"""Engines that fail in one way each, and the check that says so."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from llm_judge.engines.protocol import Completion, EngineInfo, Reading, ReadRequest
from llm_judge.errors import UsageError
from llm_judge.finetune.gate_limits import default_limits, load_limits
from llm_judge.finetune.labelled import training_policies
from llm_judge.finetune.liveness import answer_checks, diagnosis
from llm_judge.finetune.liveness_probes import ProbeSet, load_probes, probe_folder, read_probes
from llm_judge.finetune.rows import own_rows
from llm_judge.prompt import Question

pytest.importorskip("scipy")

LIMITS = load_limits(default_limits())
PROBES = load_probes(probe_folder())
# Question, whether its rule is inverted, the content → P(yes).
Answers = Callable[[str, bool, str], float]


class ProbedEngine:
    """Says yes with the probability that ``answers`` gives, and little else."""

    special_tokens = ()
    vision = None
    info = EngineInfo("probed", "words", "0" * 64, None, "float32", 8192)

    def __init__(self, answers: Answers, mass: float = 0.99) -> None:
        self.answers, self.mass = answers, mass

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        return [[self._reading(q, request.prompt.body) for q in request.questions] for request in requests]

    def generate(self, requests: Sequence[object]) -> list[Completion]:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""

    def _reading(self, question: Question, body: str) -> Reading:
        policy = question.id.partition(":")[2].partition("#")[0]
        yes = self.answers(policy, "Does not do this" in question.text, body)
        found = {"yes": math.log(yes * self.mass), "no": math.log((1 - yes) * self.mass)}
        return Reading(found, self.mass)


def breaks(policy: str, body: str) -> bool:
    (which,) = (n for n, text in enumerate(PROBES.texts) if text.split(".")[0] in body)
    return policy in PROBES.breaks[which]


def harmful(body: str) -> bool:
    return any(breaks(policy.policy, body) for policy in PROBES.policies)


def chance(*words: object) -> float:
    """A number in 0.1..0.9 that looks random and depends on the words alone."""
    return 0.1 + 0.8 * hashlib.sha256(repr(words).encode()).digest()[0] / 255


def clear(yes: bool) -> float:
    return 0.9 if yes else 0.1


BASE = ProbedEngine(lambda *_: 0.5)


def missed(engine: ProbedEngine, probes: ProbeSet = PROBES) -> tuple[set[str], str | None]:
    """Names of the checks that an engine misses, and why it is refused."""
    checks = answer_checks(read_probes(BASE, probes), read_probes(engine, probes), probes, LIMITS, draws=200)
    return {check.name for check in checks if not check.passed}, diagnosis(checks)


def test_an_engine_that_follows_its_policy_passes() -> None:
    assert missed(ProbedEngine(lambda p, turned, body: clear(breaks(p, body) != turned))) == (set(), None)


@pytest.mark.parametrize(
    ("engine", "names", "why"),
    [
        (BASE, {"effect", "content moves", "rule moves", "content order", "rule order", "inversion"},
         "answers like its base"),
        (ProbedEngine(lambda p, turned, body: clear(breaks(p, body) != turned), mass=0.1), {"format"},
         "does not answer in the format"),
        (ProbedEngine(lambda p, turned, body: chance(p, turned)),
         {"content moves", "content order", "rule order", "inversion"}, "ignores its content"),
        (ProbedEngine(lambda p, turned, body: clear(harmful(body))),
         {"rule moves", "rule order", "inversion"}, "ignores its policy"),
        (ProbedEngine(chance),
         {"content order", "rule order", "inversion"}, "shuffled labels"),
        (ProbedEngine(lambda p, turned, body: clear(breaks(p, body))), {"inversion"},
         "not shown to follow an inverted rule"),
        (ProbedEngine(lambda p, turned, body: clear(breaks(p, body) and not turned)), {"inversion"},
         "not shown to follow an inverted rule"),
    ],
)  # fmt: skip
def test_each_fault_is_told_from_the_others(engine: ProbedEngine, names: set[str], why: str) -> None:
    found, told = missed(engine)
    assert found == names
    assert why in str(told)


def test_figures_by_hand(tmp_path: Path) -> None:
    """P(yes) of 0.8 where broken and 0.4 elsewhere; the opposite of a rule reads 0.3 throughout."""
    figures = {
        check.name: check.value
        for check in answer_checks(
            read_probes(BASE, PROBES),
            read_probes(ProbedEngine(lambda p, t, b: 0.3 if t else 0.8 if breaks(p, b) else 0.4), PROBES),
            PROBES,
            LIMITS,
            draws=20,
        )
    }
    # 24 of 30 contents break one of 6 rules: 4 · 26 of the 435 pairs of contents differ, and by 0.4.
    assert figures["content moves"] == pytest.approx(0.4 * 4 * 26 / 435)
    assert figures["rule moves"] == pytest.approx(0.4 * (24 * 5 / 15) / 30)
    assert (figures["content order"], figures["rule order"], figures["inversion"]) == (1.0, 1.0, 0.0)
    assert figures["format"] == pytest.approx(0.99)


def test_the_probes_are_not_among_what_is_trained_on() -> None:
    trained = {row.text for split in ("train", "dev") for row in own_rows(training_policies(), split)}
    assert not trained & set(PROBES.texts)
    assert not {policy.policy for policy in PROBES.policies} & {p.policy for p in training_policies()}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "x", "breaks": ["toy/none#T1"]}], "line 1 is no probe"),
        ([{"text": "x"}], "line 1 is no probe"),
        ([{"text": "x", "breaks": ["toy/kite#T1"]}], "cannot tell policies apart"),
        ([], "cannot tell policies apart"),
    ],
)
def test_probes_that_show_nothing_are_refused(
    tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    from tiny_adapters import toy_probes

    folder = toy_probes(tmp_path / "toy")
    (folder / "contents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(UsageError, match=message):
        load_probes(folder)
