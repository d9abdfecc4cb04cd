"""An engine whose calls are OpenTelemetry spans by the GenAI conventions; answers are untouched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from llm_judge.engines.protocol import (
    Completion,
    Engine,
    EngineInfo,
    GenerateRequest,
    Reading,
    ReadRequest,
    Vision,
)


class TracedEngine:
    """Tells each call as a child of the span that is under way; calls outside of any are not told.

    Args:
        engine: what answers.
        tracer: told.
    """

    def __init__(self, engine: Engine, tracer: trace.Tracer) -> None:
        self._engine = engine
        self._tracer = tracer

    @property
    def info(self) -> EngineInfo:
        """As the engine says."""
        return self._engine.info

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """As the engine says."""
        return self._engine.special_tokens

    @property
    def vision(self) -> Vision | None:
        """As the engine says."""
        return self._engine.vision

    def count_tokens(self, text: str) -> int:
        """As the engine counts."""
        return self._engine.count_tokens(text)

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer as the engine does, and tell how many questions there were."""
        questions = sum(len(request.questions) for request in requests)
        facts: dict[str, AttributeValue] = {
            "gen_ai.output.type": "text",
            "gen_ai.request.max_tokens": 1,
            "llm_judge.engine.call": "read",
            "llm_judge.engine.contents": len(requests),
            "llm_judge.engine.questions": questions,
        }
        with self._told(facts if questions else None):
            return self._engine.read(requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer as the engine does, and tell the tokens it took."""
        facts: dict[str, AttributeValue] = {
            "gen_ai.output.type": "json",
            "llm_judge.engine.call": "generate",
            "llm_judge.engine.contents": len(requests),
        }
        if requests:
            facts["gen_ai.request.max_tokens"] = max(request.max_tokens for request in requests)
        with self._told(facts if requests else None) as span:
            completions = self._engine.generate(requests)
            span.set_attributes(
                {
                    "gen_ai.response.finish_reasons": [each.finish_reason for each in completions],
                    "gen_ai.usage.input_tokens": sum(each.prompt_tokens for each in completions),
                    "gen_ai.usage.output_tokens": sum(each.completion_tokens for each in completions),
                }
            )
            return completions

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    @contextmanager
    def _told(self, facts: dict[str, AttributeValue] | None) -> Iterator[trace.Span]:
        if facts is None or not trace.get_current_span().is_recording():
            yield trace.INVALID_SPAN
            return
        info = self._engine.info
        known: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": info.engine,
            "gen_ai.request.model": info.model,
            "gen_ai.response.model": info.model,
        }
        # An exception's words may hold content, so its type alone is told.
        with self._tracer.start_as_current_span(
            f"chat {info.model}",
            kind=trace.SpanKind.CLIENT,
            attributes=known | facts,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise
