"""What is asked of every server before it may answer: fit to judge, or one line that says why not.

Reachable and of a known version; serves the model, with its context; has our tokenizer; gives the labels'
log-probabilities; really obeys a grammar; and an adapter really changes answers. Knows nothing about
policies.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_judge.compile import NO, YES
from llm_judge.engines.protocol import EngineInfo, Vision
from llm_judge.engines.tokens import ChatFrame, ChatTokens, chat_of
from llm_judge.engines.vllm.obeys import obeys
from llm_judge.engines.vllm.vision import vision_of
from llm_judge.engines.vllm.wire import (
    COMPLETIONS,
    FIRST_ANSWER_S,
    Answer,
    LabelSource,
    ModelCard,
    ModelList,
    check_whole,
    completion_answer,
    completion_body,
    obeying,
    read_answer,
    read_body,
    reading_of,
)
from llm_judge.errors import EngineError, EngineUnavailable, UsageError
from llm_judge.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.engines.protocol import Reading
    from llm_judge.engines.vllm.address import VllmAddress
    from llm_judge.engines.vllm.servers import Server, Servers

_ASK_S = 10.0
_POLL_S = 0.5
_LABELS = (YES, NO)
# Mean difference to the base in nats, as `finetune/gate.yaml` asks of an adapter in-process.
_ALIVE = 0.01
# Said of its own accord by no model.
_UNSAID = "quoin-4417-ossifrage"
_ODD_TEXT = "Judge n°7: naïve café,\t東京 👍🏽 <b>x</b> 1234567890\n\nyes no except"
_PROBES = (
    Prompt("You check content by rules.", "text 4f1c\n[1] I will burn down your shop tonight.\n4f1c"),
    Prompt("You check content by rules.", "text 9b20\n[1] The tram leaves at nine.\n9b20"),
    Prompt("You are a moderator.", "text 77ae\n[1] Buy these pills, no prescription needed.\n77ae"),
)
_QUESTION = "Does the content break the rule against threats? Answer yes or no."


@dataclass(frozen=True, slots=True)
class Served:
    """What all servers were found to be."""

    info: EngineInfo
    tokens: ChatTokens
    frame: ChatFrame
    source: LabelSource
    vision: Vision | None


@dataclass(frozen=True, slots=True)
class _Introduced:
    """What a server says of itself; ``base`` is ``card`` where the model is no adapter."""

    server: Server
    version: str
    card: ModelCard
    base: ModelCard

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together; 0 where it is not told."""
        return self.card.max_model_len or self.base.max_model_len or 0


async def check_servers(servers: Servers, address: VllmAddress) -> Served:
    """Check every server; errors as for ``VllmEngine``."""
    found = [await _introduce(servers, server, address) for server in servers.all]
    _check_same_weights(found, address)
    tokens, frame = _chat(found[0], address)
    checks = [_Checks(servers, one, address.model, tokens, frame) for one in found]
    sources = [await check.all() for check in checks]
    source = LabelSource.TOP if LabelSource.TOP in sources else LabelSource.TOKEN_IDS
    labels = frame.answer_ids(tokens, _LABELS)
    sights = [await vision_of(servers, one.server, address, labels, source) for one in found]
    vision = None if None in sights else max(filter(None, sights), key=lambda sight: sight.tokens)
    return Served(info_of(address, found, source), tokens, frame, source, vision)


def info_of(address: VllmAddress, found: Sequence[_Introduced], source: LabelSource) -> EngineInfo:
    """Return what a record can honestly say of a model behind HTTP.

    A server cannot be asked for the digest of its weights. Where the operator gives none, what stands in its
    place begins with ``served:`` and covers only what the servers call the model: names, root and version.
    The number type is not told either; only who started the servers knows it.
    """
    card, base = found[0].card, found[0].base
    served = [base.id, base.root, *sorted({one.version for one in found})]
    adapter = address.adapter_digest  # may be merged into the weights, and then has no card of its own
    if base is not card and adapter is None:
        adapter = _stand_in([*served, card.id, card.root])
    return EngineInfo(
        engine=source.value,
        model=address.model,
        model_digest=address.digest or _stand_in(served),
        adapter_digest=adapter,
        dtype=address.dtype or "unknown",
        context_tokens=min(one.context for one in found),
    )


def _stand_in(served: Sequence[str | None]) -> str:
    return f"served:{hashlib.sha256(json.dumps(served).encode()).hexdigest()}"


async def _introduce(servers: Servers, server: Server, address: VllmAddress) -> _Introduced:
    listed = read_answer(ModelList, await _once_up(servers, server, address.wait_s), server.url)
    cards = {card.id: card for card in listed.data}
    card = cards.get(address.model)
    if card is None:
        there = ", ".join(f"`{name[:80]}`" for name in sorted(cards)[:8]) or "nothing"
        raise EngineError(f"{server.url} does not serve `{address.model}`", f"it serves {there}")
    base = card if card.parent is None else cards.get(card.parent)
    if base is None:
        raise EngineError(
            f"{server.url} serves the adapter `{card.id}` without its base",
            "serve the base under its own name too: nothing else shows that the adapter is alive",
        )
    found = _Introduced(server, await _version(servers, server), card, base)
    if found.context < 1:
        raise EngineError(
            f"{server.url} does not say how long a context `{card.id}` has", "serve it with vLLM"
        )
    return found


async def _once_up(servers: Servers, server: Server, wait_s: float) -> Any:
    """Return the models of a server, waiting for it if it is not up yet."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        try:
            return await servers.ask(server, "/v1/models", _ASK_S)
        except EngineUnavailable:
            if loop.time() + _POLL_S > until:
                raise
        await asyncio.sleep(_POLL_S)


async def _version(servers: Servers, server: Server) -> str:
    """vLLM's version; a gateway in front of it may show the API alone."""
    try:
        told = await servers.ask(server, "/version", _ASK_S)
    except EngineError:
        return "unknown"
    version = told.get("version") if isinstance(told, dict) else None
    return version[:40] if isinstance(version, str) else "unknown"


def _check_same_weights(found: Sequence[_Introduced], address: VllmAddress) -> None:
    first = found[0]
    for other in found[1:]:
        same = (other.base.root, other.card.root) == (first.base.root, first.card.root)
        if not same and address.digest is None:
            raise EngineError(
                f"{first.server.url} and {other.server.url} loaded `{address.model}` from different places",
                "serve the same weights everywhere and vouch for them with `?digest=SHA256`",
            )


def _chat(found: _Introduced, address: VllmAddress) -> tuple[ChatTokens, ChatFrame]:
    """Return the tokenizer and chat frame of the served model."""
    if address.tokenizer is not None:
        return chat_of(address.tokenizer)
    local = all(_is_here(url) for url in address.urls)
    root = Path(found.base.root) if found.base.root and local else None
    if root is None or not (root / "tokenizer.json").is_file():
        raise UsageError(
            f"the tokenizer of `{address.model}` is needed here too, to keep control tokens out of content",
            "add `?tokenizer=FOLDER` with its tokenizer.json, tokenizer_config.json and chat template",
        )
    return chat_of(root)


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class _Checks:
    """What is tried out on one server."""

    def __init__(
        self, servers: Servers, found: _Introduced, model: str, tokens: ChatTokens, frame: ChatFrame
    ) -> None:
        self._servers, self._found, self._model = servers, found, model
        self._tokens, self._frame = tokens, frame
        self._url = found.server.url
        self._labels = frame.answer_ids(tokens, _LABELS)

    async def all(self) -> LabelSource:
        """Run every check, and return how labels are read."""
        await self._tokenizer()
        source = await self._label_source()
        await self._grammar()
        if self._found.base is not self._found.card:
            await self._adapter(source)
        return source

    async def _tokenizer(self) -> None:
        body = {**completion_body(self._model, _ODD_TEXT, 1), "return_token_ids": True}
        there = (await self._ask(body)).prompt_ids
        if there is None:
            raise EngineError(f"{self._url} does not tell token ids", "serve with vLLM 0.32 or later")
        if list(there) != self._tokens.encode(_ODD_TEXT):
            raise EngineError(
                f"{self._url} has another tokenizer than the one given for `{self._model}`",
                "give the folder of the model that is served: `?tokenizer=FOLDER`",
            )

    async def _label_source(self) -> LabelSource:
        try:
            await self._read(_PROBES[0], self._model, LabelSource.TOKEN_IDS)
        except EngineUnavailable:
            raise
        except EngineError:
            await self._read(_PROBES[0], self._model, LabelSource.TOP)
            return LabelSource.TOP
        return LabelSource.TOKEN_IDS

    async def _grammar(self) -> None:
        answer = {"enum": [_UNSAID]}
        schema = {
            "type": "object",
            "properties": {"answer": answer},
            "required": ["answer"],
            "additionalProperties": False,
        }
        ids = self._frame.prompt_ids(self._tokens, _PROBES[1], "Say hello.")
        body = obeying(completion_body(self._model, ids, 64), schema, self._tokens.end_of_turn_id)
        if not obeys((await self._ask(body)).text, schema):
            raise EngineError(
                f"{self._url} does not hold answers to a response schema",
                "serve with --structured-outputs-config "
                """'{"backend":"guidance","disable_any_whitespace":true}'""",
            )

    async def _adapter(self, source: LabelSource) -> None:
        moved = []
        for probe in _PROBES:
            with_it = await self._read(probe, self._model, source)
            without = await self._read(probe, self._found.base.id, source)
            moved += [abs(with_it.logprobs[label] - without.logprobs[label]) for label in _LABELS]
        if sum(moved) / len(moved) < _ALIVE:
            raise EngineError(
                f"the adapter `{self._model}` at {self._url} changes nothing: it answers as its base does",
                "its module names do not fit the model; see `llm-judge finetune gate`",
            )

    async def _read(self, probe: Prompt, model: str, source: LabelSource) -> Reading:
        ids = self._frame.prompt_ids(self._tokens, probe, _QUESTION)
        answer = await self._ask(read_body(model, ids, self._labels, source))
        check_whole(answer, model, len(ids))
        return reading_of(answer, _LABELS, self._labels)

    async def _ask(self, body: Mapping[str, Any]) -> Answer:
        data = await self._servers.ask(self._found.server, COMPLETIONS, FIRST_ANSWER_S, body)
        return completion_answer(data, self._url)
