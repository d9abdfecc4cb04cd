"""Whether a vLLM server still answers: not only its front, but the engine behind it.

``/health`` is answered by the front even while the engine hangs, so the engine is asked for one token. A busy
engine may be slow with that, so tokens that it counts for others are as good a sign of life.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_SHORT_S = 5.0
_TOKENS = re.compile(rb"^vllm:(?:prompt|generation)_tokens_total(?:\{[^}]*\})? ([0-9.eE+]+)", re.MULTILINE)
_FAILED = 500  # from here on, a status is a fault of the server


def is_healthy(port: int, seconds: float = _SHORT_S) -> bool:
    """Return whether ``/health`` is answered well."""
    return _asked(port, "GET", "/health", seconds)[0] == http.client.OK


@dataclass(slots=True)
class Liveness:
    """Remembers when the server was last seen alive.

    Args:
        port: on loopback.
        key: its API key.
        model: the name it serves.
        hang_s: after so many seconds without a sign of life it hangs.
    """

    port: int
    key: str = field(repr=False)
    model: str
    hang_s: float
    _seen: float = field(default_factory=time.monotonic)
    _tokens: float | None = None

    def look(self) -> str | None:
        """Look once, for seconds at most; return why the server must be replaced, None where it need not."""
        status, _ = _asked(self.port, "GET", "/health", _SHORT_S)
        if status is not None and status >= _FAILED:
            return "its engine died"
        if status is not None and (self._counted_more() or self.answers_a_token(min(_SHORT_S, self.hang_s))):
            self._seen = time.monotonic()
        silent = time.monotonic() - self._seen
        return f"it showed no sign of life for {silent:.0f} s" if silent > self.hang_s else None

    def _counted_more(self) -> bool:
        status, body = _asked(self.port, "GET", "/metrics", _SHORT_S)
        if status != http.client.OK:
            return False
        tokens = sum(float(number) for number in _TOKENS.findall(body))
        before, self._tokens = self._tokens, tokens
        return before is not None and tokens > before

    def answers_a_token(self, seconds: float = _SHORT_S) -> bool:
        """Ask the engine for one token; waits so long at most."""
        body = json.dumps({"model": self.model, "prompt": [1], "max_tokens": 1, "temperature": 0})
        status, _ = _asked(self.port, "POST", "/v1/completions", seconds, body, self.key)
        return status is not None and status < _FAILED


def _asked(
    port: int, method: str, path: str, seconds: float, body: str | None = None, key: str | None = None
) -> tuple[int | None, bytes]:
    """Status and body of one request, or None; no proxy, no redirect, a fresh connection."""
    headers = {"Content-Type": "application/json"} if body else {}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()
