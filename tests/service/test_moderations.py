"""``/v1/moderations``, called by the unmodified client of OpenAI."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from serving import FAILS_ON, FIRES_ON, UNSURE_ON

from llm_judge.service.moderation import CATEGORIES, ModerationReply


@pytest.fixture(scope="module")
def ai(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_text_is_flagged_in_its_categories(ai: openai.OpenAI) -> None:
    reply = ai.moderations.create(input=FIRES_ON, model="omni-moderation-latest")
    (result,) = reply.results
    assert result.flagged and result.categories.hate and not result.categories.sexual
    assert result.category_scores.hate == pytest.approx(0.95)
    assert result.category_applied_input_types.hate == ["text"]
    assert reply.id.startswith("modr-") and reply.model.startswith("llm-judge/")


def test_every_category_of_the_shape_is_there(ai: openai.OpenAI) -> None:
    (result,) = ai.moderations.create(input="Water it.").results
    for part in (result.categories, result.category_scores, result.category_applied_input_types):
        assert set(part.to_dict()) == set(CATEGORIES)
    assert not result.flagged


def test_texts_have_a_result_each_and_parts_have_one_together(ai: openai.OpenAI) -> None:
    texts = ai.moderations.create(input=["Water it.", FIRES_ON, "Feed it."]).results
    assert [result.flagged for result in texts] == [False, True, False]
    parts: Any = [{"type": "text", "text": text} for text in ("Water it.", FIRES_ON)]
    (result,) = ai.moderations.create(input=parts).results
    assert result.flagged and len(result.model_extra["llm_judge"]["decision_ids"]) == 2  # type: ignore[index]


def test_our_policies_are_categories_of_their_own(ai: openai.OpenAI) -> None:
    (result,) = ai.moderations.create(input=FIRES_ON).results
    ours = result.model_extra["llm_judge"]  # type: ignore[index]
    assert ours["action"] == "remove"
    assert ours["policies"]["garden/plants"]["flagged"] and not ours["policies"]["market/sales"]["flagged"]


def test_what_could_not_be_told_is_flagged(ai: openai.OpenAI) -> None:
    (result,) = ai.moderations.create(input=UNSURE_ON).results
    assert result.flagged and not any(result.categories.to_dict().values())
    assert result.model_extra["llm_judge"]["undecided"]  # type: ignore[index]
    assert result.model_extra["llm_judge"]["fail_mode"]["determined"]  # type: ignore[index]


def test_the_extra_field_chooses_policies(ai: openai.OpenAI) -> None:
    options = {"llm_judge": {"policies": ["market/sales"]}}
    (result,) = ai.moderations.create(input=FIRES_ON, extra_body=options).results
    assert not result.flagged and result.category_applied_input_types.hate == []


def test_a_picture_is_judged_by_what_it_shows(ai: openai.OpenAI) -> None:
    pytest.importorskip("rapidocr")
    import io

    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (600, 120), "white")
    ImageDraw.Draw(picture).text((20, 30), "drown", fill="black", font=ImageFont.load_default(48))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    parts: Any = [{"type": "text", "text": "Water it."}, {"type": "image_url", "image_url": {"url": url}}]
    (result,) = ai.moderations.create(input=parts).results
    assert result.flagged and result.category_applied_input_types.hate == ["image", "text"]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("https://example.com/a.png", "media_url_refused"),
        ("http://169.254.169.254/latest/meta-data", "media_url_refused"),
        ("file:///etc/passwd", "media_url_refused"),
        ("data:image/png,plain", "bad_request"),
        ("data:image/png;base64,!!", "bad_request"),
        ("data:image/png;base64,iVBORw0KGgo=", "content_damaged"),
    ],
)
def test_a_picture_that_is_no_data_is_an_error_that_the_client_understands(
    ai: openai.OpenAI, part: str, code: str
) -> None:
    parts: Any = [{"type": "image_url", "image_url": {"url": part}}]
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ai.moderations.create(input=parts)
    assert caught.value.code == code


def test_one_input_without_a_decision_is_an_error_for_all(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ai.moderations.create(input=["Water it.", FAILS_ON])
    assert caught.value.code == "engine_failed" and "input[1]" in caught.value.message


@pytest.mark.parametrize("wrong", [[], 7, [7], [{"type": "video"}], None, [["a"]]])
def test_other_inputs_are_refused(client: httpx.Client, wrong: Any) -> None:
    answer = client.post("/v1/moderations", json={"input": wrong})
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "bad_request"


def test_the_reply_has_the_documented_shape(client: httpx.Client) -> None:
    ModerationReply.model_validate_json(client.post("/v1/moderations", json={"input": UNSURE_ON}).content)
