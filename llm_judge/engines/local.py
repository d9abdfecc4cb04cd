"""The in-process engine: a small causal language model on the CPU, by transformers.

``read`` computes a policy prefix once, then reads several contents and all their questions in one
forward (see ``tree``); ``read_plain`` does the same the slow, plain way, for tests and the benchmark.
One caller at a time. Knows nothing about policies or decisions.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.engines.protocol import EngineInfo, Reading
from llm_judge.engines.tokens import tokens_and_frame
from llm_judge.engines.tree import Branches, PrefixCache, build_tree
from llm_judge.engines.weights import DTYPES, load_model
from llm_judge.errors import EngineError, UsageError
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from llm_judge.engines.protocol import Completion, GenerateRequest, ReadRequest
    from llm_judge.prompt import Prompt, Question

_PREFIXES_KEPT = 4  # about 23 KB a token each for the packaged model
_HEAD_ROWS = 64  # questions whose full-vocabulary logits are in memory at once


class LocalEngine:
    """A model folder, and perhaps an adapter, answering in this process.

    Args:
        model_dir: ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``chat_template.jinja``.
        adapter_dir: a PEFT LoRA folder merged into the model, or None.
        dtype: ``bfloat16`` or ``float32``.
        threads: torch threads, or None to leave torch's choice.
        batch_tokens: tokens computed in one forward, unless one request alone has more.
        name, digest: for the record; by default the folder's name and its weights' SHA-256.

    Attributes:
        prefixes_computed: how many prefixes were computed so far; a repeated one is not.
        tokens_computed: tokens sent through the model by reads so far, prefixes included.
        prefix_tokens: of these, tokens of prefixes.

    Raises:
        UsageError: an unknown dtype.
        EngineUnavailable: the model cannot be loaded.
        EngineError: the adapter or the tokenizer cannot be used.
    """

    def __init__(
        self,
        model_dir: Path,
        adapter_dir: Path | None = None,
        dtype: str = "bfloat16",
        threads: int | None = None,
        batch_tokens: int = 2048,
        name: str | None = None,
        digest: str | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise UsageError(f"unknown dtype `{dtype}`", hint=f"choose from {', '.join(DTYPES)}")
        self.tokens, self.frame = tokens_and_frame(model_dir)
        self.model = load_model(model_dir, adapter_dir, dtype)
        self.model_dir = model_dir
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        # Logits near 20 lie 0.125 apart in bfloat16: too coarse for a probability near a threshold.
        head = self.model.lm_head
        self._head: Any = head.weight.float()  # [vocabulary, width]
        self._head_bias: Any = None if head.bias is None else head.bias.float()
        self._info = EngineInfo(
            engine="local",
            model=name or model_dir.name,
            model_digest=digest or file_sha256(model_dir / "model.safetensors"),
            adapter_digest=adapter_digest(adapter_dir) if adapter_dir else None,
            dtype=dtype,
            context_tokens=int(self.model.config.max_position_embeddings),
        )
        self._batch_tokens = batch_tokens
        self._prefixes: OrderedDict[str, PrefixCache] = OrderedDict()
        self._labels: dict[tuple[str, ...], list[int]] = {}
        self._generator: Any = None
        self.prefixes_computed = 0
        self.tokens_computed = self.prefix_tokens = 0

    @property
    def info(self) -> EngineInfo:
        """Names and digests for the record."""
        return self._info

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Strings that the tokenizer turns into control tokens."""
        return self.tokens.special_tokens

    @property
    def vision(self) -> None:
        """It reads only text."""
        return

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` is for this model."""
        return self.tokens.count(text)

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer every question of every request, several requests in one forward.

        Raises:
            EngineError: a prompt is over the context, or a label is not one token; nothing was answered.
        """
        self._check_open()
        answers: list[list[Reading]] = [[] for _ in requests]
        branches = [self._branches(request) for request in requests]
        by_prefix: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            if request.questions:
                by_prefix.setdefault(request.prompt.prefix, []).append(number)
        for prefix, numbers in by_prefix.items():
            cached = self.prefix_cache(prefix)
            # Neighbours of like length leave little padding in the blocks.
            numbers.sort(key=lambda number: len(branches[number].body))
            for batch in self._batches(numbers, branches):
                asked = [question for number in batch for question in requests[number].questions]
                readings = iter(self._read_batch(cached, [branches[number] for number in batch], asked))
                for number in batch:
                    answers[number] = [next(readings) for _ in requests[number].questions]
        return answers

    def read_plain(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer the same without any sharing: one whole prompt and one forward for each question."""
        import torch

        self._check_open()
        answers = []
        for request in requests:
            self._branches(request)
            row = []
            for question in request.questions:
                ids = self.frame.prompt_ids(self.tokens, request.prompt, question.text)
                with torch.inference_mode():
                    hidden = self.model.model(torch.tensor([ids]), use_cache=False).last_hidden_state
                self.tokens_computed += len(ids)
                row += self._readings(hidden[0, -1:], [question])
            answers.append(row)
        return answers

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer every request with JSON that obeys its schema, greedily.

        Raises:
            EngineError: prompt and answer together are over the context, or a schema cannot be obeyed.
        """
        from llm_judge.engines.generate import Generator

        self._check_open()
        if self._generator is None:
            self._generator = Generator(self.model, self.model_dir, self.tokens, self.frame)
        for request in requests:
            _refuse_pictures(request.prompt)
            question = self.frame.question_ids(self.tokens, request.instruction)
            self._check_length(
                len(self.frame.prefix_ids(self.tokens, request.prompt.prefix))
                + len(self.frame.body_ids(self.tokens, request.prompt.body))
                + len(question)
                + request.max_tokens
            )
        completions: list[Completion] = self._generator.generate(requests, self.prefix_cache)
        return completions

    def close(self) -> None:
        """Free the model; the engine cannot be used afterwards."""
        self.model = self._head = self._head_bias = None
        self._generator = None
        self._prefixes.clear()

    def prefix_cache(self, prefix: str) -> PrefixCache:
        """Return the keys and values of everything before the content, computed once per prefix."""
        if prefix in self._prefixes:
            self._prefixes.move_to_end(prefix)
            return self._prefixes[prefix]
        import torch

        ids = self.frame.prefix_ids(self.tokens, prefix)
        with torch.inference_mode():
            cache = self.model.model(torch.tensor([ids]), use_cache=True).past_key_values
        self.prefixes_computed += 1
        self.prefix_tokens += len(ids)
        self.tokens_computed += len(ids)
        cached = PrefixCache([(layer.keys, layer.values) for layer in cache.layers], len(ids))
        self._prefixes[prefix] = cached
        while len(self._prefixes) > _PREFIXES_KEPT:
            self._prefixes.popitem(last=False)
        return cached

    def _branches(self, request: ReadRequest) -> Branches:
        _refuse_pictures(request.prompt)
        body = self.frame.body_ids(self.tokens, request.prompt.body)
        questions = [self.frame.question_ids(self.tokens, question.text) for question in request.questions]
        prefix = len(self.frame.prefix_ids(self.tokens, request.prompt.prefix))
        self._check_length(prefix + len(body) + max(map(len, questions), default=0))
        for question in request.questions:
            self._label_ids(question)
        return Branches(body, questions)

    def _batches(self, numbers: Sequence[int], branches: Sequence[Branches]) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for number in numbers:
            if batch and size + branches[number].size > self._batch_tokens:
                yield batch
                batch, size = [], 0
            batch.append(number)
            size += branches[number].size
        if batch:
            yield batch

    def _read_batch(
        self, prefix: PrefixCache, batch: Sequence[Branches], asked: Sequence[Question]
    ) -> list[Reading]:
        import torch

        tree = build_tree(prefix, batch, self.model.dtype)
        with torch.inference_mode():
            hidden = self.model.model(
                tree.ids,
                position_ids=tree.positions,
                # The tree holds the masks; this one only keeps transformers from making its own.
                attention_mask=torch.zeros(1, 1, 1, 1, dtype=self.model.dtype),
                use_cache=False,
                tree=tree,
            ).last_hidden_state
        self.tokens_computed += tree.ids.shape[1]
        return self._readings(hidden[0, tree.answers], asked)

    def _readings(self, hidden: Tensor, asked: Sequence[Question]) -> list[Reading]:
        """``hidden`` is ``[questions, width]``, the last place of each question."""
        import torch

        readings = []
        for start in range(0, len(asked), _HEAD_ROWS):
            with torch.inference_mode():
                rows = hidden[start : start + _HEAD_ROWS].float()
                logits = torch.nn.functional.linear(rows, self._head, self._head_bias)
                total = torch.logsumexp(logits, -1)
            for row, question in enumerate(asked[start : start + _HEAD_ROWS]):
                found = (logits[row, self._label_ids(question)] - total[row]).tolist()
                if not all(map(math.isfinite, found)):
                    raise EngineError("the model answered with numbers that are not finite")
                mass = min(1.0, sum(map(math.exp, found)))
                readings.append(Reading(dict(zip(question.labels, found, strict=True)), mass))
        return readings

    def _label_ids(self, question: Question) -> list[int]:
        if question.labels not in self._labels:
            self._labels[question.labels] = self.frame.answer_ids(self.tokens, question.labels)
        return self._labels[question.labels]

    def _check_length(self, length: int) -> None:
        over = length - self._info.context_tokens
        if over > 0:
            raise EngineError(
                f"the prompt is {over} tokens over the {self._info.context_tokens}"
                f" that {self._info.model} reads",
                hint="judge by fewer policies at once, or cut the content into smaller windows",
            )

    def _check_open(self) -> None:
        if self.model is None:
            raise EngineError("the engine is closed")


def _refuse_pictures(prompt: Prompt) -> None:
    if prompt.pictures:
        raise EngineError("the in-process model reads only text, and the prompt holds pictures")
