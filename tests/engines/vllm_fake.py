"""A small server that speaks vLLM's part of the OpenAI API over real sockets, with faults by switch."""

from __future__ import annotations

import base64
import json
import math
import random
import socket
import struct
import threading
import zlib
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llm_judge.engines.scripted import smallest
from llm_judge.engines.tokens import ChatFrame, ChatTokens, packaged_tokens

MODEL = "judge-1"


def made_up(ids: list[int], tokens: list[int]) -> dict[int, float]:
    """Log-probabilities that depend on the whole prompt and on nothing else."""
    draw = random.Random(repr(ids))
    shares = [draw.random() for _ in tokens]
    return {token: math.log(0.95 * s / sum(shares)) for token, s in zip(tokens, shares, strict=True)}


class FakeVllm:
    """What it answers, what is wrong with it, and what it was asked.

    Attributes:
        cards: what ``/v1/models`` lists.
        logprobs: prompt ids and asked token ids → log-probabilities.
        faults: one for each of the next completions; ``always`` for all others.
        key: that callers must send.
        refuses_token_ids, obeys_grammar: kinds of servers.
        most_pictures: in one prompt; 0 for a text model.
        blind, drops_pictures: takes pictures and does not see them, or leaves them out.
        asked: bodies of completions, in the order they came.
        most_in_flight, hung_up: at once; clients that left before an answer.
    """

    def __init__(self, tokens: ChatTokens | None = None) -> None:
        self.tokens = tokens or packaged_tokens()
        self.cards: list[dict[str, Any]] = [{"id": MODEL, "root": "/srv/judge", "max_model_len": 2048}]
        self.logprobs = made_up
        self.faults: deque[str | None] = deque()
        self.always: str | None = None
        self.key: str | None = None
        self.refuses_token_ids = False
        self.obeys_grammar = True
        self.most_pictures = 0
        self.blind = self.drops_pictures = False
        self.text: str | None = None
        self.finish_reason = "stop"
        self.slow_s = 0.0
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = self.hung_up = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @contextmanager
    def running(self, port: int = 0):
        """Serve until the block ends; yields the address."""
        server = _Server(("127.0.0.1", port), _Handler)
        server.fake = self
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.closing.set()
            server.stopped = True
            server.shutdown()
            server.server_close()
            thread.join()
            self.closing.clear()

    def next_fault(self) -> str | None:
        with self.lock:
            return self.faults.popleft() if self.faults else self.always

    def chat_answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A chat turn, answered as a completion of its texts and pictures and put into the other form."""
        parts = [part for message in body["messages"] for part in parts_of(message)]
        pngs = [picture_of(part) for part in parts if part["type"] == "image_url"]
        if len(pngs) > self.most_pictures:
            return 400, {"error": {"message": "too many", "type": "BadRequestError", "param": "image"}}
        texts = [part["text"] for part in parts if part["type"] == "text"]
        frame = ChatFrame.packaged()
        ids = self.tokens.encode_template(frame.head + frame.mid + frame.tail)
        ids += [token for text in texts for token in self.tokens.encode(text)]
        ids += [token for png in ([] if self.drops_pictures else pngs) for token in self.seen_as(png)]
        status, answer = self.answer({**body, "prompt": ids})
        if status != 200:
            return status, answer
        choice = answer["choices"][0]
        choice["message"] = {"role": "assistant", "content": choice.pop("text")}
        if "logprobs" in choice:
            top = [
                {"token": token, "logprob": value, "bytes": None}
                for token, value in choice["logprobs"]["top_logprobs"][0].items()
            ]
            choice["logprobs"] = {"content": [{"token": "x", "logprob": -0.1, "top_logprobs": top}]}
        return status, answer

    def seen_as(self, png: bytes) -> list[int]:
        """A token for each patch of 28 pixels; they tell pictures apart unless it is blind."""
        width, height = struct.unpack(">II", png[16:24])
        looks = 7 if self.blind else zlib.crc32(png)
        return [looks] * (max(1, width // 28) * max(1, height // 28))

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        prompt = body["prompt"]
        ids = self.tokens.encode(prompt) if isinstance(prompt, str) else prompt
        labels = body.get("logprob_token_ids")
        if labels is not None and self.refuses_token_ids:
            return 400, {"error": {"message": f"{prompt}", "type": "BadRequestError", "param": "extra"}}
        choice: dict[str, Any] = {"index": 0, "text": "yes", "finish_reason": "length"}
        if body.get("return_token_ids"):
            choice["prompt_token_ids"] = ids
        if "logprobs" in body:
            wanted = labels or [self.tokens.label_id(label) for label in ("yes", "no")]
            found = self.logprobs(ids, wanted)
            choice["logprobs"] = {"top_logprobs": [{f"token_id:{t}": p for t, p in found.items()}]}
        if "structured_outputs" in body:
            choice["finish_reason"] = self.finish_reason
            choice["text"] = json.dumps(smallest(body["structured_outputs"]["json"]))
            if not self.obeys_grammar:
                choice["text"] = "Hello there."
            if self.text is not None:
                choice["text"] = self.text
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        return 200, {"id": "x", "model": body["model"], "choices": [choice], "usage": usage}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    fake: FakeVllm
    stopped = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""

    def do_GET(self) -> None:
        fake = self.server.fake
        if self.path == "/version":
            return self.send(200, {"version": "0.32.0"})
        if self.path == "/v1/models" and self.allowed():
            return self.send(200, {"object": "list", "data": fake.cards})
        return None if self.path == "/v1/models" else self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.stopped:  # threads of kept connections outlive the server
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if not self.allowed():
            return
        with fake.lock:
            fake.asked.append(body)
            fake.headers.append(dict(self.headers))
            fake.in_flight += 1
            fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
        try:
            self.complete(fake, body)
        finally:
            with fake.lock:
                fake.in_flight -= 1

    def complete(self, fake: FakeVllm, body: dict[str, Any]) -> None:
        fault = fake.next_fault()
        fake.closing.wait(fake.slow_s)
        status, answer = fake.chat_answer(body) if "messages" in body else fake.answer(body)
        whole = json.dumps(answer).encode()
        if fault is None:
            self.send(status, answer)
        elif fault == "hang":
            self.hang(fake)
        elif fault == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault == "garbage":
            self.send_bytes(200, b"\x00\xff<html>" * 7)
        elif fault == "truncated json":
            self.send_bytes(200, whole[:-20])
        elif fault == "truncated body":
            self.send_bytes(200, whole, promised=len(whole) + 100)
            self.close_connection = True
        elif fault == "busy":
            self.send_bytes(503, b"{}", {"Retry-After": "0"})
        elif fault == "busy for long":
            self.send_bytes(503, b"{}", {"Retry-After": "30"})
        elif fault == "endless":
            self.send_bytes(200, b" " * (20 << 20))
        elif fault.isdigit():
            error = {"message": "secret words of the prompt", "type": "InternalServerError", "code": 500}
            self.send(int(fault), {"error": error})
        else:
            self.send(200, changed(answer, fault))

    def hang(self, fake: FakeVllm) -> None:
        """Answer nothing, and notice when the client leaves."""
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not fake.closing.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            return
        with fake.lock:
            fake.hung_up += 1

    def allowed(self) -> bool:
        key = self.server.fake.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.send(401, {"error": "Unauthorized"})
        return False

    def send(self, status: int, answer: Any) -> None:
        self.send_bytes(status, json.dumps(answer).encode())

    def send_bytes(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, promised: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data) if promised is None else promised))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def picture_of(part: dict[str, Any]) -> bytes:
    """The PNG of a part that holds nothing but data."""
    kind, _, data = part["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64" and part.keys() == {"type", "image_url"}
    return base64.b64decode(data, validate=True)


def changed(answer: dict[str, Any], how: str) -> dict[str, Any]:
    """The answer with one thing wrong."""
    choice = answer["choices"][0]
    top = (choice.get("logprobs") or {}).get("top_logprobs", [{}])[0]
    if how == "wrong schema":
        return {**answer, "choices": []}
    if how == "wrong model":
        return {**answer, "model": "another"}
    if how == "fewer tokens":
        return {**answer, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    if how == "no logprobs":
        choice["logprobs"] = None
    elif how == "a label missing":
        top.popitem()
    elif how in ("nan", "logits", "over one"):
        wrong = {"nan": math.nan, "logits": 17.5, "over one": -0.1}[how]
        top.update(dict.fromkeys(top, wrong))
    elif how == "never":
        top.update(dict.fromkeys(top, -9999.0))
    elif how == "text for number":
        top.update(dict.fromkeys(top, "-0.5"))
    else:
        raise AssertionError(how)
    return answer
