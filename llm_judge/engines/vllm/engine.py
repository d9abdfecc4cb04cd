"""The vLLM engine: the same two calls as in-process, answered by servers over HTTP.

One request a question, many at once. Prompts are rendered and turned into token ids here, exactly as for the
in-process engine, and a policy's prefix comes first in every one of them, so that the servers' prefix caches
hit. A prompt with pictures goes as a chat turn, which the server renders. Knows nothing about policies or
decisions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llm_judge.engines.protocol import Completion, EngineInfo, Reading, Vision
from llm_judge.engines.vllm.loop import BackgroundLoop, all_of
from llm_judge.engines.vllm.obeys import obeys
from llm_judge.engines.vllm.pictures import turn_parts
from llm_judge.engines.vllm.servers import API_KEY, Server, Servers
from llm_judge.engines.vllm.startup import Served, check_servers
from llm_judge.engines.vllm.wire import (
    CHAT,
    COMPLETIONS,
    Answer,
    chat_answer,
    chat_body,
    check_model,
    check_whole,
    completion_answer,
    completion_body,
    completion_of,
    obeying,
    read_body,
    reading_of,
    with_labels,
)
from llm_judge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.engines.protocol import GenerateRequest, ReadRequest
    from llm_judge.engines.vllm.address import VllmAddress
    from llm_judge.prompt import Prompt, Question

_PREFIXES_KEPT = 8
_GENERATION_TRIES = 2


@dataclass(frozen=True, slots=True)
class _Call:
    """A request ready to be sent.

    Attributes:
        tokens: of the prompt; without its pictures where there are any.
        has_pictures: then it is a chat turn.
    """

    body: dict[str, Any]
    tokens: int
    has_pictures: bool = False


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
        self.servers = Servers(address.urls, key, address.concurrency, address.deadline_s)
        try:
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

    @property
    def vision(self) -> Vision | None:
        """What pictures it takes; None for a model that reads only text."""
        return self._served.vision

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
        calls = [[self._read_call(request.prompt, q) for q in request.questions] for request in requests]
        return self._loop.run(self._read_all(requests, calls))

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer every request with JSON that obeys its schema, greedily.

        Raises:
            EngineError: prompt and answer together are over the context, the schema cannot be obeyed, or a
                server did not answer; then nothing is answered.
        """
        self._check_open()
        calls = [self._generate_call(request) for request in requests]
        return self._loop.run(all_of(self._generate(*pair) for pair in zip(requests, calls, strict=True)))

    def close(self) -> None:
        """Stop what runs and close the connections; the engine cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        try:
            self._loop.run(self.servers.close())
        finally:
            self._loop.close()

    async def _read_all(
        self, requests: Sequence[ReadRequest], calls: Sequence[Sequence[_Call]]
    ) -> list[list[Reading]]:
        dealt = self.servers.deal([len(asked) for asked in calls])
        work = [
            self._read(question, call, server)
            for request, asked, server in zip(requests, calls, dealt, strict=True)
            for question, call in zip(request.questions, asked, strict=True)
        ]
        readings = iter(await all_of(work))
        return [[next(readings) for _ in request.questions] for request in requests]

    async def _read(self, question: Question, call: _Call, server: Server) -> Reading:
        answer = await self._answer(call, server)
        return reading_of(answer, question.labels, self._label_ids(question.labels))

    async def _generate(self, request: GenerateRequest, call: _Call) -> Completion:
        for _ in range(_GENERATION_TRIES):
            answer = await self._answer(call)
            completion = completion_of(answer)
            if completion.finish_reason == "length" or obeys(completion.text, request.schema):
                return completion
        raise EngineError(
            f"{answer.source} answered outside the response schema, twice",
            "its --structured-outputs-config decides",
        )

    async def _answer(self, call: _Call, server: Server | None = None) -> Answer:
        """Send a call and hold the answer against it."""
        if not call.has_pictures:
            answer = completion_answer(*await self.servers.post(COMPLETIONS, call.body, server))
            check_whole(answer, self.address.model, call.tokens)
            return answer
        answer = chat_answer(*await self.servers.post(CHAT, call.body, server))
        check_model(answer, self.address.model)
        if answer.prompt_tokens <= call.tokens:
            raise EngineError(f"{answer.source} left pictures out of the prompt", "see `?pictures=`")
        return answer

    def _read_call(self, prompt: Prompt, question: Question) -> _Call:
        labels, source = self._label_ids(question.labels), self._served.source
        if prompt.pictures:
            call = self._turn(prompt, question.text, 1)
            return _Call(with_labels(call.body, labels, source), call.tokens, has_pictures=True)
        ids = self._prompt_ids(prompt, question.text)
        self._check_length(len(ids) + 1)
        return _Call(read_body(self.address.model, ids, labels, source), len(ids))

    def _generate_call(self, request: GenerateRequest) -> _Call:
        prompt, end = request.prompt, self.tokens.end_of_turn_id
        if prompt.pictures:
            call = self._turn(prompt, request.instruction, request.max_tokens)
            return _Call(obeying(call.body, request.schema, end), call.tokens, has_pictures=True)
        ids = self._prompt_ids(prompt, request.instruction)
        self._check_length(len(ids) + request.max_tokens)
        body = completion_body(self.address.model, ids, request.max_tokens)
        return _Call(obeying(body, request.schema, end), len(ids))

    def _turn(self, prompt: Prompt, question: str, max_tokens: int) -> _Call:
        """A prompt with pictures."""
        vision = self.vision
        if vision is None or len(prompt.pictures) > vision.most:
            taken = 0 if vision is None else vision.most
            raise EngineError(f"{len(prompt.pictures)} pictures in one prompt, and the model takes {taken}")
        texts = (prompt.prefix, prompt.body, question)
        # The server renders a chat turn, so what spells a control token would become one.
        if any(token in text for token in self.special_tokens for text in texts):
            raise EngineError(
                "a policy spells a control token of the model, which cannot be sent beside pictures",
                "write it another way",
            )
        parts = turn_parts(prompt.body, prompt.pictures, question)
        spoken = [prompt.prefix, *(part["text"] for part in parts if part["type"] == "text")]
        frame = (self.frame.head, self.frame.mid, self.frame.tail)
        tokens = sum(map(self.tokens.count, spoken)) + sum(len(self.tokens.encode_template(t)) for t in frame)
        self._check_length(tokens + len(prompt.pictures) * vision.tokens + max_tokens)
        return _Call(chat_body(self.address.model, prompt.prefix, parts, max_tokens), tokens)

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
