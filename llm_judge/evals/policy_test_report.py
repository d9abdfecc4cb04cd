"""A run of policy tests → what people, machines and CI systems read. Computes nothing.

Content is hostile: control characters are shown, nothing is read as markup.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

from rich.text import Text

from llm_judge.evals.policy_test import State
from llm_judge.policy.diff import step_text
from llm_judge.report import place, printable

if TYPE_CHECKING:
    from llm_judge.evals.policy_test import CaseResult, Coverage, PolicyResult, PolicyTestRun

_MAX_QUOTE = 70
_MAX_UNDECIDED = 3  # shown for each policy; an untuned model cannot decide most cases
_STYLES = {State.FAIL: "bold red", State.UNDECIDED: "yellow", State.TODO: "dim", State.FIXED: "cyan"}
_WORDS = {State.FAIL: "failed", State.UNDECIDED: "undecided", State.TODO: "todo"}
# What XML 1.0 cannot hold, even escaped (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def policy_text(result: PolicyResult, *, whole: bool) -> Text:
    """One policy: its counts, what no case covers, and each case that did not pass.

    Args:
        whole: every case ran, so that what no case reached means something.
    """
    text = Text()
    text.append(result.policy.policy, style="bold")
    text.append(f"  {_counts(result)}\n")
    for line in _coverage_lines(result.coverage, whole):
        text.append(f"  {line}\n", style="dim")
    for rule_id, count in result.rule_counts().items():
        (fired, fire), (quiet, guard) = count.must_fire, count.must_not_fire
        if fired < fire or quiet < guard:
            text.append(f"  {rule_id}  must fire {fired}/{fire}, must not fire {quiet}/{guard}\n")
    undecided = 0
    for each in result.results:
        undecided += each.state is State.UNDECIDED
        if each.state in _STYLES and not (each.state is State.UNDECIDED and undecided > _MAX_UNDECIDED):
            text.append_text(_case_text(each))
    if undecided > _MAX_UNDECIDED:
        text.append(f"  and {undecided - _MAX_UNDECIDED} more undecided (--json lists all)\n", style="yellow")
    return text


def summary_text(run: PolicyTestRun) -> Text:
    """The last lines: totals, and what they were measured with."""
    states, engine = run.states, run.engine
    passed = states[State.PASS] + states[State.FIXED]
    parts = [f"{passed} pass", *(f"{states[state]} {word}" for state, word in _WORDS.items())]
    line = f"{_many(len(run.policies), 'policy', 'policies')}, {_many(states.total(), 'case')}: "
    text = Text(line + ", ".join(parts))
    rows = [row for result in run.policies for row in result.rule_counts().values()]
    fire = [sum(row.must_fire[i] for row in rows) for i in (0, 1)]
    guard = [sum(row.must_not_fire[i] for row in rows) for i in (0, 1)]
    text.append(f"\nmust fire {fire[0]}/{fire[1]}, must not fire {guard[0]}/{guard[1]}")
    adapter = engine.adapter_digest[:12] if engine.adapter_digest else "none"
    text.append(
        f"\nengine {engine.engine}:{engine.model} {engine.dtype}  model {engine.model_digest[:12]}  "
        f"adapter {adapter}  policy {run.digest[:12]}",
        style="dim",
    )
    if run.untested:
        text.append(f"\npolicies without cases: {', '.join(run.untested)}", style="yellow")
    if run.groups > 1:
        text.append(f"\njudged in {run.groups} groups of policies, one by one", style="dim")
    if not run.calibrated:
        text.append(f"\n{'some ' if run.gaps else ''}thresholds are not calibrated", style="dim")
    return text


def to_json(run: PolicyTestRun) -> dict[str, Any]:
    """The whole run as plain data."""
    states = run.states
    return {
        "counts": {state.value: states[state] for state in State},
        "policy_digest": run.digest,
        "engine": {
            "engine": run.engine.engine,
            "model": run.engine.model,
            "model_digest": run.engine.model_digest,
            "adapter_digest": run.engine.adapter_digest,
            "dtype": run.engine.dtype,
        },
        "groups": run.groups,
        "calibrated": run.calibrated,
        "gaps": [asdict(gap) for gap in run.gaps],
        "untested": list(run.untested),
        "policies": [_policy_json(result) for result in run.policies],
    }


def to_junit(run: PolicyTestRun) -> str:
    """The run as JUnit XML: a suite a policy; undecided is an ``error``, todo is ``skipped``."""
    root = Xml.Element("testsuites", name="llm-judge policy test")
    _count_attributes(root, run.states)
    for result in run.policies:
        suite = Xml.SubElement(root, "testsuite", name=_xml(result.policy.policy))
        _count_attributes(suite, result.states)
        properties = Xml.SubElement(suite, "properties")
        for name, value in (("policy_digest", result.digest), ("engine", run.engine.model)):
            Xml.SubElement(properties, "property", name=name, value=_xml(value))
        for each in result.results:
            _junit_case(suite, each)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def _counts(result: PolicyResult) -> str:
    states = result.states
    passed = states[State.PASS] + states[State.FIXED]
    parts = [f"{passed} of {len(result.results)} pass"]
    parts += [f"{states[s]} {_WORDS[s]}" for s in (State.TODO, State.FAIL, State.UNDECIDED) if states[s]]
    return ", ".join(parts)


def _coverage_lines(covered: Coverage, whole: bool) -> list[str]:
    named = {
        "rules without a case": [rule for rule in covered.rules if rule in covered.guards],
        "rules without a case that must fire": [r for r in covered.rules if r not in covered.guards],
        "rules without a case that must not fire": [r for r in covered.guards if r not in covered.rules],
        "exemptions without a case": covered.exemptions,
        "actions no case reached": [step_text(step) for step in covered.actions] if whole else [],
    }
    return [f"{words}: {', '.join(names)}" for words, names in named.items() if names]


def _case_text(result: CaseResult) -> Text:
    text = Text("  ")
    word = "FAIL" if result.state is State.FAIL else result.state.value
    if result.state is State.FIXED:
        word = "passes: remove todo"
    text.append(word, style=_STYLES[result.state])
    text.append(f" {_where(result)}  “{_quote(result)}”\n")
    if result.state is not State.FIXED:
        text.append(f"       expected {result.tested.expected}   got {printable(result.grade.got)}")
        text.append(f"{_probabilities(result)}\n")
    verdict = result.grade.verdict
    for evidence in verdict.evidence if verdict else ():
        text.append(f"       evidence [{evidence.segment}] {place(evidence)}\n", style="dim")
    if verdict and verdict.rationale:
        text.append(f"       rationale {printable(verdict.rationale)}\n", style="italic")
    return text


def _probabilities(result: CaseResult) -> str:
    verdict = result.grade.verdict
    if verdict is None or verdict.probability is None or result.state is State.UNDECIDED:
        return ""  # what is undecided says why, with its numbers
    exempt = f", exempt {verdict.exempt_probability:.2f}" if verdict.exempt_probability >= 0.005 else ""
    return f"   p {verdict.probability:.2f}{exempt}"


def _where(result: CaseResult) -> str:
    at = result.tested.case.at
    return printable(f"{at.file}:{at.line}:{at.column}") if at else result.tested.id


def _quote(result: CaseResult) -> str:
    case = result.tested.case
    text = printable(" ".join((case.content or case.file or "").split()))
    return text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - 1] + "…"


def _policy_json(result: PolicyResult) -> dict[str, Any]:
    covered = result.coverage
    return {
        "policy": result.policy.policy,
        "version": result.policy.version,
        "digest": result.digest,
        "counts": {state.value: result.states[state] for state in State},
        "rules": {
            rule_id: {
                "must_fire": {"passed": row.must_fire[0], "of": row.must_fire[1]},
                "must_not_fire": {"passed": row.must_not_fire[0], "of": row.must_not_fire[1]},
            }
            for rule_id, row in result.rule_counts().items()
        },
        "without": {
            "must_fire": list(covered.rules),
            "must_not_fire": list(covered.guards),
            "exemptions": list(covered.exemptions),
            "actions": [step_text(step) for step in covered.actions],
        },
        "cases": [_case_json(each) for each in result.results],
    }


def _case_json(result: CaseResult) -> dict[str, Any]:
    case, verdict = result.tested.case, result.grade.verdict
    return {
        "id": result.tested.id,
        "file": case.at.file if case.at else None,
        "line": case.at.line if case.at else None,
        "column": case.at.column if case.at else None,
        "lang": case.lang,
        "state": result.state.value,
        "expected": str(result.tested.expected),
        "got": result.grade.got or None,
        "probability": _rounded(verdict.probability) if verdict else None,
        "exempt_probability": _rounded(verdict.exempt_probability) if verdict else None,
        "action": result.record.action.value,
        "decision_id": result.record.decision_id,
        "rationale": verdict.rationale if verdict else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _junit_case(suite: Xml.Element, result: CaseResult) -> None:
    case = result.tested.case
    classname = ".".join(filter(None, (result.tested.policy.policy, case.rule)))
    attributes = {"classname": classname, "name": f"{case.name}: {_quote(result)}"}
    if case.at:
        attributes |= {"file": case.at.file, "line": str(case.at.line)}
    node = Xml.SubElement(suite, "testcase", {name: _xml(value) for name, value in attributes.items()})
    tag = {State.FAIL: "failure", State.UNDECIDED: "error", State.TODO: "skipped"}.get(result.state)
    if tag is not None:
        said = _xml(f"expected {result.tested.expected}; got {result.grade.got}{_probabilities(result)}")
        Xml.SubElement(node, tag, {"message": said} | ({} if tag == "skipped" else {"type": tag}))
    elif result.state is State.FIXED:
        Xml.SubElement(node, "system-out").text = "passes: remove todo"


def _count_attributes(node: Xml.Element, states: Any) -> None:
    node.set("tests", str(states.total()))
    for name, state in (("failures", State.FAIL), ("errors", State.UNDECIDED), ("skipped", State.TODO)):
        node.set(name, str(states[state]))


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)


def _many(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
