"""Every answer that is not a decision: one code each, with its HTTP status, message, hint and request id.

A code is a promise: clients branch on it, so it never changes its meaning. Knows nothing about HTTP servers.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from llm_judge import errors
from llm_judge.errors import JudgeError

CLIENT_GONE = 499  # nobody reads it; the number nginx made known


class Code(Enum):
    """Code → HTTP status and what it means, as the documentation says it."""

    BAD_HTTP = (400, "what was sent is not HTTP/1.1")
    BAD_JSON = (400, "the body is not JSON, or not the multipart form it says it is")
    UNAUTHORIZED = (401, "no API key, or one that is unknown, expired or revoked")
    FORBIDDEN = (403, "the API key does not have the scope of this route")
    NOT_FOUND = (404, "there is no such path or thing")
    METHOD_NOT_ALLOWED = (405, "the path exists, with another method")
    BODY_TOO_SLOW = (408, "the headers or the body did not arrive in time")
    IN_FLIGHT = (409, "a request with this `Idempotency-Key` is still being answered")
    ERASED = (410, "the decision was erased, with everything said of it")
    BODY_TOO_LARGE = (413, "the body is over the limit of this service")
    CONTENT_TOO_LARGE = (413, "an item is over a cap on bytes, pixels, frames or seconds")
    UNSUPPORTED_BODY = (415, "the body is neither JSON nor a multipart form")
    CONTENT_UNSUPPORTED = (415, "an item is of a format that is not read")
    BAD_REQUEST = (422, "the request does not have the documented shape")
    UNKNOWN_POLICY = (422, "the service does not judge by such a policy")
    UNKNOWN_OVERLAY = (422, "the service has no such overlay")
    NOT_USABLE = (422, "these options cannot be used together here")
    MEDIA_URL_REFUSED = (422, "the service does not fetch URLs, or not this one; media are sent as data")
    MEDIA_NOT_FETCHED = (422, "the media behind a URL could not be fetched whole")
    CONTENT_EMPTY = (422, "there is nothing to judge in an item")
    CONTENT_DAMAGED = (422, "an item is truncated, mislabelled or cannot be decoded")
    CONTENT_UNPERCEIVED = (422, "an item can be read, but holds nothing that can be judged")
    CONTENT_NOT_KEPT = (422, "the content of this decision is not kept, so it must be sent")
    OTHER_CONTENT = (422, "what was sent is not what this decision is about")
    OTHER_BODY = (422, "this `Idempotency-Key` was used with another body")
    RELOAD_REFUSED = (422, "a new revision is not fit to judge, so the old one goes on")
    QUOTA_EXCEEDED = (429, "the API key has used up its quota")
    CLIENT_GONE = (CLIENT_GONE, "the client closed the connection; only logs and metrics see this")
    INTERNAL = (500, "a fault of llm-judge")
    ENGINE_FAILED = (503, "the engine could not answer")
    PERCEPTION_UNAVAILABLE = (503, "a packaged model or library that this kind of item needs is missing")
    RECORD_NOT_KEPT = (503, "the decision could not be recorded, so it is not given")
    RECORDS_UNAVAILABLE = (503, "the record store cannot be used at the moment")
    OVERLOADED = (503, "the service has as much in hand as it can answer in time")
    DRAINING = (503, "the service is stopping")
    NOT_READY = (503, "the service cannot judge at the moment")
    DEADLINE_PASSED = (504, "the deadline passed before there was a decision")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """One line for the documentation."""
        return self.value[1]

    @property
    def word(self) -> str:
        """The code as clients read it."""
        return self.name.lower()

    def __str__(self) -> str:
        return self.word


class Problem(Exception):
    """What a client is told instead of a decision.

    Args:
        code: says what kind of problem it is.
        message: one line: what is wrong and where.
        hint: one line: what to do about it.
        retry_after: seconds after which trying again makes sense; None where it does not.
        action: what the policies' ``on_error`` wants done with content that got no decision; None where
            nothing was to be judged.

    Attributes:
        counted: whether the metrics have seen that ``on_error`` had a say.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        hint: str | None = None,
        *,
        retry_after: float | None = None,
        action: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.action = action
        self.counted = False

    def as_json(self, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        fail_mode = None
        if self.action is not None:
            fail_mode = {"action": self.action, "reason": self.code.word, "determined": True}
        return {
            "code": self.code.word,
            "message": " ".join(self.message.split()),
            "hint": self.hint,
            "request_id": request_id,
            "fail_mode": fail_mode,
        }

    def headers(self) -> dict[str, str]:
        """Whole seconds to wait, where trying again makes sense; for a 401 the scheme (RFC 9110, 11.6.1)."""
        if self.code is Code.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


_OF_ERRORS: tuple[tuple[type[JudgeError], Code], ...] = (
    (errors.ContentEmpty, Code.CONTENT_EMPTY),
    (errors.ContentTooLarge, Code.CONTENT_TOO_LARGE),
    (errors.ContentUnsupported, Code.CONTENT_UNSUPPORTED),
    (errors.ContentUnperceived, Code.CONTENT_UNPERCEIVED),
    (errors.ContentError, Code.CONTENT_DAMAGED),
    (errors.PackageError, Code.PERCEPTION_UNAVAILABLE),
    (errors.EngineError, Code.ENGINE_FAILED),
    (errors.OutputError, Code.RECORD_NOT_KEPT),
)
# Hints of errors speak to whoever runs the command line; a client of the service cannot follow them.
_HINTS = {
    Code.CONTENT_TOO_LARGE: "send less, in several items if need be; the operator sets the caps",
    Code.PERCEPTION_UNAVAILABLE: "ask the operator of this service to install it",
    Code.ENGINE_FAILED: "try again; the operator finds the reason in the service's log",
    Code.RECORD_NOT_KEPT: "try again; the operator finds the reason in the service's log",
}


def problem_of(error: JudgeError, action: str | None = None) -> Problem:
    """Return what a client is told about an error, with what ``on_error`` says to do."""
    code = next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), Code.NOT_USABLE)
    retry_after = 1.0 if code.status == Code.ENGINE_FAILED.status else None
    # What an engine, a package or a disk says may name hosts and paths: it goes to the log.
    inside = code in (Code.ENGINE_FAILED, Code.PERCEPTION_UNAVAILABLE, Code.RECORD_NOT_KEPT)
    message = code.meaning if inside else error.message
    return Problem(code, message, _HINTS.get(code, error.hint), retry_after=retry_after, action=action)
