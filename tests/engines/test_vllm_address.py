"""What may follow `vllm:` in an engine's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_judge.engines.open import open_engine
from llm_judge.engines.vllm.address import VllmAddress, parse_address
from llm_judge.errors import UsageError


def test_a_model_and_its_servers() -> None:
    assert parse_address(
        "org/judge@1@https://a.example/v1/,http://[::1]:8001,https://a.example"
    ) == VllmAddress("org/judge@1", ("https://a.example", "http://[::1]:8001"))


def test_options(tmp_path: Path) -> None:
    options = f"tokenizer={tmp_path}&digest={'a' * 64}&concurrency=4&deadline=2.5&wait=30&pictures=no"
    found = parse_address(f"m@http://h:1?{options}")
    assert (found.tokenizer, found.digest, found.adapter_digest) == (tmp_path, "a" * 64, None)
    assert (found.concurrency, found.deadline_s, found.wait_s, found.pictures) == (4, 2.5, 30.0, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m", "names no model and server"),
        ("@http://h", "names no model and server"),
        ("m@ftp://h", "names no model and server"),
        ("m@http://", "no address of a server"),
        ("m@http://h,ftp://h", "no address of a server"),
        ("m@http://h:99999", "is no URL"),
        ("m@http://h?tokeniser=x", "unknown option `tokeniser`"),
        ("m@http://h?tokenizer=/no/such/folder", "is no folder"),
        ("m@http://h?digest=abc", "is no SHA-256"),
        ("m@http://h?concurrency=0", "from 1 to 4096"),
        ("m@http://h?concurrency=²", "from 1 to 4096"),
        ("m@http://h?deadline=0", "number of seconds"),
        ("m@http://h?wait=nan", "number of seconds"),
        ("m@http://h?pictures=yes", "from 1 to 4096"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_engine(f"vllm:{text}")


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="carries a name or password") as caught:
        parse_address("m@http://judge:hunter2@h:8000")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
