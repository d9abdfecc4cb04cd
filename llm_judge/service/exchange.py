"""Around every request: its id, its log line, its metrics, and an answer even to a fault of our own.

Log lines hold routes, codes and times; never a path, a query, a header or a body of a client.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_judge.service.engine_queue import log_fault
from llm_judge.service.metrics import Metrics
from llm_judge.service.problems import Code, Problem
from llm_judge.service.spans import Spans, Step

REQUEST_ID = "X-Request-ID"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("llm_judge.service")


class Exchange:
    """Outermost layer of the application.

    Args:
        app: what answers.
        metrics: counts every request.
        spans: told of every request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        shown = None if traceparent is None else traceparent.decode("latin-1")
        with self._spans.request(scope["method"], scope["path"], shown) as step:
            await self._answer(scope, receive, send, step)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, step: Step) -> None:
        started = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(scope)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [
                    (REQUEST_ID.lower().encode(), request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001  # the last resort: no request goes without an answer
            log_fault(error)
            if not status:
                problem = Problem(Code.INTERNAL, Code.INTERNAL.meaning, "report it with the request id")
                state["code"] = problem.code
                await answer_of(problem, request_id)(scope, receive, sending)
        finally:
            self._metrics.in_flight.dec()
            self._note(scope, status, time.perf_counter() - started, step)

    def _note(self, scope: Scope, status: int, seconds: float, step: Step) -> None:
        state = scope["state"]
        route = getattr(scope.get("route"), "path", "none")
        code = state["code"].word if "code" in state else "ok"
        self._metrics.requests.labels(route, str(status), code).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        fields = {
            "request_id": state["request_id"],
            "method": scope["method"] if scope["method"] in METHODS else "other",
            "route": route,
            "status": status,
            "code": code,
            "ms": round(seconds * 1000, 1),
            **({"key": state["key"]} if "key" in state else {}),
            **({"trace_id": step.trace_id} if step.trace_id else {}),
        }
        step.answered(fields["method"], route, status, code)
        _log.info("request", extra={"fields": fields})


def _request_id(scope: Scope) -> str:
    """The client's own id where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GOOD_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(12)


def json_bytes(data: Any) -> bytes:
    """Return data as a body."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def json_answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return data as a JSON answer."""
    return Response(json_bytes(data), status, headers, "application/json")


def answer_of(problem: Problem, request_id: str) -> Response:
    """Return a problem as an answer."""
    return json_answer({"error": problem.as_json(request_id)}, problem.code.status, problem.headers())


def _event(message: str) -> dict[str, str]:
    """What happened. The server hands tracebacks on as text, whose last line may hold content."""
    if not message.lstrip().startswith("Traceback"):
        return {"event": message}
    return {
        "event": "server stopped an exchange",
        "error": message.strip().splitlines()[-1].partition(":")[0],
    }


class JsonLines(logging.Formatter):
    """One JSON object a log line; control characters are escaped, so no words can fake a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            **_event(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # its words may hold content
        return json.dumps(line, ensure_ascii=True)


def log_to_stderr(level: str = "info") -> None:
    """Send the log of the service and of its server to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    ours, server = logging.getLogger("llm_judge.service"), logging.getLogger("uvicorn")
    for logger in (ours, server, logging.getLogger("opentelemetry")):
        logger.handlers = [handler]
        logger.propagate = False
    logging.getLogger("uvicorn.access").disabled = True  # its lines hold the paths of clients
    ours.setLevel(level.upper())
    server.setLevel(logging.WARNING)  # what it says of starting and stopping, `serve` says itself
