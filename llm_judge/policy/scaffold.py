"""A new policy and its cases from a few answers, and what is wrong with an answer.

The texts pass every check but those that only a person can satisfy: they are drafts with gaps to fill in.
Writes no files and asks nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Level
from llm_judge.policy.check import check_policy
from llm_judge.policy.format import format_text
from llm_judge.policy.model import Policy
from llm_judge.policy.scalar import double_quoted
from llm_judge.policy.shape import shape
from llm_judge.policy.unfinished import gap
from llm_judge.policy.wording import check_wording
from llm_judge.source import Source
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from llm_judge.diagnostics import Diagnostic

_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,39}):\s+(\S.*)", re.DOTALL)
_NOT_GROUPS = ("overlays", "schema")  # folders that are never searched for policies


@dataclass(frozen=True, slots=True)
class Answers:
    """What a new policy is made from.

    Attributes:
        id: such as ``safety/hate``.
        title: name for people.
        summary: what it covers, in one sentence.
        violates: the condition of the first rule.
        severity: 1 to 5.
        exempt: a circumstance in which it is allowed, with or without a name: ``news: Reports on it.``
        owner: team to ask.
    """

    id: str = "group/name"
    title: str = "Title"
    summary: str = "What it covers."
    violates: str = "Does something."
    severity: str = "3"
    exempt: str = ""
    owner: str = "policy-team"

    def tidy(self) -> Answers:
        """Return the answers with every run of blanks and line breaks as one blank."""
        return Answers(*(" ".join(getattr(self, name).split()) for name in self.__slots__))

    @property
    def rule_id(self) -> str:
        """Id of the first rule, from the name: ``PS1`` for ``platform_security``, ``HA1`` for ``hate``."""
        words = [word for word in re.split(r"[_/]", self.id.rpartition("/")[2]) if word[:1].isalpha()]
        letters = "".join(word[0] for word in words) if len(words) > 1 else "".join(words)[:2]
        return f"{letters[:8].upper() or 'R'}1"

    @property
    def exemption(self) -> tuple[str, str]:
        """Id and text of the exemption."""
        named = _NAMED.fullmatch(self.exempt)
        return (named.group(1), named.group(2)) if named else ("exemption", self.exempt)


def problems(name: str, answer: str) -> tuple[list[Diagnostic], str | None]:
    """Return what is wrong with one answer: warnings to show, and the first error as one line.

    Args:
        name: a field of ``Answers``.
        answer: what was given.
    """
    answers = replace(Answers(), **{name: answer}).tidy()
    if not getattr(answers, name) and name != "exempt":
        return [], "an answer is needed"
    if name == "severity" and answers.severity not in {"1", "2", "3", "4", "5"}:
        return [], f"`{answers.severity}` is not a whole number from 1 to 5"
    group = answers.id.split("/")[0]
    if group in _NOT_GROUPS:
        return [], f"`{group}` cannot be a group: the folder is for other files"
    text = _policy_text(answers)
    root, found = parse(text, "answer")
    if root is not None:
        source = Source("answer", text)
        tree, _, wrong = shape(root, Policy, source)
        found += [*wrong, *check_policy(tree, source), *check_wording(tree, source)]
    for each in found:
        if each.level is Level.ERROR:
            return [], each.message + (f": {each.help}" if each.help else "")
    return found, None


def new_files(answers: Answers, folder: Path) -> dict[Path, str]:
    """Return the files of a new policy: its path below ``folder``, that of its cases, and their texts.

    The answers must have no ``problems``.
    """
    answers = answers.tidy()
    path = folder / f"{answers.id}.yaml"
    cases = path.with_suffix(".cases.yaml")
    return {path: _formatted(_policy_text(answers), path), cases: _formatted(_cases_text(answers), cases)}


def _formatted(text: str, path: Path) -> str:
    written, found = format_text(text, path)
    if written is None:
        raise ValueError(f"answers with problems: {found[0].message}")
    return written


def _policy_text(answers: Answers) -> str:
    name, when = answers.exemption
    exemptions = f"""\
    exemptions:
      - id: {name}
        when: {double_quoted(when)}
"""
    return f"""\
schema: 1
policy: {double_quoted(answers.id)}
version: 0.1.0
title: {double_quoted(answers.title)}
summary: {double_quoted(answers.summary)}
status: draft # then test, then stable
owner: {double_quoted(answers.owner)}
modalities: [text, image, audio, video]

rules:
  - id: {answers.rule_id}
    title: {double_quoted(gap("a name for this rule"))}
    violates: {double_quoted(answers.violates)}
    severity: {answers.severity}
{exemptions if when else ""}    # examples to add: one that violates, one near miss, one for each exemption

actions: # first match wins
  - {{probability_at_least: calibrated.recall_90, do: review}}
otherwise: allow
on_error: review
"""


def _cases_text(answers: Answers) -> str:
    name, when = answers.exemption
    rule = answers.rule_id
    wanted = [("a text that breaks the rule", "violates", 3), ("a near miss that is allowed", "clear", 3)]
    if when:
        wanted.append(("a text that the exemption allows", "exempt", 2))
    rows = [
        f'  - {{content: "{gap(f"{what}, {number}")}", expect: {expect}, rule: {rule}, '
        f"{f'exemption: {name}, ' if expect == 'exempt' else ''}lang: en, todo: true}}"
        for what, expect, count in wanted
        for number in range(1, count + 1)
    ]
    head = f"schema: 1\npolicy: {double_quoted(answers.id)}\ncases:\n"
    return head + f"  # {rule}: replace the contents, then delete todo\n" + "\n".join(rows) + "\n"
