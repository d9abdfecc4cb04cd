"""Request bodies: read up to a cap and a time, kept in memory only, and parsed strictly.

Knows nothing about what the data mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from llm_judge.content.limits import megabytes
from llm_judge.service.problems import Code, Problem
from llm_judge.service.settings import ServiceSettings

M = TypeVar("M", bound=BaseModel)
_MOST_PARTS = 16
_MOST_WRONG = 3  # things wrong with a request that are told at once


class Bodies:
    """Reads bodies, and keeps their sum within a bound.

    Args:
        settings: the caps.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self.held = 0  # bytes in memory now

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body; its memory counts until the block is left.

        Raises:
            Problem: too large, too slow, or too much in memory already.
        """
        cap = self._settings.body_bytes
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:18]) > cap:
            raise self._too_large(cap)
        held = 0
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self._settings.body_seconds):
                    async for chunk in request.stream():
                        if held + len(chunk) > cap:
                            raise self._too_large(cap)
                        self.hold(len(chunk))
                        held += len(chunk)
                        chunks.append(chunk)
            except TimeoutError:
                told = f"the body took over {self._settings.body_seconds:g} s"
                raise Problem(Code.BODY_TOO_SLOW, told, "send it faster, or send less") from None
            except ClientDisconnect:
                raise Problem(Code.CLIENT_GONE, Code.CLIENT_GONE.meaning) from None
            yield b"".join(chunks)
        finally:
            self.give_back(held)

    def hold(self, size: int) -> None:
        """Count so many bytes more; raises ``Problem`` where they are too many together."""
        if self.held + size > self._settings.bodies_bytes:
            told = "the service holds as many bytes of requests as it may"
            raise Problem(Code.OVERLOADED, told, "try again shortly", retry_after=1)
        self.held += size

    def give_back(self, size: int) -> None:
        """Count so many bytes less."""
        self.held -= size

    def _too_large(self, cap: int) -> Problem:
        return Problem(
            Code.BODY_TOO_LARGE, f"the body is over {megabytes(cap)}", "send fewer or smaller items"
        )


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parsed(body: bytes, shape: type[M], request: Request, *, is_json: bool = False) -> M:
    """Return a JSON body as typed data.

    Args:
        body: the whole body, or with ``is_json`` a part of a form that is known to hold JSON.
        shape: what it must be.
        request: says what the body is.

    Raises:
        Problem: it is not JSON, or not of this shape, and where.
    """
    kind = media_type(request)
    if not is_json and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(Code.UNSUPPORTED_BODY, "the body must be JSON", "send Content-Type: application/json")
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise _wrong(error) from None


def _wrong(error: ValidationError) -> Problem:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return Problem(Code.BAD_JSON, _line(found[0]["msg"]), "send one JSON object in UTF-8")
    told = [f"{_place(each['loc'])}: {each['msg'].lower()}" for each in found[:_MOST_WRONG]]
    more = f"; and {len(found) - len(told)} more" if len(found) > len(told) else ""
    return Problem(Code.BAD_REQUEST, _line("; ".join(told) + more), "GET /openapi.json has the shape")


def _place(parts: tuple[int | str, ...]) -> str:
    """A path in a request: ``items[3].media``, shortened, since a key may be a client's own words."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:40]}" if path else part[:40]
    return f"`{path}`" if path else "the body"


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:500]


async def form(body: bytes, request: Request) -> FormData:
    """Parse a multipart form that is in memory; nothing of it is written to disk.

    Raises:
        Problem: it is damaged.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, stream(), max_files=1, max_fields=_MOST_PARTS, max_part_size=len(body) + 1
    )
    parser.spool_max_size = len(body) + 1  # above the size of any part, so no part goes to a file
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Problem(Code.BAD_JSON, f"the form is damaged: {_line(error.message)}") from None
