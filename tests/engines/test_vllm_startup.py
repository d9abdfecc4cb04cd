"""What a server must show before it may answer, and what a record says of it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from engine_requests import TEMPLATE, request
from vllm_fake import MODEL, FakeVllm, made_up

from llm_judge.engines.open import open_engine
from llm_judge.engines.protocol import EngineInfo
from llm_judge.engines.tokens import ChatTokens, packaged_definition
from llm_judge.errors import EngineError, EngineUnavailable, UsageError

ADAPTER = {"id": "hate-2", "root": "/srv/adapters/hate-2", "parent": MODEL, "max_model_len": None}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder without weights, its template inside tokenizer_config.json."""
    folder = tmp_path_factory.mktemp("chat")
    (folder / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    settings = {"eos_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def opened(*fakes: FakeVllm, chat: Path | None, model: str = MODEL, more: str = "") -> EngineInfo:
    """Open an engine, read once, and return what it is."""
    servers = [fake.running() for fake in fakes]
    urls = ",".join(server.__enter__() for server in servers)
    options = (f"tokenizer={chat}" if chat else "") + more
    try:
        engine = open_engine(f"vllm:{model}@{urls}?{options}")
        try:
            assert len(engine.read([request(questions=2)])[0]) == 2
            return engine.info
        finally:
            engine.close()
    finally:
        for server in servers:
            server.__exit__(None, None, None)


def refused(*fakes: FakeVllm, chat: Path | None, model: str = MODEL, more: str = "") -> str:
    with pytest.raises(EngineError) as caught:
        opened(*fakes, chat=chat, model=model, more=more)
    assert "\n" not in caught.value.message
    return f"{caught.value.message}; {caught.value.hint}"


def test_a_record_says_what_is_known_and_no_more(chat: Path) -> None:
    info = opened(FakeVllm(), chat=chat)
    assert (info.engine, info.model, info.adapter_digest) == ("vllm", MODEL, None)
    assert (info.dtype, info.context_tokens) == ("unknown", 2048)
    assert info.model_digest.startswith("served:")
    vouched = opened(FakeVllm(), chat=chat, more=f"&digest={'c' * 64}")
    assert vouched.model_digest == "c" * 64


def test_no_proxy_of_the_environment_sees_content(chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert opened(FakeVllm(), chat=chat).model == MODEL


def test_another_root_is_another_model(chat: Path) -> None:
    moved = FakeVllm()
    moved.cards[0]["root"] = "/srv/judge-new"
    assert opened(moved, chat=chat).model_digest != opened(FakeVllm(), chat=chat).model_digest


def test_a_model_that_is_not_served_is_named_with_those_that_are(chat: Path) -> None:
    assert "does not serve `gpt`; it serves `judge-1`" in refused(FakeVllm(), chat=chat, model="gpt")


def test_another_tokenizer_is_refused(chat: Path) -> None:
    definition = json.loads(packaged_definition())
    definition["pre_tokenizer"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "use_regex": True,
        "trim_offsets": True,
    }
    fake = FakeVllm(ChatTokens(json.dumps(definition), "<|im_end|>"))
    assert "has another tokenizer" in refused(fake, chat=chat)


def test_a_server_without_a_grammar_is_refused(chat: Path) -> None:
    fake = FakeVllm()
    fake.obeys_grammar = False
    assert "does not hold answers to a response schema; serve with --structured" in refused(fake, chat=chat)


def test_a_server_that_refuses_token_ids_is_read_by_its_likeliest_tokens(chat: Path) -> None:
    fake = FakeVllm()
    fake.refuses_token_ids = True
    assert opened(fake, chat=chat).engine == "vllm top-20"
    assert fake.asked[-1]["logprobs"] == 20 and "logprob_token_ids" not in fake.asked[-1]


def test_a_server_that_gives_no_label_at_all_is_refused(chat: Path) -> None:
    fake = FakeVllm()
    fake.logprobs = lambda ids, tokens: {17: -0.1}
    assert "gave no probability of the label `yes`" in refused(fake, chat=chat)


def with_adapter(effect: float) -> FakeVllm:
    """A server with an adapter that moves log-probabilities by so much."""
    fake = FakeVllm()
    fake.cards.append(ADAPTER)
    plain = fake.answer

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        moved = effect if body["model"] == "hate-2" else 0.0
        fake.logprobs = lambda ids, tokens: {t: p - moved for t, p in made_up(ids, tokens).items()}
        return plain(body)

    fake.answer = answer  # type: ignore[method-assign]
    return fake


def test_a_live_adapter_answers_under_its_own_name(chat: Path) -> None:
    info = opened(with_adapter(0.3), chat=chat, model="hate-2")
    assert info.model == "hate-2" and str(info.adapter_digest).startswith("served:")
    assert info.context_tokens == 2048


@pytest.mark.parametrize("effect", [0.0, 0.005])
def test_a_dead_adapter_is_refused(chat: Path, effect: float) -> None:
    assert "changes nothing: it answers as its base does" in refused(
        with_adapter(effect), chat=chat, model="hate-2"
    )


def test_an_adapter_without_its_base_is_refused(chat: Path) -> None:
    fake = with_adapter(0.3)
    del fake.cards[0]
    assert "without its base" in refused(fake, chat=chat, model="hate-2")


def test_an_unknown_context_is_refused(chat: Path) -> None:
    fake = FakeVllm()
    del fake.cards[0]["max_model_len"]
    assert "does not say how long a context" in refused(fake, chat=chat)


def test_servers_with_weights_from_different_places_are_refused_unless_vouched_for(chat: Path) -> None:
    other = FakeVllm()
    other.cards[0] |= {"root": "/srv/other", "max_model_len": 1024}
    assert "from different places" in refused(FakeVllm(), other, chat=chat)
    vouched = opened(FakeVllm(), other, chat=chat, more=f"&digest={'c' * 64}")
    assert vouched.context_tokens == 1024


def test_every_server_is_checked(chat: Path) -> None:
    other = FakeVllm()
    other.obeys_grammar = False
    assert "does not hold answers" in refused(FakeVllm(), other, chat=chat)


def test_the_tokenizer_is_found_where_a_server_on_this_machine_has_its_model(chat: Path) -> None:
    fake = FakeVllm()
    fake.cards[0]["root"] = str(chat)
    assert opened(fake, chat=None).model == MODEL
    fake.cards[0]["root"] = "/no/such/model"
    with pytest.raises(UsageError, match="tokenizer"):
        opened(fake, chat=None)


def test_a_folder_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', "utf-8")
    assert "no readable tokenizer_config.json and chat_template.jinja" in refused(FakeVllm(), chat=tmp_path)


def test_a_server_that_starts_late_is_waited_for(chat: Path) -> None:
    with FakeVllm().running() as url:
        port = int(url.rpartition(":")[2])
    spec = f"vllm:{MODEL}@{url}?tokenizer={chat}"
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        open_engine(spec)
    ready = threading.Event()

    def late() -> None:
        time.sleep(0.6)
        with FakeVllm().running(port):
            ready.wait(60)

    thread = threading.Thread(target=late)
    thread.start()
    try:
        open_engine(f"{spec}&wait=60").close()
    finally:
        ready.set()
        thread.join()


def test_garbage_from_the_first_answer_on_is_one_line(chat: Path) -> None:
    fake = FakeVllm()
    fake.always = "garbage"
    assert "are no JSON; point the engine at a vLLM server" in refused(fake, chat=chat)
