"""A URL that a client sent → the host and the path to ask there, or no. Strict, and parsed once.

What is read here is what is connected to, so no two parsers can understand it differently. Knows nothing
about how it is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from llm_judge.service.problems import Code, Problem

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = rf"{_LABEL}(?:\.{_LABEL})+"
# RFC 3986 without userinfo, other ports and literal addresses, and in printable ASCII; no backslash either,
# which browsers take for a slash.
_URL = re.compile(
    rf"https://(?P<host>{_HOST})(?::443)?(?P<target>[/?][A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*)?(?:#[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(
    r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE
)  # as a last label it makes an IPv4 address of a host
_MOST_HOST_CHARACTERS = 253
_HINT = "send https://HOST/PATH, with a host name and without a port or a user, or the file itself in base64"


@dataclass(frozen=True, slots=True)
class MediaUrl:
    """Where media are: a host name in lower case, and what to ask for there, with its query."""

    host: str
    target: str


def media_url(text: str, where: str = "", hosts: Collection[str] = ()) -> MediaUrl:
    """Return what a URL says.

    Args:
        text: of a client.
        where: its place in the request, for messages.
        hosts: the only ones to go to, where any are given; ``.example.com`` is every host below that one.

    Raises:
        Problem: ``media_url_refused``.
    """
    found = _URL.fullmatch(text)
    host = "" if found is None else found["host"].lower()
    if found is None or len(host) > _MOST_HOST_CHARACTERS or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise Problem(Code.MEDIA_URL_REFUSED, f"{where}this is no URL that the service fetches", _HINT)
    if hosts and not any(host == each or (each[0] == "." and host.endswith(each)) for each in hosts):
        told = f"{where}the service does not fetch from this host"
        raise Problem(Code.MEDIA_URL_REFUSED, told, "send the file itself in base64")
    target = found["target"] or "/"
    return MediaUrl(host, target if target[0] == "/" else f"/{target}")


def no_url(_text: str, where: str = "") -> MediaUrl:
    """Refuse any URL, where media are not fetched: fetching could reach what the client cannot.

    Raises:
        Problem: ``media_url_refused``.
    """
    message = f"{where}the service does not fetch URLs; media are sent as data"
    raise Problem(Code.MEDIA_URL_REFUSED, message, "fetch it yourself and send it in base64")
