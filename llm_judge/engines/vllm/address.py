"""The engine's name ``vllm:MODEL@URL[,URL…][?option=value&…]`` → what is called, and how.

Knows nothing about HTTP.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

FORM = "vllm:MODEL@URL[,URL…][?option=value&…]"
_SPEC = re.compile(r"(?P<model>.+?)@(?P<urls>https?://[^?]*)(?:\?(?P<options>.*))?", re.DOTALL)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class VllmAddress:
    """One model behind one or several servers that all serve the same weights.

    Attributes:
        model: the name it is served by; an adapter has a name of its own.
        urls: base addresses, without ``/v1``.
        tokenizer: folder with the model's ``tokenizer.json``, ``tokenizer_config.json`` and chat template;
            None looks for it where the server says that it loaded the model from.
        digest, adapter_digest: SHA-256 that the operator vouches for; a server cannot be asked for them.
        concurrency: questions in flight at each server.
        deadline_s: seconds for one question or one generation, attempts and waits together.
        wait_s: seconds to wait for servers that are not up yet.
        dtype: of the weights, where it is known.
        pictures: most that are shown in one prompt, 0 for none; None shows 8 to a model that takes them.
    """

    model: str
    urls: tuple[str, ...]
    tokenizer: Path | None = None
    digest: str | None = None
    adapter_digest: str | None = None
    concurrency: int = 32
    deadline_s: float = 60.0
    wait_s: float = 0.0
    dtype: str | None = None
    pictures: int | None = None


def parse_address(text: str) -> VllmAddress:
    """Read what follows ``vllm:`` in an engine's name.

    Raises:
        UsageError: it has another form, a URL cannot be used, or an option is unknown or wrong.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"`vllm:{text}` names no model and server", f"write {FORM}")
    urls = tuple(dict.fromkeys(_base_url(url) for url in match["urls"].split(",")))
    address = VllmAddress(match["model"], urls)
    for name, value in parse_qsl(match["options"] or "", keep_blank_values=True):
        if name not in _OPTIONS:
            raise UsageError(
                f"unknown option `{name}` of the vLLM engine", f"options are {', '.join(_OPTIONS)}"
            )
        field, read = _OPTIONS[name]
        address = replace(address, **{field: read(name, value)})
    return address


def _base_url(text: str) -> str:
    """Return ``https://host:port/path`` without a closing ``/v1``."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise UsageError(f"`{_without_user(text)}` is no URL", f"write {FORM}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the URL `{_without_user(text)}` carries a name or password",
            "set LLM_JUDGE_VLLM_API_KEY instead",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or port == 0:
        raise UsageError(f"`{text}` is no address of a server", f"write {FORM}")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/").removesuffix("/v1").rstrip("/")


def _without_user(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", text)


def _folder(name: str, value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_dir():
        raise UsageError(f"`{name}={value}` is no folder", "give a folder with the model's tokenizer.json")
    return path


def _digest(name: str, value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise UsageError(f"`{name}={value}` is no SHA-256", "write its 64 hexadecimal digits in lower case")
    return value


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:6]) <= 4096:
        raise UsageError(f"`{name}={value}` is no number from 1 to 4096")
    return int(value)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 3600 or (name == "deadline" and seconds == 0):
        raise UsageError(f"`{name}={value}` is no number of seconds up to 3600")
    return seconds


def _pictures(name: str, value: str) -> int:
    return 0 if value == "no" else _whole(name, value)


_OPTIONS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "tokenizer": ("tokenizer", _folder),
    "digest": ("digest", _digest),
    "adapter_digest": ("adapter_digest", _digest),
    "concurrency": ("concurrency", _whole),
    "deadline": ("deadline_s", _seconds),
    "wait": ("wait_s", _seconds),
    "pictures": ("pictures", _pictures),
}
