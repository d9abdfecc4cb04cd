"""What severities, action steps and terms of a policy say, in words for readers of the guidelines.

Plain text out: whoever shows it escapes it. Knows nothing about Markdown or HTML.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from llm_judge.policy.check import PLACEHOLDER
from llm_judge.policy.key_help import VALUE_HELP
from llm_judge.policy.model import Action, OnError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_judge.policy.model import ActionStep, Policy

SEVERITIES = {1: "a nuisance", 2: "unpleasant", 3: "harmful", 4: "serious", 5: "danger to life"}
ANSWERS = {"violates": "breaks the rule", "clear": "no breach", "exempt": "allowed"}
_CALIBRATED = re.compile(r"calibrated\.(precision|recall)_(\d{1,3})")


class Term(NamedTuple):
    """A word of a text that a definition explains."""

    name: str

    @property
    def words(self) -> str:
        """The name as it is read: ``protected group``."""
        return spoken(self.name)


def spoken(name: str) -> str:
    """Return an identifier as words: ``counter_speech`` → ``counter speech``."""
    return name.replace("_", " ").strip() or name


def parts(text: str, policy: Policy) -> Iterator[str | Term]:
    """Yield a text as plain stretches and the terms that the policy defines."""
    end = 0
    for match in PLACEHOLDER.finditer(text):
        if match.group(1) in policy.definitions:
            yield visible(text[end : match.start()])
            yield Term(match.group(1))
            end = match.end()
    yield visible(text[end:])


def visible(text: str) -> str:
    """Return a text on one line, with what would be obeyed or hidden escaped."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Cs", "Cn") else char
        for char in " ".join(text.split()).join(_ends(text))
    )


def _ends(text: str) -> tuple[str, str]:
    """Keep one blank at either end: stretches of a sentence are put together again."""
    return (" " if text[:1].isspace() else "", " " if text[1:] and text[-1:].isspace() else "")


def severity(level: int) -> str:
    """Return a severity as a number and a word."""
    return f"{level} ({SEVERITIES[level]})"


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def ladder(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the action ladder as pairs: when, and what is done."""
    for step in policy.actions:
        yield condition(step), done(step.do)
    yield ("any other breach" if policy.actions else "any breach"), done(policy.otherwise)
    yield "a rule that could not be decided", done(policy.on_error)


def condition(step: ActionStep) -> str:
    """Return the predicates of one step as a phrase."""
    said = []
    if step.rules is not None:
        said.append(f"rule {listed(step.rules)}" if step.rules else "no rule at all")
    if step.severity_at_least is not None:
        at_most = max(SEVERITIES)
        higher = "" if step.severity_at_least == at_most else " or higher"
        said.append(f"severity {step.severity_at_least}{higher}")
    if step.probability_at_least is not None:
        said.append(_sure(step.probability_at_least))
    return ", and ".join(said) or "every breach"


def _sure(threshold: float | str) -> str:
    if isinstance(threshold, float | int):
        return f"at least {threshold:.0%} sure"
    if match := _CALIBRATED.fullmatch(threshold):
        kind, share = match.groups()
        if kind == "precision":
            return f"so sure that {share} of 100 such findings are right"
        return f"sure enough to find {share} of 100 breaches"
    return f"at least as sure as `{threshold}`"


def done(action: Action | OnError) -> str:
    """Return an action and what it means."""
    name = Action(action.value)
    return f"{spoken(name.value)}: {VALUE_HELP[Action][name.value]}"
