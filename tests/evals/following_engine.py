"""An engine that follows the words of the question: what it answers depends on what is still written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from samples import make_policy, make_rule

from llm_judge.engines.protocol import Completion, EngineInfo, Reading, ReadRequest
from llm_judge.policy.model import Exemption, Policy
from llm_judge.prompt import Question

Answer = Callable[[Question, str], str]


class FollowingEngine:
    """Answers every question with the label that ``answer`` gives for it and the body."""

    special_tokens = ()
    vision = None
    info = EngineInfo("following", "words", "0" * 64, None, "float32", 8192)

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.read_questions: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        return [[self._reading(q, request.prompt.body) for q in request.questions] for request in requests]

    def generate(self, requests: Sequence[object]) -> list[Completion]:
        assert not requests, "nothing is explained here"
        return []

    def close(self) -> None:
        """Nothing to free."""

    def _reading(self, question: Question, body: str) -> Reading:
        self.read_questions.append(question.id)
        label = self.answer(question, body)
        assert label in question.labels
        share = {name: 0.98 if name == label else 0.01 for name in question.labels}
        return Reading({name: math.log(p) for name, p in share.items()}, sum(share.values()))


SATIRE, STUDY = "Clearly a joke.", "Studies the advice."
# words in the content: the rule they meet, and the words of the exemption that applies
MEETS = {
    "drown": ("R1", None),
    "comedian": ("R1", SATIRE),
    "laboratory": ("R1", STUDY),
    "cupboard": ("R2", None),
    "sitcom": ("R2", SATIRE),
}


def by_the_text(question: Question, body: str) -> str:
    """Areas are open; a rule says except only where its question still offers the exemption that applies."""
    if question.id.startswith("area:"):
        return "yes"
    words = next((words for words in MEETS if words in body), None)
    rule, exempts = MEETS[words] if words else ("", None)
    if question.id.startswith("exemption:"):
        return "yes" if exempts is not None and exempts in question.text else "no"
    if question.id.rpartition("#")[2] != rule:
        return "no"
    return "except" if exempts is not None and exempts in question.text else "yes"


def garden(**changes: object) -> Policy:
    """R1 with the exemptions satire and study, R2 with satire."""
    satire, study = Exemption(id="satire", when=SATIRE), Exemption(id="study", when=STUDY)
    rules = (make_rule("R1", (satire, study)), make_rule("R2", (satire,), severity=2))
    return make_policy("garden/plants", rules, **changes)
