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

_ROWS = 16  # requests decoded together


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
                replies = self._decode_batch(prefix_cache(prefix), rows, processors, max_tokens)
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
        self, prefix: PrefixCache, rows: Sequence[list[int]], processors: Sequence[Any], max_tokens: int
    ) -> list[Completion]:
        """Decode greedily; ``rows`` are the ids of each request after the prefix."""
        import torch

        with torch.inference_mode():
            decoder = _Decoder(self._model, prefix, rows)
            replies: list[list[int]] = [[] for _ in rows]
            running = set(range(len(rows)))
            logits = decoder.start()
            for _ in range(max_tokens):
                for row in running:
                    # The array is the row's own memory: the mask is written straight into the logits.
                    written = torch.tensor([replies[row]], dtype=torch.long)
                    processors[row](written.numpy(), logits[row : row + 1].numpy())
                chosen = logits.argmax(-1).tolist()
                for row in running:
                    replies[row].append(chosen[row])
                running = {row for row in running if chosen[row] != self._tokens.end_of_turn_id}
                if not running:
                    break
                logits = decoder.step(chosen)
        for processor in processors:
            problem = processor.ll_matchers[0].get_error()
            if problem:
                raise EngineError(f"the grammar failed: {problem.strip().splitlines()[0]}")
        return [
            self._completion(prefix.length + len(row), reply)
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


class _Decoder:
    """Several rows of tokens growing behind one shared prefix, whose keys are never copied.

    transformers' own ``generate`` would need the prefix copied into every row: with 8 rows behind a
    thousand tokens it was no faster for each token than one row alone.
    """

    def __init__(self, model: Any, prefix: PrefixCache, rows: Sequence[list[int]]) -> None:
        import torch
        from transformers import DynamicCache

        longest = max(map(len, rows))
        self._model, self._prefix, self._cache = model, prefix, DynamicCache()
        # Rows end together; what stands before a short one is hidden by the mask.
        self._ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows])
        self._real = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
        self._next = torch.tensor([[prefix.length + len(row)] for row in rows])

    def start(self) -> Tensor:
        """Read the rows and return the logits of what comes next, ``[rows, vocabulary]`` in float32."""
        import torch

        positions = (self._real.cumsum(-1) - 1).clamp(min=0) + self._prefix.length
        tokens = self._ids.shape[1]
        seen = self._real[:, None, None, :] & torch.ones(tokens, tokens, dtype=torch.bool).tril()
        return self._forward(self._ids, positions, seen)

    def step(self, chosen: Sequence[int]) -> Tensor:
        """Append one token to every row and return the logits of what comes next."""
        import torch

        self._real = torch.cat([self._real, torch.ones(len(chosen), 1, dtype=torch.bool)], dim=1)
        logits = self._forward(torch.tensor(chosen)[:, None], self._next, self._real[:, None, None, :])
        self._next = self._next + 1
        return logits

    def _forward(self, ids: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
        import torch

        dtype = self._model.dtype
        hidden = self._model.model(
            ids,
            position_ids=positions,
            attention_mask=torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min),
            past_key_values=self._cache,
            use_cache=True,
            prefix=self._prefix,
        ).last_hidden_state
        logits: Tensor = self._model.lm_head(hidden[:, -1]).float()
        return logits
