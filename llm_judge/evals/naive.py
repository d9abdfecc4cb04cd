"""The judge most teams write first, kept honest as a baseline: one free JSON completion per question.

Content comes before the policy, so nothing can be shared between requests; the answer is free text
that has to be searched for JSON; what cannot be read is counted, not guessed.
"""

from __future__ import annotations

import json
import re

from llm_judge.compile import CompiledPolicy
from llm_judge.content.content import Content
from llm_judge.engines.local import LocalEngine

MAX_NEW_TOKENS = 64
_OBJECT = re.compile(r"\{[^{}]*\}")


class NaiveJudge:
    """Asks the model of a local engine about each rule or area with a whole prompt of its own.

    Attributes:
        tokens_computed: prompt and answer tokens so far.
        unreadable: answers without a JSON object that holds a boolean ``violates``.
    """

    def __init__(self, engine: LocalEngine, compiled: CompiledPolicy) -> None:
        from transformers import AutoTokenizer

        self._model = engine.model
        self._tokenizer = AutoTokenizer.from_pretrained(
            engine.model_dir, local_files_only=True, trust_remote_code=False
        )
        self._compiled = compiled
        self._guidelines = guidelines(compiled)
        self.tokens_computed = 0
        self.unreadable = 0

    def judge(self, content: Content) -> dict[str, bool | None]:
        """Return rule key → whether it is broken, None where the answer could not be read."""
        return {
            rule.key: self._ask(content, f"Does the content break rule {rule.rule.id}?")
            for rule in self._compiled.rules
        }

    def judge_areas(self, content: Content) -> dict[str, bool | None]:
        """Return policy id → whether it is broken, None where the answer could not be read."""
        return {
            area.policy.policy: self._ask(
                content, f"Does the content break the policy `{area.policy.title}`?"
            )
            for area in self._compiled.areas
        }

    def _ask(self, content: Content, question: str) -> bool | None:
        import torch

        text = " ".join(segment.text for segment in content.segments)
        message = (
            f"Content:\n{text}\n\nPolicy:\n{self._guidelines}\n\n"
            f"{question} "
            'Reply with a JSON object with the keys "violates" (true or false) and "reason" (one sentence).'
        )
        ids = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": message}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            out = self._model.generate(**ids, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        self.tokens_computed += int(out.shape[1])
        answer = self._tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        verdict = _read(answer)
        self.unreadable += verdict is None
        return verdict


def guidelines(compiled: CompiledPolicy) -> str:
    """The guidelines as they would be pasted into a chat: every area, its definitions and its rules."""
    lines = []
    for area in compiled.areas:
        lines += [f"# {area.policy.title}", area.policy.summary]
        lines += [f"{term}: {meaning}" for term, meaning in area.policy.definitions.items()]
        lines += [f"{rule.rule.id} {rule.question.text.splitlines()[0]}" for rule in area.rules]
    return "\n".join(lines)


def _read(answer: str) -> bool | None:
    found = _OBJECT.search(answer)
    try:
        value = json.loads(found.group())["violates"] if found else None
    except (ValueError, KeyError):
        return None
    return value if isinstance(value, bool) else None
