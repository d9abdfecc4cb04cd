"""Pictures on their way to a served model: shown as data, between content and question, and really seen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from engine_requests import TEMPLATE, request
from vllm_fake import MODEL, FakeVllm, parts_of, picture_of

from llm_judge.content.content import Picture
from llm_judge.engines.open import open_engine
from llm_judge.engines.protocol import GenerateRequest, ReadRequest, Vision, limits_for
from llm_judge.engines.tokens import packaged_definition
from llm_judge.engines.vllm.pictures import plain_png
from llm_judge.engines.vllm.vision import MOST_PICTURES
from llm_judge.errors import EngineError
from llm_judge.prompt import Prompt

RED, BLUE = plain_png(56, 200, 0, 0), plain_png(56, 0, 0, 200)
QUESTION = request(questions=1).questions[0]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "tokenizer.json").write_text(packaged_definition(), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', "utf-8")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}), "utf-8")
    return folder


@pytest.fixture
def fake() -> FakeVllm:
    fake = FakeVllm()
    fake.cards[0]["max_model_len"] = 8192
    fake.most_pictures = MOST_PICTURES
    return fake


@pytest.fixture
def start(fake: FakeVllm, chat: Path) -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack:

        def engine(**options: Any) -> Any:
            told = "&".join(f"{name}={value}" for name, value in {"tokenizer": chat, **options}.items())
            opened = open_engine(f"vllm:{MODEL}@{stack.enter_context(fake.running())}?{told}")
            stack.callback(opened.close)
            fake.asked.clear()
            return opened

        yield engine


def prompt_with(*pngs: bytes, body: str = "image ab12\n[4] shown: picture\nab12") -> Prompt:
    return Prompt("Rules.", body, tuple(Picture(n, png) for n, png in enumerate(pngs, start=4)))


def test_the_square_is_a_png_of_its_colour() -> None:
    image = pytest.importorskip("PIL.Image")
    with image.open(io.BytesIO(RED)) as opened:
        assert (opened.format, opened.size, opened.convert("RGB").getcolors()) == (
            "PNG",
            (56, 56),
            [(56 * 56, (200, 0, 0))],
        )


def test_what_a_model_takes_is_found_by_asking(start: Any) -> None:
    engine = start()
    assert engine.vision == Vision(MOST_PICTURES, 640, (640 // 28) ** 2 + 3)
    limits = limits_for(engine)
    assert (limits.pictures_shown, limits.shown_side) == (MOST_PICTURES, 640)


def test_pictures_stand_between_content_and_question_with_their_segment(start: Any, fake: FakeVllm) -> None:
    start().read([ReadRequest(prompt_with(RED, BLUE), (QUESTION,))])
    system, user = fake.asked[0]["messages"]
    assert (system["role"], system["content"]) == ("system", "Rules.")
    parts = parts_of(user)
    texts = [part.get("text") for part in parts]
    body = prompt_with().body
    assert texts == [body, "[4]", None, "[5]", None, f"\n\n{QUESTION.text}"]
    assert [picture_of(parts[2]), picture_of(parts[4])] == [RED, BLUE]
    assert fake.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_other_pictures_give_other_readings(start: Any) -> None:
    asked = [ReadRequest(prompt_with(png), (QUESTION,)) for png in (RED, BLUE, RED)]
    red, blue, again = (row[0] for row in start().read(asked))
    assert red == again and red != blue and red.label_mass == pytest.approx(0.95)


def test_an_explanation_sees_them_too(start: Any, fake: FakeVllm) -> None:
    schema = {"type": "object", "properties": {"evidence": {"enum": [4]}}, "required": ["evidence"]}
    done = start().generate([GenerateRequest(prompt_with(RED), "Explain.", schema, 20)])
    assert json.loads(done[0].text) == {"evidence": 4}
    assert fake.asked[0]["structured_outputs"]["json"] == schema and "logprobs" not in fake.asked[0]


def test_a_text_goes_as_token_ids_all_the_same(start: Any, fake: FakeVllm) -> None:
    start().read([request(questions=1)])
    assert "messages" not in fake.asked[0]


def test_a_text_model_takes_none(start: Any, fake: FakeVllm) -> None:
    fake.most_pictures = 0
    engine = start()
    assert engine.vision is None and limits_for(engine).pictures_shown == 0
    with pytest.raises(EngineError, match="1 pictures in one prompt, and the model takes 0"):
        engine.read([ReadRequest(prompt_with(RED), (QUESTION,))])
    with pytest.raises(EngineError, match="takes no pictures for `judge-1`"):
        start(pictures=2)


def test_none_are_shown_where_none_are_wanted(start: Any, fake: FakeVllm) -> None:
    assert start(pictures="no").vision is None


def test_a_model_that_does_not_see_is_refused(start: Any, fake: FakeVllm) -> None:
    fake.blind = True
    with pytest.raises(EngineError, match="does not see them: red and blue read alike"):
        start()


def test_fewer_pictures_than_wanted_is_said(start: Any, fake: FakeVllm) -> None:
    fake.most_pictures = 3
    with pytest.raises(EngineError, match="does not take 8 pictures in one prompt"):
        start()
    assert start(pictures=3).vision.most == 3


def test_pictures_that_are_left_out_are_an_error(start: Any, fake: FakeVllm) -> None:
    engine = start()
    fake.drops_pictures = True
    with pytest.raises(EngineError, match="left pictures out of the prompt"):
        engine.read([ReadRequest(prompt_with(RED), (QUESTION,))])


def test_too_many_and_too_long_are_refused_before_anything_is_sent(start: Any, fake: FakeVllm) -> None:
    engine = start()
    with pytest.raises(EngineError, match="9 pictures in one prompt, and the model takes 8"):
        engine.read([ReadRequest(prompt_with(*[RED] * 9), (QUESTION,))])
    long = prompt_with(*[RED] * 8, body="word " * 4400)
    with pytest.raises(EngineError, match="tokens over the 8192"):
        engine.read([ReadRequest(long, (QUESTION,))])
    assert fake.asked == []


def test_a_control_token_is_never_sent_beside_a_picture(start: Any, fake: FakeVllm) -> None:
    engine = start()
    with pytest.raises(EngineError, match="spells a control token"):
        engine.read([ReadRequest(prompt_with(RED, body="[4] <|im_end|>"), (QUESTION,))])
    assert fake.asked == []
