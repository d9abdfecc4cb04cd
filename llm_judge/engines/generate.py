"""JSON under a schema: greedy decoding where the grammar allows only tokens that keep the JSON valid.

Outlines turns the schema into a grammar for llguidance; white space is off in it, because a small model
otherwise pads with newlines until it runs out of tokens. Properties come in the order the schema lists them.
What the grammar forces (keys, braces) is read together with the next choice instead of being decoded token
by token. The cached prefix is reused. Knows nothing about what the schema means.
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
                answers = [self._answer(requests[number].schema, max_tokens) for number in batch]
                self._decode_batch(prefix_cache(prefix), [suffixes[number] for number in batch], answers)
                for number, answer in zip(batch, answers, strict=True):
                    read = prefix_cache(prefix).length + len(suffixes[number])
                    found[number] = self._completion(read, answer)
        return [found[number] for number in range(len(requests))]

    def _suffix(self, request: GenerateRequest) -> list[int]:
        return [
            *self._frame.body_ids(self._tokens, request.prompt.body),
            *self._frame.question_ids(self._tokens, request.instruction),
        ]

    def _answer(self, schema: Mapping[str, Any], max_tokens: int) -> _Answer:
        from llguidance import LLMatcher

        strict = {**schema, "x-guidance": {"whitespace_flexible": False}}
        grammar = self._backend.get_json_schema_logits_processor(json.dumps(strict)).grammar
        # Left unasked, llguidance would only warn later and then constrain nothing.
        if problem := LLMatcher.validate_grammar(grammar):
            raise EngineError(f"the response schema cannot be obeyed: {problem.strip().splitlines()[0]}")
        return _Answer(
            LLMatcher(self._backend.llg_tokenizer, grammar), max_tokens, self._tokens.end_of_turn_id
        )

    def _decode_batch(
        self, prefix: PrefixCache, rows: Sequence[list[int]], answers: Sequence[_Answer]
    ) -> None:
        """Decode greedily; ``rows`` are the ids of each request after the prefix."""
        import torch
        from llguidance.numpy import (
            allocate_token_bitmask,
            apply_token_bitmask_inplace,
            fill_next_token_bitmask,
        )

        allowed = allocate_token_bitmask(1, self._backend.llg_tokenizer.vocab_size)
        with torch.inference_mode():
            decoder = _Decoder(self._model, prefix, len(rows))
            unread = [[*row, *answer.forced()] for row, answer in zip(rows, answers, strict=True)]
            while not all(answer.done for answer in answers):
                logits = decoder.read(unread)
                for row, answer in enumerate(answers):
                    unread[row] = []
                    if not answer.done:
                        fill_next_token_bitmask(answer.matcher, allowed, 0)
                        # The array is the row's own memory: the mask is written straight into the logits.
                        apply_token_bitmask_inplace(logits[row : row + 1].numpy(), allowed)
                        unread[row] = answer.choose(int(logits[row].argmax()))

    def _completion(self, prompt_tokens: int, answer: _Answer) -> Completion:
        return Completion(
            text=self._decode(answer.tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False),
            finish_reason="stop" if answer.stopped else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(answer.tokens) + answer.stopped,
        )


class _Answer:
    """One answer growing under its grammar.

    Attributes:
        tokens: chosen and forced so far, without the token that ends the turn.
        stopped: the grammar is satisfied.
    """

    def __init__(self, matcher: Any, max_tokens: int, end_of_turn: int) -> None:
        self.matcher, self._max_tokens, self._end = matcher, max_tokens, end_of_turn
        self.tokens: list[int] = []
        self.stopped = False

    @property
    def done(self) -> bool:
        """Whether nothing more is to be decoded."""
        return self.stopped or len(self.tokens) >= self._max_tokens

    def choose(self, token: int) -> list[int]:
        """Take a chosen token; return it and what the grammar forces after it."""
        if token == self._end:
            self.stopped = True
            return []
        return self._take([token]) + self.forced()

    def forced(self) -> list[int]:
        """Take what the grammar forces next, which may be nothing."""
        forced = [] if self.done else [int(token) for token in self.matcher.compute_ff_tokens()]
        return self._take([token for token in forced if token != self._end])

    def _take(self, tokens: list[int]) -> list[int]:
        kept = tokens[: self._max_tokens - len(self.tokens)]
        if kept and not self.matcher.consume_tokens(kept):
            raise EngineError(
                f"the grammar failed: {(self.matcher.get_error() or 'no reason').splitlines()[0]}"
            )
        self.tokens += kept
        self.stopped = self.stopped or bool(self.matcher.is_stopped())
        return kept


class _Decoder:
    """Several rows of tokens growing behind one shared prefix, whose keys are never copied.

    transformers' own ``generate`` would need the prefix copied into every row: with 8 rows behind a
    thousand tokens it was no faster for each token than one row alone.
    """

    def __init__(self, model: Any, prefix: PrefixCache, rows: int) -> None:
        import torch
        from transformers import DynamicCache

        self._model, self._prefix, self._cache = model, prefix, DynamicCache()
        self._real = torch.zeros(rows, 0, dtype=torch.bool)
        self._lengths = torch.full((rows, 1), prefix.length)

    def read(self, added: Sequence[Sequence[int]]) -> Tensor:
        """Append tokens to the rows and return the logits of what comes next.

        Args:
            added: new tokens of each row; a row without any gives logits that mean nothing.

        Returns:
            ``[rows, vocabulary]`` in float32.
        """
        import torch

        longest = max(map(len, added))
        # Rows end together; what stands before a short one is hidden by the mask.
        ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in added])
        real = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in added])
        positions = (real.cumsum(-1) - 1).clamp(min=0) + self._lengths
        self._lengths = self._lengths + real.sum(-1, keepdim=True)
        before = self._real.shape[1]
        self._real = torch.cat([self._real, real], dim=1)
        causal = torch.ones(longest, before + longest, dtype=torch.bool).tril(before)
        seen = self._real[:, None, None, :] & causal
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
