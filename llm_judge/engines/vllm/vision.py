"""Whether a served model takes pictures, really sees them, and what they cost.

Knows nothing about policies or contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.compile import NO, YES
from llm_judge.content.content import Picture
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.engines.protocol import Vision
from llm_judge.engines.vllm.pictures import plain_png, turn_parts
from llm_judge.engines.vllm.wire import (
    CHAT,
    FIRST_ANSWER_S,
    Answer,
    LabelSource,
    chat_answer,
    chat_body,
    reading_of,
    with_labels,
)
from llm_judge.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.engines.vllm.address import VllmAddress
    from llm_judge.engines.vllm.servers import Server, Servers

MOST_PICTURES = 8
_SMALL = 112  # pixels; a few patches of any vision encoder
_RED, _BLUE = (220, 30, 30), (30, 30, 220)
# Nats by which another colour must move a label, and how often that must be what asking again moves it.
_SEEN, _ABOVE_NOISE = 1e-3, 3.0


async def vision_of(
    servers: Servers, server: Server, address: VllmAddress, labels: Sequence[int], source: LabelSource
) -> Vision | None:
    """Try pictures out on one server.

    Args:
        servers, server, address: whom to ask, and what the operator says of pictures.
        labels: tokens of yes and no.
        source: how labels are read.

    Returns:
        What it takes; None for a model without vision, or where pictures are not wanted.

    Raises:
        EngineError: pictures are taken and not seen, or fewer than wanted are taken.
    """
    if address.pictures == 0:
        return None
    probe = _Probe(servers, server, address.model, labels, source)
    try:
        await probe.ask([plain_png(_SMALL, *_RED)])
    except EngineUnavailable:
        raise
    except EngineError as refusal:
        if address.pictures is None:
            return None
        raise EngineError(
            f"{server.url} takes no pictures for `{address.model}`",
            f"leave `pictures` out; it said: {refusal}",
        ) from None
    await _check_seen(probe)
    most = address.pictures or MOST_PICTURES
    try:
        await probe.ask([plain_png(_SMALL, *_RED)] * most)
    except EngineUnavailable:
        raise
    except EngineError:
        raise EngineError(
            f"{server.url} does not take {most} pictures in one prompt",
            f"serve with --limit-mm-per-prompt '{{\"image\":{most}}}', or name fewer with `?pictures=`",
        ) from None
    side = DEFAULT_LIMITS.shown_side
    with_it, without = await probe.ask([plain_png(side, *_BLUE)]), await probe.ask([])
    tokens = with_it.prompt_tokens - without.prompt_tokens
    if tokens < 1:
        raise EngineError(
            f"{server.url} drops pictures from prompts without a word", "serve a model that sees"
        )
    return Vision(most, side, tokens)


async def _check_seen(probe: _Probe) -> None:
    red = await probe.logprobs(plain_png(_SMALL, *_RED))
    again = await probe.logprobs(plain_png(_SMALL, *_RED))
    blue = await probe.logprobs(plain_png(_SMALL, *_BLUE))
    noise = max(abs(one - other) for one, other in zip(red, again, strict=True))
    moved = max(abs(one - other) for one, other in zip(red, blue, strict=True))
    if moved < max(_SEEN, _ABOVE_NOISE * noise):
        raise EngineError(
            f"{probe.server.url} takes pictures and does not see them: red and blue read alike",
            "its vision tower is not loaded; leave pictures out with `?pictures=no`",
        )


class _Probe:
    """One question about pictures, asked of one server."""

    def __init__(
        self, servers: Servers, server: Server, model: str, labels: Sequence[int], source: LabelSource
    ) -> None:
        self.server = server
        self._servers, self._model, self._labels, self._source = servers, model, labels, source

    async def ask(self, pngs: Sequence[bytes]) -> Answer:
        shown = [Picture(number, png) for number, png in enumerate(pngs, start=1)]
        parts = turn_parts(
            "image 5e0d\n[1] shown: picture\n5e0d", shown, "Is the picture red? Answer yes or no."
        )
        body = with_labels(
            chat_body(self._model, "You look at pictures.", parts, 1), self._labels, self._source
        )
        return chat_answer(await self._servers.ask(self.server, CHAT, FIRST_ANSWER_S, body), self.server.url)

    async def logprobs(self, png: bytes) -> list[float]:
        return list(reading_of(await self.ask([png]), (YES, NO), self._labels).logprobs.values())
