"""The vLLM engine: the same two calls as in-process, answered by servers over HTTP.

One request a question, many at once. Prompts are rendered and turned into token ids here, exactly as for the
in-process engine, and a policy's prefix comes first in every one of them, so that the servers' prefix caches
hit. Knows nothing about policies or decisions.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from llm_judge.engines.protocol import Completion, EngineInfo, Reading
from llm_judge.engines.vllm.loop import BackgroundLoop, all_of
from llm_judge.engines.vllm.obeys import obeys
from llm_judge.engines.vllm.servers import API_KEY, Server, Servers
from llm_judge.engines.vllm.startup import Served, check_servers
from llm_judge.engines.vllm.wire import (
    CompletionAnswer,
    check_whole,
    completion_of,
    generate_body,
    read_answer,
    read_body,
    reading_of,
)
from llm_judge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from llm_judge.engines.protocol import GenerateRequest, ReadRequest
    from llm_judge.engines.vllm.address import VllmAddress
    from llm_judge.prompt import Prompt, Question

COMPLETIONS = "/v1/completions"
_PREFIXES_KEPT = 8
_GENERATION_TRIES = 2


class VllmEngine:
    """A model behind vLLM servers, checked before it answers anything.

    Args:
        address: what is called, and how.
        api_key: bearer token; by default from the environment, ``LLM_JUDGE_VLLM_API_KEY``.

    Attributes:
        tokens, frame: the model's tokenizer and chat format.
        servers: with their load, breakers and retries.

    Raises:
        EngineUnavailable: a server cannot be reached.
        EngineError: a server is not fit to answer; the message says which check failed.
        UsageError: there is no tokenizer.
    """

    def __init__(self, address: VllmAddress, api_key: str | None = None) -> None:
        self.address = address
        key = os.environ.get(API_KEY) if api_key is None else api_key
        self._loop = BackgroundLoop()
        self._closed = False
        try:
            self.servers = Servers(address.urls, key, address.concurrency, address.deadline_s)
            self._served: Served = self._loop.run(check_servers(self.servers, address))
        except BaseException:
            self.close()
            raise
        self.tokens, self.frame = self._served.tokens, self._served.frame
        self._prefix_ids = lru_cache(_PREFIXES_KEPT)(
            lambda prefix: tuple(self.frame.prefix_ids(self.tokens, prefix))
        )
        self._label_ids = lru_cache(64)(lambda labels: tuple(self.frame.answer_ids(self.tokens, labels)))

    @property
    def info(self) -> EngineInfo:
        """Names and digests for the record; see ``startup.info_of`` for what can be known."""
        return self._served.info

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Strings that the tokenizer turns into control tokens."""
        return self.tokens.special_tokens

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` is for this model."""
        return self.tokens.count(text)

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer every question of every request, all of them at once as far as the servers take it.

        Raises:
            EngineError: a prompt is over the context, a label is not one token, or a server did not answer;
                then nothing is answered.
        """
        self._check_open()
        bodies = [[self._read_body(request.prompt, q) for q in request.questions] for request in requests]
        return self._loop.run(self._read_all(requests, bodies))

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer every request with JSON that obeys its schema, greedily.

        Raises:
            EngineError: prompt and answer together are over the context, the schema cannot be obeyed, or a
                server did not answer; then nothing is answered.
        """
        self._check_open()
        bodies = [self._generate_body(request) for request in requests]
        return self._loop.run(all_of(self._generate(*pair) for pair in zip(requests, bodies, strict=True)))

    def close(self) -> None:
        """Stop what runs and close the connections; the engine cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        try:
            if hasattr(self, "servers"):
                self._loop.run(self.servers.close())
        finally:
            self._loop.close()

    async def _read_all(
        self, requests: Sequence[ReadRequest], bodies: Sequence[Sequence[dict[str, Any]]]
    ) -> list[list[Reading]]:
        dealt = self.servers.deal([len(asked) for asked in bodies]) if requests else []
        work = [
            self._read(question, body, server)
            for request, asked, server in zip(requests, bodies, dealt, strict=True)
            for question, body in zip(request.questions, asked, strict=True)
        ]
        readings = iter(await all_of(work))
        return [[next(readings) for _ in request.questions] for request in requests]

    async def _read(self, question: Question, body: dict[str, Any], server: Server) -> Reading:
        data, url = await self.servers.post(COMPLETIONS, body, server)
        answer = read_answer(CompletionAnswer, data, url)
        check_whole(answer, self.address.model, len(body["prompt"]), url)
        return reading_of(answer, question.labels, self._label_ids(question.labels), url)

    async def _generate(self, request: GenerateRequest, body: dict[str, Any]) -> Completion:
        for _ in range(_GENERATION_TRIES):
            data, url = await self.servers.post(COMPLETIONS, body)
            answer = read_answer(CompletionAnswer, data, url)
            check_whole(answer, self.address.model, len(body["prompt"]), url)
            completion = completion_of(answer, url)
            if completion.finish_reason == "length" or obeys(completion.text, request.schema):
                return completion
        raise EngineError(
            f"{url} answered outside the response schema, twice", "its --structured-outputs-config decides"
        )

    def _read_body(self, prompt: Prompt, question: Question) -> dict[str, Any]:
        ids = self._prompt_ids(prompt, question.text)
        self._check_length(len(ids) + 1)
        return read_body(self.address.model, ids, self._label_ids(question.labels), self._served.source)

    def _generate_body(self, request: GenerateRequest) -> dict[str, Any]:
        ids = self._prompt_ids(request.prompt, request.instruction)
        self._check_length(len(ids) + request.max_tokens)
        schema: Mapping[str, Any] = request.schema
        end = self.tokens.end_of_turn_id
        return generate_body(self.address.model, ids, schema, request.max_tokens, end)

    def _prompt_ids(self, prompt: Prompt, question: str) -> list[int]:
        return [
            *self._prefix_ids(prompt.prefix),
            *self.frame.body_ids(self.tokens, prompt.body),
            *self.frame.question_ids(self.tokens, question),
        ]

    def _check_length(self, length: int) -> None:
        over = length - self.info.context_tokens
        if over > 0:
            raise EngineError(
                f"the prompt is {over} tokens over the {self.info.context_tokens}"
                f" that {self.info.model} reads",
                hint="judge by fewer policies at once, or cut the content into smaller windows",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")
