"""What the vLLM engine sends, sent plainly too, and what a server's prefix cache makes of it.

Knows nothing about labels or decisions.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_judge.engines.protocol import ReadRequest
from llm_judge.evals.judging import build_judges
from llm_judge.prompt import build_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_judge.content.content import Content
    from llm_judge.engines.protocol import Completion, EngineInfo, GenerateRequest, Reading, Vision
    from llm_judge.engines.vllm.engine import VllmEngine
    from llm_judge.policy.model import Policy

_COUNTER = r"^vllm:prefix_cache_{}_total(?:\{{[^}}]*\}})? ([0-9.eE+]+)$"
Tokens = tuple[int, ...]


class NotingEngine:
    """The vLLM engine, with the prompts of its reads noted in order.

    Attributes:
        prompts: token ids.
    """

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self.prompts: list[Tokens] = []

    @property
    def info(self) -> EngineInfo:
        """As the engine's."""
        return self._engine.info

    @property
    def vision(self) -> Vision | None:
        """As the engine's."""
        return self._engine.vision

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """As the engine's."""
        return self._engine.special_tokens

    def count_tokens(self, text: str) -> int:
        """As the engine does."""
        return self._engine.count_tokens(text)

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Note the prompts, and read."""
        self.prompts += [tuple(body["prompt"]) for body in bodies_of(self._engine, requests)]
        return self._engine.read(requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """As the engine does."""
        return self._engine.generate(requests)

    def close(self) -> None:
        """As the engine does."""
        self._engine.close()


def prefix_counters(engine: VllmEngine) -> tuple[float, float]:
    """Return tokens looked up in the server's prefix cache so far, and tokens found there."""
    import httpx

    text = httpx.get(f"{engine.address.urls[0]}/metrics", trust_env=False, timeout=10).text
    queries, hits = (
        sum(map(float, re.findall(_COUNTER.format(name), text, re.MULTILINE))) for name in ("queries", "hits")
    )
    return queries, hits


def cacheable_tokens(prompts: Sequence[Tokens], block: int) -> int:
    """Return how many tokens of prompts stand in whole blocks that an earlier prompt began with too.

    The last token of a prompt is always computed, so a block that ends with it counts as not cacheable.
    """
    seen: set[int] = set()
    total = 0
    for prompt in prompts:
        digests = []
        digest = 0
        for start in range(0, len(prompt) - block + 1, block):
            digest = hash((digest, prompt[start : start + block]))
            digests.append(digest)
        for number, one in enumerate(digests, start=1):
            if one not in seen or number * block >= len(prompt):
                break
            total += block
        seen.update(digests)
    return total


def read_rates(
    engine: VllmEngine, key: str, policies: Sequence[Policy], contents: Sequence[Content], turns: int
) -> dict[str, Any]:
    """Read through the engine and plainly in turns; each turn's contents differ from all others by a digit.

    Returns:
        ``reads_per_turn``, medians of reads a second through the engine and of the same requests sent
        plainly, and ``rate_ratio`` of the first to the second.
    """
    (judge,) = build_judges(policies, engine)
    questions = tuple(area.question for area in judge.compiled.areas)[:8]

    def requests(turn: int) -> list[ReadRequest]:
        changed = [_with_digit(content, turn) for content in contents]
        prompts = [build_prompt(judge.compiled, each, engine.special_tokens) for each in changed]
        return [ReadRequest(prompt, questions) for prompt in prompts]

    engine.read(requests(0)[:2])  # the prefix of the policies is there from now on, for both
    ours, plain = [], []
    for turn in range(turns):
        ours.append(_seconds(lambda n=turn: engine.read(requests(2 * n + 1))))  # type: ignore[misc]
        bodies = bodies_of(engine, requests(2 * turn + 2))
        plain.append(_seconds(lambda b=bodies: asyncio.run(send_plainly(engine, key, b))))  # type: ignore[misc]
    reads = len(contents) * len(questions)
    rates = reads / statistics.median(ours), reads / statistics.median(plain)
    return {
        "reads_per_turn": reads,
        "turns": turns,
        "engine_reads_per_s": rates[0],
        "plain_reads_per_s": rates[1],
        "rate_ratio": rates[0] / rates[1],
    }


def _with_digit(content: Content, digit: int) -> Content:
    first, *rest = content.segments
    return replace(content, segments=(replace(first, text=f"{digit} {first.text}"), *rest))


def bodies_of(engine: VllmEngine, requests: Sequence[ReadRequest]) -> list[dict[str, Any]]:
    """Return the requests that the engine would send."""
    from llm_judge.engines.vllm.wire import LabelSource, read_body

    return [
        read_body(
            engine.address.model,
            engine.frame.prompt_ids(engine.tokens, request.prompt, question.text),
            engine.frame.answer_ids(engine.tokens, question.labels),
            LabelSource.TOKEN_IDS,
        )
        for request in requests
        for question in request.questions
    ]


async def send_plainly(engine: VllmEngine, key: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Send requests as fast as the server takes them, and read nothing but that they were answered."""
    import httpx

    at_once = engine.address.concurrency
    turns = asyncio.Semaphore(at_once)
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{engine.address.urls[0]}/v1/completions"
    async with httpx.AsyncClient(limits=limits, headers=headers, trust_env=False, timeout=600) as client:

        async def one(body: dict[str, Any]) -> None:
            async with turns:
                (await client.post(url, json=body)).raise_for_status()

        await asyncio.gather(*map(one, bodies))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
