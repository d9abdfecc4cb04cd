"""``llm-judge serve`` as a process: it starts checked, logs no content, and stops without losing anything."""

from __future__ import annotations

import json
import logging
import signal
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import FIRES, address_in, start

from llm_judge.service.exchange import JsonLines

Started = tuple[subprocess.Popen[bytes], str, Path]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    process, log = start(tmp_path)
    try:
        yield process, address_in(log, process), log
    finally:
        process.kill()
        process.wait()


def test_it_answers_logs_no_content_and_stops_with_zero(started: Started) -> None:
    process, url, log = started
    answer = httpx.post(
        f"{url}/v1/judge?secret=query",
        json={"text": FIRES, "id": "secret-id"},
        headers={"X-Request-ID": "mine-1"},
    )
    assert answer.json()["action"] == "remove" and answer.headers["X-Request-ID"] == "mine-1"
    httpx.get(f"{url}/secret/path%0Afake")
    httpx.post(f"{url}/v1/judge", content=b'{"text": "secret', headers={"Content-Type": "application/json"})
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    text = log.read_text()
    for word in ("secret", "prize", "Traceback", "fake"):
        assert word not in text.replace(url, "").replace("to claim your prize", "")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("request_id") == "mine-1"]
    assert [(line["route"], line["status"], line["code"]) for line in asked] == [("/v1/judge", 200, "ok")]


def test_a_second_ctrl_c_stops_at_once_without_a_traceback(started: Started) -> None:
    process, _, log = started
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    process.wait(20)
    assert "Traceback" not in log.read_text()


def test_a_traceback_of_the_server_is_told_by_its_kind_alone() -> None:
    said = "Traceback (most recent call last):\n  File x\nKeyError: 'secret'\n"
    line = json.loads(JsonLines().format(logging.makeLogRecord({"msg": said, "levelname": "ERROR"})))
    assert (line["event"], line["error"]) == ("server stopped an exchange", "KeyError")
    assert "secret" not in json.dumps(line)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "without an API key"),  # noqa: S104
        (["--tls-cert", "c.pem"], "go together"),
        (["--tls-cert", "c.pem", "--tls-key", "k.pem"], "TLS files"),
        (["--engine", "nothing"], "unknown engine"),
        (["--log-level", "loud"], "--log-level"),
        (["--canary", "none.jsonl"], "canaries"),
        (["--host", "192.0.2.1", "--no-auth"], "cannot listen"),
        (["--store-content"], "--store-content needs --store"),
        (["--store", "none/records.sqlite3"], "record store"),
        (["--store", "mysql://db/x"], "record store"),
    ],
)
def test_it_refuses_to_start_with_one_line_and_its_fix(tmp_path: Path, words: list[str], told: str) -> None:
    process, log = start(tmp_path, *words)
    assert process.wait(60) == 2
    text = log.read_text()
    assert told in text and "Traceback" not in text


def test_it_refuses_to_start_when_a_canary_comes_out_wrong(tmp_path: Path) -> None:
    (tmp_path / "canary.jsonl").write_text(json.dumps({"text": FIRES, "action": "allow"}))
    process, log = start(tmp_path, "--canary", "canary.jsonl")
    assert process.wait(60) == 2
    assert "a canary came out as remove" in log.read_text()


def test_it_answers_over_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    process, log = start(tmp_path, "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    try:
        url = address_in(log, process)
        assert url.startswith("https://")
        with httpx.Client(verify=ssl.create_default_context(cafile=str(certificate))) as client:
            assert client.post(f"{url}/v1/judge", json={"text": FIRES}).json()["action"] == "remove"
    finally:
        process.terminate()
        assert process.wait(20) == 0


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "judge")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem"
