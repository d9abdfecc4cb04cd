"""Traces: one of each request, in one piece, with names of the conventions and without a word of content."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, http_attributes
from opentelemetry.trace import SpanKind, StatusCode
from processes import FIRES, address_in, start
from serving import FAILS_ON, FIRES_ON, HeldEngine, guidelines, running, scripted, until

from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.errors import UsageError
from llm_judge.service.judges import Judges
from llm_judge.service.spans import Spans
from llm_judge.service.state import Service, build
from llm_judge.service.tracing import Traces, sending_to
from llm_judge.store.decision_store import DecisionStore

SECRET = "xyzzy-secret-words"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced:
    """A running service whose spans are kept here."""

    def __init__(self, engine: ScriptedEngine, folder: Path) -> None:
        self.kept = InMemorySpanExporter()
        spans = Traces(SimpleSpanProcessor(self.kept))
        self.store = DecisionStore(folder / "records.sqlite3")
        self.service: Service = build(Judges(guidelines(), engine), records=self.store, spans=spans)
        self.url = ""
        self.sent = 0

    def spans(self) -> list[ReadableSpan]:
        """All of them, when every request is over: a little later than its answer."""
        until(
            lambda: sum(span.kind is SpanKind.SERVER for span in self.kept.get_finished_spans()) >= self.sent
        )
        return list(self.kept.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def post(self, text: str, **headers: str) -> httpx.Response:
        self.sent += 1
        return httpx.post(f"{self.url}/v1/judge", json={"text": text, "id": SECRET}, headers=headers)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    built = Traced(scripted(), tmp_path)
    with running(built.service) as built.url, built.store:
        yield built
    built.service.close()


def parent_of(span: ReadableSpan, spans: list[ReadableSpan]) -> str | None:
    """The name of the span that a span is in."""
    for each in spans:
        if span.parent is not None and each.context.span_id == span.parent.span_id:
            return each.name
    return None


def test_a_request_is_one_trace_from_the_request_to_the_store(traced: Traced) -> None:
    traced.post(FIRES_ON)
    spans = traced.spans()
    assert len({span.context.trace_id for span in spans}) == 1
    assert {(span.name, parent_of(span, spans)) for span in spans} == {
        ("POST /v1/judge", None),
        ("item", "POST /v1/judge"),
        ("perceive", "item"),
        ("queue", "item"),
        ("judge", "item"),
        ("chat scripted", "judge"),
        ("store", "item"),
    }
    steps = [traced.one(name) for name in ("perceive", "queue", "judge", "store")]
    assert all(before.end_time <= after.start_time for before, after in pairwise(steps))


def test_a_span_says_what_came_of_an_item_and_of_its_rules(traced: Traced) -> None:
    reply = traced.post(FIRES_ON).json()
    item = traced.one("item")
    assert item.attributes is not None
    assert item.attributes["llm_judge.decision.action"] == "remove"
    assert item.attributes["llm_judge.decision.id"] == reply["decision_id"]
    results = {
        event.attributes["gen_ai.evaluation.name"]: event.attributes["gen_ai.evaluation.score.value"]
        for event in item.events
        if event.attributes is not None
    }
    assert results == {"garden/plants#R1": pytest.approx(0.95)}
    request = traced.one("POST /v1/judge")
    assert request.attributes is not None and request.attributes["http.response.status_code"] == 200


def test_calls_of_the_engine_are_told_in_the_words_of_the_conventions(traced: Traced) -> None:
    traced.post(FIRES_ON)
    calls = [dict(span.attributes or {}) for span in traced.spans() if span.name.startswith("chat ")]
    assert [call["llm_judge.engine.call"] for call in calls] == ["read", "read", "generate"]
    assert {call["gen_ai.output.type"] for call in calls} == {"text", "json"}
    assert calls[-1]["gen_ai.response.finish_reasons"] == ("stop",)
    standing = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    standing |= {value for name, value in vars(http_attributes).items() if name.startswith("HTTP_")}
    used = {name for span in traced.spans() for name in span.attributes or {}}
    used |= {name for span in traced.spans() for event in span.events for name in event.attributes or {}}
    ours = {name for name in used if name.startswith("llm_judge.")}
    assert used - ours - {"error.type"} <= standing


def test_a_trace_of_the_caller_goes_on_here_and_its_other_words_stay_out(traced: Traced) -> None:
    traced.post("Water it.", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate=f"a={SECRET}", baggage=SECRET)
    request = traced.one("POST /v1/judge")
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None and f"{request.parent.span_id:016x}" == PARENT
    assert not request.context.trace_state


@pytest.mark.parametrize(
    "said", ["", "00-0-0-0", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01\tx", SECRET]
)
def test_a_traceparent_that_is_none_starts_a_new_trace(traced: Traced, said: str) -> None:
    traced.post("Water it.", traceparent=said)
    request = traced.one("POST /v1/judge")
    assert request.parent is None and f"{request.context.trace_id:032x}" != TRACE


def test_items_judged_together_share_the_engines_spans_by_links(held: HeldEngine, tmp_path: Path) -> None:
    built = Traced(held, tmp_path)
    with running(built.service) as built.url, built.store, ThreadPoolExecutor(3) as pool:
        first = pool.submit(built.post, "One.")
        assert held.entered.wait(10)
        others = [pool.submit(built.post, text) for text in ("Two.", "Three.")]
        until(lambda: built.service.queue.depth() == 2)
        held.go.set()
        assert [each.result().status_code for each in (first, *others)] == [200] * 3
    built.service.close()
    together = [
        span
        for span in built.spans()
        if span.name == "judge" and span.attributes["llm_judge.batch.items"] == 2
    ]
    assert len({span.context.trace_id for span in together}) == 2
    (linked,) = [span for span in together if span.links]
    (holding,) = [span for span in together if not span.links]
    assert linked.links[0].context.span_id == holding.context.span_id
    calls = [span for span in built.spans() if span.name.startswith("chat ")]
    assert {span.parent.span_id for span in calls} >= {holding.context.span_id}
    assert linked.context.span_id not in {span.parent.span_id for span in calls}


def test_failures_are_told_by_kind_without_their_words(traced: Traced) -> None:
    assert traced.post(FAILS_ON).status_code == 503
    request, item = traced.one("POST /v1/judge"), traced.one("item")
    assert request.attributes["error.type"] == item.attributes["error.type"] == "engine_failed"
    assert request.status.status_code is item.status.status_code is StatusCode.ERROR
    (call,) = [span for span in traced.spans() if span.name.startswith("chat ")]
    assert call.attributes["error.type"] == "EngineError" and not call.events


def test_no_span_holds_content_or_words_of_clients(traced: Traced) -> None:
    for text in (FIRES_ON, FAILS_ON, "Water it."):
        traced.post(text + SECRET, **{"X-Request-ID": SECRET, "User-Agent": SECRET})
    traced.sent += 2
    httpx.get(f"{traced.url}/{SECRET}?{SECRET}")
    httpx.request(SECRET.upper(), f"{traced.url}/v1/judge")
    told = "".join(span.to_json() for span in traced.spans())
    assert len(traced.spans()) > 10 and SECRET.lower() not in told.lower() and "db.internal" not in told


def test_a_wait_that_nobody_waits_out_ends_with_its_request(held: HeldEngine, tmp_path: Path) -> None:
    built = Traced(held, tmp_path)
    with running(built.service) as built.url, built.store, ThreadPoolExecutor(1) as pool:
        first = pool.submit(built.post, "One.")
        assert held.entered.wait(10)
        body, headers = {"text": "Two.", "deadline_ms": 50}, {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert httpx.post(f"{built.url}/v1/judge", json=body, headers=headers).status_code == 504
        until(lambda: "POST /v1/judge" in {span.name for span in built.kept.get_finished_spans()})
        late = [span for span in built.kept.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]
        held.go.set()
        first.result()
    built.service.close()
    assert {span.name for span in late} == {"POST /v1/judge", "item", "perceive", "queue"}
    (item,) = [span for span in late if span.name == "item"]
    assert item.attributes["error.type"] == "deadline_passed"


def test_probes_leave_no_traces_and_logs_name_the_trace(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for path in ("/livez", "/readyz", "/metrics"):
        httpx.get(traced.url + path)
    assert traced.spans() == []
    traced.post("Water it.")
    trace_id = traced.one("POST /v1/judge").context.trace_id
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    fields = [each for each in told if "route" in each]
    assert [each.get("trace_id") for each in fields] == [None, None, None, f"{trace_id:032x}"]


def test_without_tracing_nothing_of_it_is_loaded() -> None:
    ours = ("llm_judge.service.tracing", "opentelemetry.sdk", "opentelemetry.exporter")
    code = f"import sys, llm_judge.service.app; assert not {{*{ours}}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    spans = Spans()
    with spans.request("GET", "/v1/judge", None) as step, spans.step("item"), spans.judging([]):
        assert step.trace_id is None


def test_where_traces_go_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    with pytest.raises(UsageError, match="where to"):
        sending_to(None)
    for wrong in ("collector:4318", "file:///etc/passwd", "http://"):
        with pytest.raises(UsageError, match="no http"):
            sending_to(wrong)


@pytest.fixture
def collector() -> Iterator[tuple[int, list[str]]]:
    """A collector's port, and the paths it was sent something at."""
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


def judged_once(folder: Path, *words: str) -> str:
    """Serve one decision and stop; the log."""
    process, log = start(folder, *words)
    try:
        answer = httpx.post(f"{address_in(log, process)}/v1/judge", json={"text": FIRES})
        assert answer.json()["action"] == "remove"
    finally:
        process.terminate()
        assert process.wait(30) == 0
    return log.read_text()


def test_serve_sends_to_a_collector(tmp_path: Path, collector: tuple[int, list[str]]) -> None:
    port, paths = collector
    judged_once(tmp_path, "--otlp-endpoint", f"http://127.0.0.1:{port}/")
    assert paths == ["/v1/traces"]


def test_serve_does_not_mind_a_collector_that_is_gone(tmp_path: Path) -> None:
    log = judged_once(tmp_path, "--otlp-endpoint", "http://127.0.0.1:9")
    assert "Traceback" not in log
    assert all(line.startswith(("{", "answering", "  curl")) for line in log.splitlines())


def test_serve_sends_nothing_unasked(
    tmp_path: Path, collector: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, paths = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    judged_once(tmp_path)
    assert paths == []
    judged_once(tmp_path, "--trace")
    assert paths == ["/v1/traces"]
