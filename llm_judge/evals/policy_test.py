"""Cases beside policies → judged by an engine → pass, fail, undecided or todo, and what no case covers.

The cases of all chosen policies are judged under all of them together, so that areas gate as in
production. Knows nothing about terminals or report formats.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.batch.items import Item
from llm_judge.compile import policy_digest
from llm_judge.content.open import open_content
from llm_judge.content.text import from_text
from llm_judge.decision import ladder_step
from llm_judge.diagnostics import Diagnostic
from llm_judge.errors import PolicyError, UsageError
from llm_judge.evals.grading import Expectation, Grade, Mark, grade
from llm_judge.evals.judging import build_judges, judge_items
from llm_judge.policy.cases import cases_path, load_cases
from llm_judge.policy.load import wrong_files
from llm_judge.policy.unfinished import is_gap
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llm_judge.calibration import Calibration
    from llm_judge.content.content import Content
    from llm_judge.decision import Gap
    from llm_judge.engines.protocol import Engine, EngineInfo
    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import ActionStep, Policy
    from llm_judge.record import DecisionRecord


class State(StrEnum):
    """What became of a case. A case marked ``todo`` is never failed or undecided."""

    PASS = "pass"  # noqa: S105  # not a password
    FAIL = "fail"
    UNDECIDED = "undecided"
    TODO = "todo"
    FIXED = "fixed"  # passes: remove todo


_PLAIN_STATES = {Mark.PASS: State.PASS, Mark.FAIL: State.FAIL, Mark.UNDECIDED: State.UNDECIDED}


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One case and the policy it stands beside."""

    policy: Policy
    case: Case

    @property
    def id(self) -> str:
        """``safety/hate/HS1/line 12``: what ``--run`` is matched against; unique within a run."""
        rule = f"/{self.case.rule}" if self.case.rule else ""
        return f"{self.policy.policy}{rule}/{self.case.name}"

    @property
    def expected(self) -> Expectation:
        """The right answer."""
        case = self.case
        return Expectation(self.policy.policy, case.expect, case.rule, case.exemption)

    def item(self) -> Item:
        """What is judged; opened when its turn comes."""
        return Item(self.id, str(self.case.file) if self.case.file else None, self._open)

    def _open(self) -> Content:
        if self.case.media is not None:
            return open_content(self.case.media, id=self.id)
        return from_text(self.case.content or "", id=self.id)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    tested: PolicyCase
    state: State
    grade: Grade
    record: DecisionRecord


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of one policy no case exercises.

    Attributes:
        rules: ids without a case that must fire.
        guards: ids without a case that must not fire.
        exemptions: ``HS1: satire`` for each without a case.
        actions: steps of the ladder that no judged case of this policy reached, ``otherwise`` left out.
    """

    rules: tuple[str, ...]
    guards: tuple[str, ...]
    exemptions: tuple[str, ...]
    actions: tuple[ActionStep, ...]


@dataclass(frozen=True, slots=True)
class RuleCount:
    """Passes of one rule, with what must and what must not fire counted apart."""

    must_fire: tuple[int, int]  # passed, of
    must_not_fire: tuple[int, int]


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What became of the cases of one policy, in file order."""

    policy: Policy
    results: tuple[CaseResult, ...]
    coverage: Coverage

    @property
    def digest(self) -> str:
        """SHA-256 of what this policy means."""
        return policy_digest([self.policy])

    @property
    def states(self) -> Counter[State]:
        """How many cases ended in each state."""
        return Counter(result.state for result in self.results)

    def rule_counts(self) -> dict[str, RuleCount]:
        """Passes by rule, in policy order; cases that name no rule are left out."""
        return {rule.id: _rule_count(rule.id, self.results) for rule in self.policy.rules}


@dataclass(frozen=True, slots=True)
class PolicyTestRun:
    """Everything a report needs.

    Attributes:
        policies: one result for each policy that has a case in the run.
        digest: of all policies judged by, together.
        engine: who answered.
        groups: into how many groups the policies were cut to fit the model; 1 as in production.
        calibrated: False where stand-ins are used for thresholds.
        untested: ids of policies that have no case at all.
        gaps: thresholds that ladders name and the calibration that was given lacks.
    """

    policies: tuple[PolicyResult, ...]
    digest: str
    engine: EngineInfo
    groups: int
    calibrated: bool
    untested: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def states(self) -> Counter[State]:
        """How many cases ended in each state."""
        total: Counter[State] = Counter()
        for result in self.policies:
            total += result.states
        return total


def read_cases(policies: Sequence[Policy]) -> dict[str, list[PolicyCase]]:
    """Return the cases beside each policy, by policy id; none where there is no cases file.

    Raises:
        PolicyError: cases files are wrong or cannot be read; holds every problem of every file.
    """
    found: dict[str, list[PolicyCase]] = {}
    wrong: list[Diagnostic] = []
    for policy in policies:
        path = cases_path(Path(policy.at.file)) if policy.at else None
        if path is None or not path.exists():
            found[policy.policy] = []
            continue
        try:
            found[policy.policy] = [PolicyCase(policy, case) for case in load_cases(path, policy)]
        except PolicyError as error:
            problems = [each for each in error.diagnostics if isinstance(each, Diagnostic)]
            if not problems:  # the file itself cannot be read
                raise
            wrong += problems
    if wrong:
        raise wrong_files(wrong)
    return found


def choose_cases(
    cases: Mapping[str, Sequence[PolicyCase]], run: str | None = None, limit: int | None = None
) -> list[PolicyCase]:
    """Return the cases to judge: those whose id ``run`` is found in, the first ``limit`` of each policy.

    Args:
        cases: by policy id.

    Raises:
        UsageError: ``run`` is not a regular expression, or no case is left.
    """
    try:
        wanted = re.compile(run or "")
    except re.error as error:
        raise UsageError(f"`{run}` is not a regular expression: {error}") from None
    found = [
        each for listed in cases.values() for each in [one for one in listed if wanted.search(one.id)][:limit]
    ]
    if not found:
        known = next((one.id for listed in cases.values() for one in listed), None)
        hint = f"cases are named like `{known}`" if known else "write some into a `*.cases.yaml` beside it"
        what = f"no case matches `{run}`" if run and known else "there is no case"
        raise UsageError(f"nothing ran: {what}", hint)
    return found


def run_cases(
    chosen: Sequence[PolicyCase],
    all_cases: Mapping[str, Sequence[PolicyCase]],
    policies: Sequence[Policy],
    engine: Engine,
    *,
    alone: bool = False,
    explain: bool = False,
    calibration: Calibration | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> PolicyTestRun:
    """Judge the chosen cases and compare.

    Args:
        chosen: what is judged, grouped by policy.
        all_cases: every case by policy id, for the coverage of rules and exemptions.
        policies: what is judged by, together, or each by itself with ``alone``.
        explain: whether verdicts carry evidence and a rationale.
        calibration: made for these policies together; None for stand-ins.
        advance: called with the number of cases done.

    Raises:
        BudgetExceeded, EngineError, PackageError, Interrupted: nothing is reported.
        UsageError: the calibration was made for something else.
    """
    results: dict[str, list[CaseResult]] = {}
    judges = build_judges(policies, engine, alone=alone, explain=explain, calibration=calibration)
    for judge in judges:
        mine = {policy.policy for policy in judge.policies}
        cases = [each for each in chosen if each.policy.policy in mine]
        records = judge_items(judge, (each.item() for each in cases), advance)
        for each, record in zip(cases, records, strict=True):
            results.setdefault(each.policy.policy, []).append(_result(each, record))
    found = tuple(
        PolicyResult(policy, tuple(of), coverage(policy, all_cases.get(policy.policy, ()), of, calibration))
        for policy in policies
        if (of := results.get(policy.policy))
    )
    calibrated = all(
        r.record.decision is None or r.record.decision.calibrated for p in found for r in p.results
    )
    untested = tuple(policy.policy for policy in policies if not all_cases.get(policy.policy))
    gaps = tuple(gap for judge in judges for gap in judge.gaps)
    digest = policy_digest(policies)
    return PolicyTestRun(found, digest, engine.info, len(judges), calibrated, untested, gaps)


def coverage(
    policy: Policy,
    cases: Iterable[PolicyCase],
    results: Iterable[CaseResult],
    calibration: Calibration | None = None,
) -> Coverage:
    """Return what no case exercises: rules and exemptions by the cases, actions by what was judged."""
    seen = {(each.case.expect, each.case.rule, each.case.exemption) for each in cases}
    fired = {rule for expect, rule, _ in seen if expect == "violates"}
    guarded = {rule for expect, rule, _ in seen if expect != "violates"}
    exempted = {(rule, exemption) for _, rule, exemption in seen}
    steps = [
        ladder_step(verdict, policy, calibration)
        for result in results
        for verdict in result.record.verdicts
        if verdict.outcome is Outcome.VIOLATES and verdict.rule.startswith(f"{policy.policy}#")
    ]
    return Coverage(
        rules=tuple(rule.id for rule in policy.rules if rule.id not in fired),
        guards=tuple(rule.id for rule in policy.rules if rule.id not in guarded),
        exemptions=tuple(
            f"{rule.id}: {exemption.id}"
            for rule in policy.rules
            for exemption in rule.exemptions
            if (rule.id, exemption.id) not in exempted
        ),
        actions=tuple(step for step in policy.actions if not any(step is reached for reached in steps)),
    )


def _result(tested: PolicyCase, record: DecisionRecord) -> CaseResult:
    found = grade(tested.expected, record)
    if tested.case.todo:
        written = not is_gap(tested.case.content or "")
        state = State.FIXED if found.mark is Mark.PASS and written else State.TODO
    else:
        state = _PLAIN_STATES[found.mark]
    return CaseResult(tested, state, found, record)


def _rule_count(rule_id: str, results: Iterable[CaseResult]) -> RuleCount:
    counts = {True: [0, 0], False: [0, 0]}
    for result in results:
        case = result.tested.case
        if case.rule == rule_id:
            row = counts[case.expect == "violates"]
            row[0] += result.grade.mark is Mark.PASS
            row[1] += 1
    (fired, fire), (quiet, guard) = counts[True], counts[False]
    return RuleCount((fired, fire), (quiet, guard))
