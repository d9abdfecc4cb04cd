"""Runs the application with uvicorn, and stops it without losing what is in hand."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from llm_judge.errors import EngineError, JudgeError, UsageError
from llm_judge.service.app import create_app
from llm_judge.service.engine_queue import log_error
from llm_judge.service.exchange import log_to_stderr
from llm_judge.service.header_timeout import PatientProtocol
from llm_judge.service.state import Service

_KEEP_ALIVE_S = 20
_HEADERS_BYTES = 64 * 1024


class _Server(uvicorn.Server):
    """Ends with exit code 0 after SIGTERM: everything in hand was answered."""

    def __init__(self, config: uvicorn.Config, service: Service, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._service = service
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.started and self.servers:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._say(f"{'https' if self.config.is_ssl else 'http'}://{shown}:{port}")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on the first signal, without raising it again once all is done."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self.handle_hangup)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_hangup(self, *_: object) -> None:
        """Load everything anew beside the requests; the log says what became of it."""
        threading.Thread(target=_reload, args=(self._service,), name="reload", daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take on nothing new."""
        self._service.queue.draining = True
        super().handle_exit(sig, frame)


def _reload(service: Service) -> None:
    try:
        service.rollout.reload()
    except JudgeError as error:
        log_error("reload refused", error)


def serve(
    service: Service,
    host: str,
    port: int,
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    log_level: str = "info",
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Check the canaries, then answer requests until SIGTERM or Ctrl-C.

    Args:
        service: started; closed when this returns.
        host, port: where to listen; port 0 takes a free one.
        tls_cert, tls_key: PEM files; both or neither.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        say: told the address as soon as requests are answered there.

    Raises:
        EngineError: the canary did not come out right.
        UsageError: it cannot listen there, or the TLS files cannot be used.
    """
    log_to_stderr(log_level)
    try:
        if wrong := service.health.check():
            raise EngineError(
                f"the service is not fit to judge: {wrong}", "look at the engine, or at --canary"
            )
        config = uvicorn.Config(
            create_app(service),
            host,
            port,
            http=PatientProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=service.settings.drain_seconds,
            h11_max_incomplete_event_size=_HEADERS_BYTES,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
        )
        _run(config, service, say)
    finally:
        service.close()


def _run(config: uvicorn.Config, service: Service, say: Callable[[str], None]) -> None:
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the TLS files cannot be used: {error}", "give a certificate and its key in PEM"
        ) from None
    server = _Server(config, service, say)
    try:
        server.run()
    except SystemExit:
        told = f"cannot listen on {config.host}:{config.port}"
        raise UsageError(told, "choose another --host or --port; the log has the reason") from None
