"""Markdown pages for readers: one a policy, one a check code, and an index of each.

Policies, their cases and the code pages in, texts by relative path out. Every text of a policy is escaped.
Writes no files; ``guideline_book`` makes the HTML page.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from llm_judge.policy.codes import CODES
from llm_judge.policy.guideline_book import guideline_book
from llm_judge.policy.in_words import ANSWERS, Term, ladder, listed, parts, severity, spoken, visible
from llm_judge.policy.load import JUDGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import Policy, Rule

MADE = "<!-- Written by `llm-judge policy docs`"
_POLICY_MADE = f"{MADE}: edit the policy instead. -->"
_CODE_MADE = f"{MADE}: edit llm_judge/policy/pages instead. -->"
_MARKS = re.compile(r"([\\`*_\[\]#|~@$])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+(?=[.)](?:\s|$)))")
_EXPECTED = ("violates", "clear", "exempt")


def doc_files(policies: Sequence[Policy], cases: Mapping[str, Sequence[Case]]) -> dict[str, str]:
    """Return every page.

    Args:
        policies: in any order.
        cases: the cases of each policy, by its id.

    Returns:
        Path below the folder of the documents → text, such as ``policies/safety/hate.md``,
        ``checks/P101.md`` and ``guidelines.html``.
    """
    policies = sorted(policies, key=lambda policy: policy.policy)
    made = {f"policies/{p.policy}.md": policy_page(p, cases.get(p.policy, ())) for p in policies}
    made["policies/README.md"] = policy_index(policies, cases)
    made |= {f"checks/{code}.md": f"{_CODE_MADE}\n{CODES[code].page}" for code in CODES}
    made["checks/README.md"] = code_index()
    made["guidelines.html"] = guideline_book([p for p in policies if p.status in JUDGED])
    return made


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, on one line."""
    entities = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINE_START.sub(_guarded, _MARKS.sub(r"\\\1", entities))


def _guarded(match: re.Match[str]) -> str:
    blanks, mark = match.groups()
    # A backslash does not work before a digit; an entity works before anything.
    return f"{blanks}&#{ord(mark[0])};{mark[1:]}"


def policy_page(policy: Policy, cases: Sequence[Case]) -> str:
    """Return the page of one policy."""
    facts = [
        ("id", f"`{policy.policy}`"),
        ("version", escaped(policy.version)),
        ("status", policy.status.value),
        ("owner", escaped(policy.owner)),
        ("for", ", ".join(policy.modalities)),
    ]
    sections = [
        f"{_POLICY_MADE}\n\n# {escaped(policy.title)}",
        escaped(policy.summary),
        _table(("", ""), facts),
        *_definitions(policy),
        "## Rules",
        *(block for rule in policy.rules for block in _rule(rule, policy)),
        "## What is done",
        "The first line that fits counts.",
        _table(("when", "what is done"), [(escaped(when), escaped(what)) for when, what in ladder(policy)]),
        *_cases(policy, cases),
        *_elsewhere(policy),
    ]
    return "\n\n".join(sections) + "\n"


def policy_index(policies: Sequence[Policy], cases: Mapping[str, Sequence[Case]]) -> str:
    """Return the index of policies, group by group."""
    blocks = [
        f"{MADE}. -->\n\n# Guidelines",
        f"{len(policies)} policies, {sum(len(p.rules) for p in policies)} rules. "
        "The same as one page to read and print: [guidelines.html](../guidelines.html).",
    ]
    for group in dict.fromkeys(policy.policy.split("/")[0] for policy in policies):
        rows = [
            (
                f"[{escaped(policy.title)}]({policy.policy}.md)",
                escaped(policy.summary),
                str(len(policy.rules)),
                str(len(cases.get(policy.policy, ()))),
                f"{escaped(policy.version)} {policy.status}",
            )
            for policy in policies
            if policy.policy.split("/")[0] == group
        ]
        blocks += [
            f"## {spoken(group).capitalize()}",
            _table(("policy", "covers", "rules", "cases", "version"), rows),
        ]
    return "\n\n".join(blocks) + "\n"


def code_index() -> str:
    """Return the index of check codes."""
    rows = [
        (f"[{c.id}]({c.id}.md)", escaped(c.title), c.level.value, "no" if c.fixed else "yes")
        for c in CODES.values()
    ]
    head = (
        f"{MADE}. -->\n\n# Check codes\n\nWhat `llm-judge policy check` looks for: P0 is shape, P1 meaning, "
        "P2 wording. `llm-judge policy explain CODE` prints the same pages."
    )
    return f"{head}\n\n{_table(('code', 'what is wrong', 'level', 'can be turned off'), rows)}\n"


def _definitions(policy: Policy) -> list[str]:
    if not policy.definitions:
        return []
    rows = [
        f'- <a id="{name}"></a>**{escaped(spoken(name))}**: {escaped(text)}'
        for name, text in policy.definitions.items()
    ]
    return ["## Definitions", "\n".join(rows)]


def _rule(rule: Rule, policy: Policy) -> list[str]:
    notes = [f"Severity {severity(rule.severity)}."]
    if rule.modalities is not None:
        notes.append(f"Only for {listed(rule.modalities)}." if rule.modalities else "For nothing.")
    if rule.floor:
        notes.append("No overlay may loosen it.")
    blocks = [
        f'<a id="{rule.id}"></a>\n\n### {escaped(rule.id)}: {escaped(rule.title)}',
        _with_terms(rule.violates, policy),
        " ".join(notes),
    ]
    if rule.exemptions:
        rows = [f"- *{escaped(spoken(e.id))}*: {_with_terms(e.when, policy)}" for e in rule.exemptions]
        blocks += ["Allowed all the same:", "\n".join(rows)]
    if rule.examples:
        examples = [
            (
                escaped(each.content),
                ANSWERS[each.verdict] + (f" ({escaped(spoken(each.exemption))})" if each.exemption else ""),
                escaped(each.because),
            )
            for each in rule.examples
        ]
        blocks.append(_table(("example", "answer", "because"), examples))
    return blocks


def _with_terms(text: str, policy: Policy) -> str:
    shown = (
        f"[{escaped(part.words)}](#{part.name})" if isinstance(part, Term) else escaped(part)
        for part in parts(text, policy)
    )
    return "".join(shown)


def _cases(policy: Policy, cases: Sequence[Case]) -> list[str]:
    if not cases:
        return ["## Cases", "There are none."]
    count: Counter[tuple[str | None, str]] = Counter((case.rule, case.expect) for case in cases)
    todo = Counter(case.rule for case in cases if case.todo)
    known: list[str | None] = [rule.id for rule in policy.rules]
    rows = []
    for name in [*known, *([None] if any(case.rule is None for case in cases) else [])]:
        numbers = [str(count[name, expect]) for expect in _EXPECTED]
        rows.append((escaped(name or "no rule"), *numbers, str(todo[name])))
    head = ("rule", "must fire", "must not fire", "exempt", "known to fail")
    languages = sorted({case.lang for case in cases if case.lang})
    said = f" in {len(languages)} languages" if len(languages) > 1 else ""
    return ["## Cases", f"{len(cases)} cases{said}.", _table(head, rows)]


def _elsewhere(policy: Policy) -> list[str]:
    rows = [(escaped(name), ", ".join(map(escaped, names))) for name, names in policy.maps_to.items()]
    return ["## In other taxonomies", _table(("taxonomy", "names"), rows)] if rows else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
