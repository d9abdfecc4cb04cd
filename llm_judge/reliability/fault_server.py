"""A server that speaks vLLM's part of the OpenAI API about known contents, and can be told to go wrong.

    python -m llm_judge.reliability.fault_server PORT FOLDER [--late SECONDS] [--delay-ms MS]

What is wrong with it stands in the file ``mode`` in FOLDER and is read at every completion; no file, or
``good``, is nothing. It answers what ``known`` says, so a judge behind it must come to known decisions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from llm_judge.engines.scripted import smallest
from llm_judge.engines.tokens import packaged_definition, packaged_tokens
from llm_judge.reliability.known import probabilities

MODEL = "known"
_CONTEXT = 4096
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QUESTION_CHARACTERS = 200  # the question ends the prompt
_RULES = {"Hidden fee": "rule:demo/sales#MS1", "False discount": "rule:demo/sales#MS2"}
_KILLED = 137  # how a shell sees SIGKILL, which is how Linux ends who takes too much memory
_LONG_S = 3600.0
MODES = ("good", "500", "garbage", "truncated", "wrong-schema", "hang", "drop", "out-of-memory")


def write_tokenizer(folder: Path) -> Path:
    """Write what a client needs of the model: its tokenizer and chat template."""
    chat = folder / "tokenizer"
    chat.mkdir()
    (chat / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    settings = {"eos_token": "<|im_end|>", "bos_token": None}
    (chat / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (chat / "chat_template.jinja").write_text(_TEMPLATE, "utf-8")
    return chat


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(packaged_definition())


def answer_to(body: dict[str, Any]) -> dict[str, Any]:
    """Return the completion that a sound server gives."""
    prompt = body["prompt"]
    ids = packaged_tokens().encode(prompt) if isinstance(prompt, str) else prompt
    choice: dict[str, Any] = {"index": 0, "text": "yes", "finish_reason": "length"}
    if body.get("return_token_ids"):
        choice["prompt_token_ids"] = ids
    if "logprobs" in body:
        choice["logprobs"] = {"top_logprobs": [_logprobs(ids, body.get("logprob_token_ids", []))]}
    if "structured_outputs" in body:
        choice["text"] = json.dumps(smallest(body["structured_outputs"]["json"]), separators=(",", ":"))
        choice["finish_reason"] = "stop"
    usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
    return {"id": "x", "model": body["model"], "choices": [choice], "usage": usage}


def _logprobs(ids: list[int], labels: list[int]) -> dict[str, float]:
    text = str(_tokenizer().decode(ids, skip_special_tokens=False))
    asked = text[-_QUESTION_CHARACTERS:]
    question = next((id for title, id in _RULES.items() if title in asked), "area:demo/sales")
    shares = probabilities(question, text)
    words = {label: str(_tokenizer().decode([label])).strip() for label in labels}
    return {f"token_id:{label}": math.log(shares.get(word, 1e-9)) for label, word in words.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    delay_s: float

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer what vLLM tells of itself."""
        if self.path == "/version":
            self._send({"version": "0.32.0"})
        elif self.path == "/v1/models":
            card = {"id": MODEL, "root": "/known", "max_model_len": _CONTEXT}
            self._send({"object": "list", "data": [card]})
        else:
            self._send({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        """Answer a completion, or go wrong."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.delay_s)
        file = self.folder / "mode"
        mode = file.read_text("utf-8") if file.exists() else "good"
        whole = json.dumps(answer_to(body)).encode()
        if mode == "500":
            self._send({"error": {"message": "broken", "type": "InternalServerError", "code": 500}}, 500)
        elif mode == "garbage":
            self._send_bytes(b"\x00\xff<html>" * 9)
        elif mode == "truncated":
            self._send_bytes(whole[:-20])
        elif mode == "wrong-schema":
            self._send({"choices": [{"label": "allow"}], "model": MODEL})
        elif mode == "hang":
            time.sleep(_LONG_S)
        elif mode == "drop":
            self.close_connection = True
        elif mode == "out-of-memory":
            self._send_bytes(whole[: len(whole) // 2], promised=len(whole))
            self.wfile.flush()
            os._exit(_KILLED)
        else:
            self._send_bytes(whole)

    def _send(self, data: Any, status: int = 200) -> None:
        self._send_bytes(json.dumps(data).encode(), status)

    def _send_bytes(self, data: bytes, status: int = 200, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data) if promised is None else promised))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is nothing to talk about."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--late", type=float, default=0.0, help="seconds before it listens")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of every completion")
    options = parser.parse_args()
    time.sleep(options.late)
    handler = type("Handler", (_Handler,), {"folder": options.folder, "delay_s": options.delay_ms / 1000})
    _Server(("127.0.0.1", options.port), handler).serve_forever()


if __name__ == "__main__":
    main()
