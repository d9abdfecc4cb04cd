"""What OpenAPI says about bodies and problems, which the routes read by hand. Knows nothing about answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from llm_judge.service.problems import CLIENT_GONE, Code
from llm_judge.service.wire import ProblemReply

REFUSED = (Code.UNAUTHORIZED, Code.FORBIDDEN, Code.NOT_READY, Code.INTERNAL)  # wherever a key is needed
_REF = "#/components/schemas/"
FORM: dict[str, Any] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "additionalProperties": False,
            "properties": {
                "file": {"type": "string", "format": "binary"},
                "options": {"type": "string", "description": "JSON: a JudgeRequest without text and media."},
            },
        },
        "encoding": {"options": {"contentType": "application/json"}},
    }
}


def body_of(
    shape: type[BaseModel], others: dict[str, Any] | None = None, *, required: bool = True
) -> dict[str, Any]:
    """Return the OpenAPI of a JSON body, and of other forms of it."""
    content = {"application/json": {"schema": {"$ref": f"{_REF}{shape.__name__}"}}, **(others or {})}
    return {"requestBody": {"required": required, "content": content}}


def problems(*left_out: Code) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI of every status a problem can have, with the codes that have it."""
    by_status: dict[int, list[Code]] = {}
    for code in Code:
        if code not in left_out and code.status != CLIENT_GONE:
            by_status.setdefault(code.status, []).append(code)
    return {
        status: {
            "model": ProblemReply,
            "description": "; ".join(f"`{code.word}`: {code.meaning}" for code in codes),
            **_headers(status),
        }
        for status, codes in sorted(by_status.items())
    }


def _headers(status: int) -> dict[str, Any]:
    if status not in (429, 503):
        return {}
    schema = {"schema": {"type": "integer"}, "description": "Seconds after which to try again."}
    return {"headers": {"Retry-After": schema}}


def problems_at(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI of these problems only."""
    return problems(*(code for code in Code if code not in codes))
