"""What a model that sees is shown: our own encoding, small enough, cited by segment."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from media_makers import encoded, gif, movie, picture
from PIL import Image

from llm_judge.content.content import Content, SegmentKind
from llm_judge.content.images import NOT_SEEN, from_image
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.content.video import from_video

SEEN = replace(DEFAULT_LIMITS, pictures_shown=3, shown_side=320)


def images_of(content: Content) -> list[Image.Image]:
    return [Image.open(io.BytesIO(shown.png)) for shown in content.pictures]


def frames_of(content: Content) -> list[int]:
    return [segment.id for segment in content.segments if segment.kind is SegmentKind.FRAME]


def check_numbers(content: Content) -> None:
    assert [segment.id for segment in content.segments] == list(range(1, len(content.segments) + 1))
    assert [shown.segment for shown in content.pictures] == frames_of(content)


def test_nothing_is_kept_for_a_model_that_reads() -> None:
    content = from_image(encoded(picture("Hello there")))
    assert content.pictures == () and NOT_SEEN in content.coverage.notes and frames_of(content) == []


def test_a_picture_is_upright_small_and_bare() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned a quarter clockwise
    exif[0x010E] = "a secret place"
    data = encoded(picture("Hello there", size=(800, 400)), "JPEG", exif=exif)
    content = from_image(data, limits=SEEN)
    (shown,) = images_of(content)
    assert (shown.format, shown.mode, shown.size, shown.info) == ("PNG", "RGB", (160, 320), {})
    assert b"secret" not in content.pictures[0].png
    assert content.segments[0].text == "picture 400x800"
    assert "pixels" in content.coverage.senses and NOT_SEEN not in content.coverage.notes
    check_numbers(content)


def test_transparent_parts_are_shown_on_white_and_on_black() -> None:
    content = from_image(encoded(picture("Hidden", ground=(255, 255, 255, 0), ink="white")), limits=SEEN)
    corners = [shown.getpixel((0, 0)) for shown in images_of(content)]
    assert corners == [(255, 255, 255), (0, 0, 0)]
    assert [s.text.partition(", its ")[2] for s in content.segments[:2]] == [
        "transparent parts on white",
        "transparent parts on black",
    ]
    check_numbers(content)


def test_frames_of_a_moving_picture_are_spread_and_timed() -> None:
    frames = [picture(ground=(shade, 0, 0)) for shade in range(0, 250, 25)]
    content = from_image(gif(frames), limits=SEEN)
    shown = [segment for segment in content.segments if segment.kind is SegmentKind.FRAME]
    assert len(shown) == 3 and shown[0].frame == 0 and shown[0].start_s == 0.0
    assert [segment.text for segment in shown] == [f"frame at {segment.start_s:.1f} s" for segment in shown]
    assert "the model was shown 3 of the 8 pictures looked at" in content.coverage.notes
    check_numbers(content)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    scenes = [*[picture("First scene")] * 10, *[picture("Second part", ground="navy", ink="white")] * 10]
    path: Path = tmp_path_factory.mktemp("shown") / "silent.mp4"
    return movie(path, [*scenes, *[picture(ground="red")] * 10], movflags="faststart")


def test_frames_of_a_video_stand_before_what_is_read_in_them(silent: bytes) -> None:
    content = from_video(silent, limits=SEEN)
    kinds = [(segment.kind, segment.start_s) for segment in content.segments]
    assert kinds[:2] == [(SegmentKind.FRAME, 0.0), (SegmentKind.OCR, 0.0)]
    assert frames_of(content)[0] == 1 and len(content.pictures) == 3
    red, _, blue = images_of(content)[-1].getpixel((1, 1))
    assert red > 200 and blue < 60
    starts = [segment.start_s or 0.0 for segment in content.segments]
    assert starts == sorted(starts) and "pixels" in content.coverage.senses
    check_numbers(content)
