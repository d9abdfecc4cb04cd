"""Every limit of the service in one place, with its default. Knows nothing about what enforces it."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_judge.content.limits import Limits

_MIB = 1024 * 1024
# An in-process model cannot be stopped half way: 64 KiB is some 40 windows, half a minute of work.
SERVED_TEXT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How much one service takes on.

    Attributes:
        body_bytes: longest request body.
        bodies_bytes: bytes of request bodies in memory together; more is turned away.
        body_seconds: how long a client may take to send its body.
        batch_items: most items in one batch request, and most parts of one moderation input.
        queue_items: items in hand together (opened, waiting, being judged); more is turned away.
        engine_items: items the engine is given in one call.
        perceivers: threads that open pictures, sound and video.
        deadline_ms: for requests that name none.
        max_deadline_ms: longest deadline a request may name.
        drain_seconds: how long requests in hand may take after a stop was asked for.
        recheck_seconds: between two canaries while the engine fails.
        fetch_media: whether media are fetched from URLs.
        fetch_hosts: the only hosts to fetch from, where any are given; ``.example.com`` is all below it.
        fetch_seconds: how long one fetch may take, with its look-up.
        shadow_items: contents that wait for the other revision; more are dropped.
        drift_items: last answers whose drift is measured.
        open_admin: whether ``/v1/admin`` answers without API keys; for loopback only.
        limits: caps on one item.
    """

    body_bytes: int = 32 * _MIB
    bodies_bytes: int = 256 * _MIB
    body_seconds: float = 30.0
    batch_items: int = 64
    queue_items: int = 128
    engine_items: int = 8
    perceivers: int = 2
    deadline_ms: int = 30_000
    max_deadline_ms: int = 600_000
    drain_seconds: int = 30
    recheck_seconds: float = 5.0
    fetch_media: bool = False
    fetch_hosts: tuple[str, ...] = ()
    fetch_seconds: float = 10.0
    shadow_items: int = 64
    drift_items: int = 5000
    open_admin: bool = True
    limits: Limits = field(default_factory=lambda: Limits(text_bytes=SERVED_TEXT_BYTES))
