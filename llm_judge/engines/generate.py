"""JSON under a schema: greedy decoding where the grammar allows only tokens that keep the JSON valid.

Outlines drives llguidance; white space is off in the grammar, because a small model otherwise pads with
newlines until it runs out of tokens. Properties come in the order the schema lists them. The cached
prefix is reused. Knows nothing about what the schema means.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llm_judge.engines.protocol import Completion
from llm_judge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from llm_judge.engines.protocol import GenerateRequest
    from llm_judge.engines.tokens import ChatFrame, ChatTokens
    from llm_judge.engines.tree import PrefixCache

_ROWS = 8  # requests decoded together; the prefix is copied for each row


class Generator:
    """Constrained decoding with one model; ``model_dir`` holds its tokenizer."""

    def __init__(self, model: Any, model_dir: Path, tokens: ChatTokens, frame: ChatFrame) -> None:
        import outlines
        from outlines.backends.llguidance import LLGuidanceBackend
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True, trust_remote_code=False)
        self._backend = LLGuidanceBackend(outlines.from_transformers(model, tokenizer))
        # llguidance's torch kernels are compiled on first use, for most of a minute; these are ready.
        self._backend.tensor_library_name = "numpy"
        self._decode: Callable[..., str] = tokenizer.decode
        self._model, self._tokens, self._frame = model, tokens, frame

    def generate(
        self, requests: Sequence[GenerateRequest], prefix_cache: Callable[[str], PrefixCache]
    ) -> list[Completion]:
        """Answer in the order of the requests; raises ``EngineError`` for a schema no grammar obeys."""
        found: dict[int, Completion] = {}
        groups: dict[tuple[str, int], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault((request.prompt.prefix, request.max_tokens), []).append(number)
        for (prefix, max_tokens), numbers in groups.items():
            suffixes = {number: self._suffix(requests[number]) for number in numbers}
            numbers.sort(key=lambda number: len(suffixes[number]))
            for start in range(0, len(numbers), _ROWS):
                batch = numbers[start : start + _ROWS]
                processors = [self._processor(requests[number].schema) for number in batch]
                rows = [suffixes[number] for number in batch]
                replies = self._decode_batch(prefix, prefix_cache(prefix), rows, processors, max_tokens)
                found.update(zip(batch, replies, strict=True))
        return [found[number] for number in range(len(requests))]

    def _suffix(self, request: GenerateRequest) -> list[int]:
        return [
            *self._frame.body_ids(self._tokens, request.prompt.body),
            *self._frame.question_ids(self._tokens, request.instruction),
        ]

    def _processor(self, schema: Mapping[str, Any]) -> Any:
        from llguidance import LLMatcher

        strict = {**schema, "x-guidance": {"whitespace_flexible": False}}
        processor = self._backend.get_json_schema_logits_processor(json.dumps(strict))
        # Left unasked, llguidance would only warn later and then constrain nothing.
        problem = LLMatcher.validate_grammar(processor.grammar)
        if problem:
            raise EngineError(f"the response schema cannot be obeyed: {problem.strip().splitlines()[0]}")
        return processor

    def _decode_batch(
        self,
        prefix: str,
        cached: PrefixCache,
        rows: Sequence[list[int]],
        processors: Sequence[Any],
        max_tokens: int,
    ) -> list[Completion]:
        import torch
        from transformers import LogitsProcessorList

        end = self._tokens.end_of_turn_id
        prefix_ids = self._frame.prefix_ids(self._tokens, prefix)
        longest = max(map(len, rows))
        # Padding stands between the prefix and the content, where the mask hides it.
        ids = [[*prefix_ids, *[end] * (longest - len(row)), *row] for row in rows]
        mask = [[1] * len(prefix_ids) + [0] * (longest - len(row)) + [1] * len(row) for row in rows]
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                past_key_values=_copied(cached, len(rows)),
                logits_processor=LogitsProcessorList([_EachRow(processors, end)]),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )
        for processor in processors:
            problem = processor.ll_matchers[0].get_error()
            if problem:
                raise EngineError(f"the grammar failed: {problem.strip().splitlines()[0]}")
        replies = out[:, len(ids[0]) :].tolist()
        return [
            self._completion(len(prefix_ids) + len(row), reply)
            for row, reply in zip(rows, replies, strict=True)
        ]

    def _completion(self, prompt_tokens: int, reply: list[int]) -> Completion:
        end = self._tokens.end_of_turn_id
        stopped = end in reply
        kept = reply[: reply.index(end)] if stopped else reply
        return Completion(
            text=self._decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False),
            finish_reason="stop" if stopped else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(kept) + stopped,
        )


class _EachRow:
    """One grammar for each row of the batch, where Outlines has one for all."""

    def __init__(self, processors: Sequence[Any], end: int) -> None:
        self._processors, self._end, self._started = processors, end, False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        for row, processor in enumerate(self._processors):
            if self._started and int(input_ids[row, -1]) == self._end:
                continue  # this row is complete; its grammar has nothing more to say
            # The numpy array is the row's own memory: the mask is written straight into the scores.
            processor(input_ids[row : row + 1].numpy(), scores[row : row + 1].numpy())
        self._started = True
        return scores


def _copied(cached: PrefixCache, rows: int) -> Any:
    from transformers import DynamicCache

    cache = DynamicCache()
    for number, (keys, values) in enumerate(cached.layers):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    return cache
