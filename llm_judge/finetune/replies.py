"""The JSON answers of good explanations: in schema order, without white space.

Knows nothing about how contents are chosen.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, MAX_EVIDENCE, NO, NO_EXEMPTION, YES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.compile import CompiledRule

RATIONALE_CHARACTERS = 150  # of the rule's own words
_VERDICTS = {YES: "violates", EXCEPT: "exempt", NO: "clear"}


def explanation(
    rule: CompiledRule,
    answer: str,
    exemption: str | None,
    cited: Sequence[int],
    about: CompiledRule | None = None,
) -> str:
    """Return the answer to ``rule.explain``.

    Args:
        rule: what is asked.
        answer: ``yes``, ``no`` or ``except``; a rule without exemptions that is exempt counts as broken.
        exemption: id of the exemption that applies, for ``except``.
        cited: ids of the segments that show it.
        about: the rule that the rationale speaks of; another than ``rule`` makes a wrong answer.
    """
    if answer == EXCEPT and (not rule.rule.exemptions or exemption is None):
        answer = YES
    spoken = (about or rule).question.text.split(": ", 1)[1].split("\n", 1)[0]
    short = _shortened(spoken[0].lower() + spoken[1:].rstrip("."))
    line = f"Line {cited[0]}"
    rationale = {
        YES: f"{line} {short}.",
        EXCEPT: f"{line} {short}, but the exemption {exemption} applies.",
        NO: f"{line} does not do this: {short}.",
    }[answer]
    reply = {
        "evidence": list(cited[:MAX_EVIDENCE]),
        "exemption": exemption if answer == EXCEPT else NO_EXEMPTION,
        "severity": rule.rule.severity,
        "rationale": rationale,
        "verdict": _VERDICTS[answer],
    }
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


def _shortened(text: str) -> str:
    return text if len(text) <= RATIONALE_CHARACTERS else text[:RATIONALE_CHARACTERS].rsplit(" ", 1)[0]
