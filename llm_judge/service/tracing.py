"""Steps of a request → OpenTelemetry spans, sent to a collector by OTLP over HTTP.

One trace a request: ``POST /v1/judge`` → ``item`` → ``perceive``, ``queue``, ``judge`` → ``chat MODEL``,
``store``. Items that the engine judges together are one call: its spans are in the trace of the oldest of
them, and the ``judge`` spans of the others link there. Names are those of OpenTelemetry's semantic
conventions for HTTP and for generative AI (the latter still in development), and ``llm_judge.*``. Exceptions
are told by type alone: their words may hold content.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llm_judge import __version__
from llm_judge.errors import UsageError
from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord
from llm_judge.service.exchange import METHODS
from llm_judge.service.problems import Problem
from llm_judge.service.spans import NOT_TOLD, Spans, Step
from llm_judge.service.traced_engine import TracedEngine
from llm_judge.verdict import Outcome

_NOT_TRACED = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds, and nobody looks
_MOST_RESULTS = 32  # results of rules told of one item
_SEND_S = 5
_SERVERS_FAULT = 500
_TRACES_PATH = "/v1/traces"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_W3C = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_EVALUATION = "gen_ai.evaluation.result"

Fact = str | bool | int | float


class _Told(Step):
    """A step that is a span."""

    def __init__(self, span: trace.Span, parent: contexts.Context) -> None:
        self.span = span
        self.parent = parent
        self.trace_id = trace.format_trace_id(span.get_span_context().trace_id)

    def answered(self, method: str, route: str, status: int, code: str) -> None:
        if route == "none":  # no path of ours, so nothing but the method is known of it
            self.span.set_attribute("http.response.status_code", status)
        else:
            self.span.update_name(f"{method} {route}")
            self.span.set_attributes({"http.route": route, "http.response.status_code": status})
        if code != "ok":
            self.span.set_attribute("error.type", code)
        if status >= _SERVERS_FAULT:
            self.span.set_status(trace.StatusCode.ERROR)

    def failed(self, kind: str) -> None:
        self.span.set_attribute("error.type", kind)
        self.span.set_status(trace.StatusCode.ERROR)

    def ended(self, result: DecisionRecord | Problem) -> None:
        if isinstance(result, Problem):
            self.failed(result.code.word)
            return
        self.span.set_attributes(
            {
                "llm_judge.decision.id": result.decision_id,
                "llm_judge.decision.action": result.action.value,
                "llm_judge.decision.undecided": result.decision is not None and result.decision.undecided,
                "llm_judge.item.modality": str(result.item.get("modality", "")),
                "llm_judge.policy.digest": result.run.policy_digest,
            }
        )
        open_verdicts = [each for each in result.verdicts if each.outcome is not Outcome.CLEAR]
        for verdict in open_verdicts[:_MOST_RESULTS]:
            facts: dict[str, Fact] = {
                "gen_ai.evaluation.name": verdict.rule,
                "gen_ai.evaluation.score.label": verdict.outcome.value,
            }
            if verdict.probability is not None:
                facts["gen_ai.evaluation.score.value"] = verdict.probability
            self.span.add_event(_EVALUATION, facts)

    def taken(self) -> None:
        if self.span.is_recording():
            self.span.end()


class Traces(Spans):
    """Tells OpenTelemetry.

    Args:
        processor: takes the spans, such as one that sends them.

    How many traces are kept is ``OTEL_TRACES_SAMPLER``'s matter; ``OTEL_SERVICE_NAME`` and
    ``OTEL_RESOURCE_ATTRIBUTES`` say more of the service.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        named = os.environ.get("OTEL_SERVICE_NAME") or "llm-judge"
        resource = Resource.create({"service.name": named, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("llm_judge", __version__)

    @contextmanager
    def request(self, method: str, path: str, traceparent: str | None, /) -> Iterator[Step]:
        if path in _NOT_TRACED:
            yield NOT_TOLD
            return
        # ``tracestate`` and baggage are words of the client, so they are left where they are.
        known = traceparent is not None and _TRACEPARENT.fullmatch(traceparent)
        parent = _W3C.extract({"traceparent": traceparent} if known else {}, contexts.Context())
        shown = method if method in METHODS else "_OTHER"
        facts = {"http.request.method": shown}
        with self._told(shown, parent, trace.SpanKind.SERVER, facts) as step:
            yield step

    @contextmanager
    def step(self, name: str, /) -> Iterator[Step]:
        with self._told(name, contexts.get_current()) as step:
            yield step

    @contextmanager
    def wait(self) -> Iterator[Step]:
        parent = contexts.get_current()
        step = _Told(self._tracer.start_span("queue", parent), parent)
        try:
            yield step
        finally:
            step.taken()

    @contextmanager
    def judging(self, waits: Sequence[Step], /) -> Iterator[None]:
        told = [wait for wait in waits if isinstance(wait, _Told)]
        for wait in told:
            wait.taken()
        if not told:
            yield
            return
        first, *others = told
        facts = {"llm_judge.batch.items": len(waits)}
        with self._told("judge", first.parent, facts=facts) as step, ExitStack() as stack:
            to_first = [trace.Link(step.span.get_span_context())]
            for other in others:
                span = self._tracer.start_span("judge", other.parent, links=to_first, attributes=facts)
                stack.enter_context(_until_left(_Told(span, other.parent)))
            yield

    @contextmanager
    def _told(
        self,
        name: str,
        parent: contexts.Context,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        facts: Mapping[str, Fact] | None = None,
    ) -> Iterator[_Told]:
        """Start a span and make it the one under way."""
        span = self._tracer.start_span(name, parent, kind, facts)
        token = contexts.attach(trace.set_span_in_context(span, parent))
        try:
            with _until_left(_Told(span, parent)) as step:
                yield step
        finally:
            contexts.detach(token)

    def judge(self, judge: Judge) -> Judge:
        traced = copy.copy(judge)  # the judge itself is shared, and its engine is known by identity
        traced.engine = TracedEngine(judge.engine, self._tracer)
        return traced

    def close(self) -> None:
        self._provider.shutdown()


@contextmanager
def _until_left(step: _Told) -> Iterator[_Told]:
    """End the span when the block is left, with the kind of error where there is one."""
    try:
        yield step
    except BaseException as error:
        step.failed(error.code.word if isinstance(error, Problem) else type(error).__name__)
        raise
    finally:
        step.span.end()


def sending_to(endpoint: str | None) -> Traces:
    """Return spans that are sent to a collector, in batches and in a thread of their own.

    Args:
        endpoint: base URL, such as ``http://127.0.0.1:4318``; None takes ``OTEL_EXPORTER_OTLP_ENDPOINT``.
            Keys for the collector are ``OTEL_EXPORTER_OTLP_HEADERS``'s matter.

    Raises:
        UsageError: there is no endpoint, or it is no http(s) URL.
    """
    given = endpoint or next((found for name in _ENDPOINTS if (found := os.environ.get(name))), None)
    if given is None:
        raise UsageError("--trace does not know where to", "give --otlp-endpoint http://127.0.0.1:4318")
    if urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname:
        raise UsageError("the OTLP endpoint is no http(s) URL", "give one such as http://127.0.0.1:4318")
    whole = None
    if endpoint is not None:
        base = endpoint.rstrip("/")
        whole = base if base.endswith(_TRACES_PATH) else base + _TRACES_PATH
    return Traces(BatchSpanProcessor(OTLPSpanExporter(whole, timeout=_SEND_S)))
