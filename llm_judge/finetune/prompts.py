"""Questions behind compiled policies → training rows, with exactly the words the judge sends.

Knows nothing about which rows are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError
from llm_judge.finetune.replies import explanation
from llm_judge.finetune.training_rows import Kind, TrainingRow, Variant, asked
from llm_judge.prompt import build_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.compile import CompiledPolicy, CompiledRule, Question
    from llm_judge.content.content import Content
    from llm_judge.finetune.rows import LabelledRow


@dataclass(frozen=True, slots=True)
class Scene:
    """One content behind one set of policies, and what every row made of it has in common.

    Attributes:
        compiled, prefix: the policies.
        body: the content as it is sent.
        row: where it comes from.
        variant: what was done to it or to the policies.
    """

    compiled: CompiledPolicy
    prefix: str
    body: str
    row: LabelledRow
    variant: Variant

    @classmethod
    def of(
        cls,
        compiled: CompiledPolicy,
        content: Content,
        special_tokens: Sequence[str],
        row: LabelledRow,
        variant: Variant = Variant.PLAIN,
    ) -> Scene:
        """Fence the content as the judge does.

        Raises:
            UsageError: the policies hold a control token of the model: a chat template would obey it, while
                the judge reads it as ordinary text.
        """
        prompt = build_prompt(compiled, content, special_tokens)
        texts = [
            prompt.prefix,
            *(text for rule in compiled.rules for text in (rule.question.text, rule.explain)),
        ]
        for token in special_tokens:
            if any(token in text for text in texts):
                raise UsageError(f"a policy holds the control token `{token}`", "write it another way")
        return cls(compiled, prompt.prefix, prompt.body, row, variant)

    def read(self, question: Question, answer: str) -> TrainingRow:
        """A question that is answered with one token."""
        kind, key = asked(question)
        return self._made(question.text, answer, kind, key, question.labels)

    def explained(
        self, rule: CompiledRule, answer: str, exemption: str | None, cited: Sequence[int]
    ) -> TrainingRow:
        """A rule that is explained in JSON."""
        return self._made(
            rule.explain, explanation(rule, answer, exemption, cited), Kind.EXPLANATION, rule.key
        )

    def _made(
        self, question: str, answer: str, kind: Kind, key: str, labels: tuple[str, ...] = ()
    ) -> TrainingRow:
        return TrainingRow(
            prefix=self.prefix,
            body=self.body,
            question=question,
            answer=answer,
            kind=kind,
            key=key,
            variant=self.variant,
            source=self.row.source,
            lang=self.row.lang,
            row=self.row.digest,
            policy_digest=self.compiled.digest,
            labels=labels,
        )
