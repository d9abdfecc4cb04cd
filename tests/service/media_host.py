"""A host on the internet, as far as a fetcher can tell: HTTPS on this machine behind a made-up name."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "cdn.example.com"
PUBLIC = "93.184.216.34"


class Answers(BaseHTTPRequestHandler):
    """What the host answers, by path; ``seen`` is what it was asked."""

    file = b""
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["host"]))
        with contextlib.suppress(OSError):
            getattr(self, "answer_" + self.path.partition("?")[0].strip("/"))()

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def answer_file(self) -> None:
        self.head(200, Content_Length=len(self.file), Content_Type="text/plain")
        self.wfile.write(self.file)

    def answer_until_closed(self) -> None:
        self.head(200)
        self.wfile.write(self.file)

    def answer_redirect(self) -> None:
        self.head(302, Location="https://127.0.0.1/file", Content_Length=0)

    def answer_missing(self) -> None:
        self.head(404, Content_Length=0)

    def answer_packed(self) -> None:
        self.head(200, Content_Length=len(self.file), Content_Encoding="gzip")
        self.wfile.write(self.file)

    def answer_too_little(self) -> None:
        self.head(200, Content_Length=len(self.file) + 100)
        self.wfile.write(self.file)

    def answer_too_much(self) -> None:
        self.head(200, Content_Length=len(self.file) - 10)
        self.wfile.write(self.file)

    def answer_announced(self) -> None:
        self.head(200, Content_Length=999_999_999)

    def answer_endless(self) -> None:
        self.head(200)
        while True:
            self.wfile.write(b"x" * 4096)

    def answer_slow(self) -> None:
        self.head(200, Content_Length=1000)
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.05)

    def answer_garbage(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class Rerouted(httpcore.AsyncNetworkBackend):
    """Takes every connection to the host on this machine, and notes where it was to go."""

    def __init__(self, port: int) -> None:
        self.went: list[tuple[str, int]] = []
        self._port = port
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.went.append((host, port))
        return await self._real.connect_tcp("127.0.0.1", self._port, timeout)


class Host:
    """The running host: its answers, the way to it, and who trusts it."""

    def __init__(self, port: int, answers: type[Answers], certificate: Path) -> None:
        self.answers = answers
        self.network = Rerouted(port)
        self.tls = ssl.create_default_context(cafile=str(certificate))
        self.names: list[str] = []
        self.addresses: list[list[str]] = []

    def resolve(self, host: str) -> list[str]:
        """A name server: the next answer of ``addresses``, or a public address."""
        self.names.append(host)
        return self.addresses.pop(0) if self.addresses else [PUBLIC]


@contextmanager
def media_host(folder: Path, file: bytes) -> Iterator[Host]:
    """Serve a file at ``/file``, and it or worse at other paths, while the block lasts."""
    answers = type("TheseAnswers", (Answers,), {"file": file, "seen": []})
    certificate = _certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, folder / "host-key.pem")
    with _Server(("127.0.0.1", 0), answers) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Host(server.server_port, answers, certificate)
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Those who go away early are what is tested."""


def _certificate(folder: Path) -> Path:
    """A certificate for the host that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "host-key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "host.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return folder / "host.pem"
