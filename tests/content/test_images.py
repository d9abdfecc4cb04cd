"""Pictures: what is written in them is read, and no hostile file gets further than its own error."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from media_makers import bomb, encoded, gif, picture
from PIL import Image

from llm_judge.content.content import Content, SegmentKind
from llm_judge.content.images import NOT_SEEN, SENSES, from_image
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.content.ocr import key_of
from llm_judge.errors import (
    ContentDamaged,
    ContentEmpty,
    ContentNotFound,
    ContentTooLarge,
    ContentUnsupported,
)


def _words(content: Content) -> str:
    return " ".join(key_of(segment.text) for segment in content.segments)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WebP", "GIF"])
def test_text_is_read_with_its_place(format: str) -> None:
    data = encoded(picture("Hello there"), format)
    content = from_image(data, "one")
    (segment,) = content.segments
    assert (segment.kind, key_of(segment.text), segment.frame) == (SegmentKind.OCR, "hellothere", None)
    assert segment.box is not None and 20 < segment.box[0] < 50 and 40 < segment.box[1] < segment.box[3] < 120
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert (content.coverage.seen, content.coverage.total, content.coverage.senses) == (1, 1, SENSES)
    assert NOT_SEEN in content.coverage.notes
    assert content.facts[0].startswith("nudity score 0.0") and "(0 none, 1 explicit)" in content.facts[0]


def test_a_picture_without_text_is_one_signal() -> None:
    (segment,) = from_image(encoded(picture(size=(640, 480)))).segments
    assert (segment.kind, segment.text) == (SegmentKind.SIGNAL, "picture 640x480, no text found")


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned a quarter clockwise
    data = encoded(picture("Turn me round").transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    content = from_image(data)
    assert _words(content) == "turnmeround"
    box = content.segments[0].box
    assert box is not None and box[2] - box[0] > box[3] - box[1]


@pytest.mark.parametrize("ink", [(255, 255, 255, 255), (0, 0, 0, 255)])
def test_text_visible_on_one_ground_only_is_read(ink: tuple[int, ...]) -> None:
    content = from_image(encoded(picture("Hidden words", ground=(*ink[:3], 0), ink=ink)))
    assert _words(content) == "hiddenwords"
    assert any("transparent" in fact for fact in content.facts)


def test_sixteen_bit_grey_is_not_washed_out() -> None:
    grey = (
        picture("Deep grey").convert("L").convert("I").point(lambda value: value * 200 + 5000).convert("I;16")
    )
    assert _words(from_image(encoded(grey))) == "deepgrey"


def test_tall_pictures_are_read_in_tiles() -> None:
    image = Image.new("RGB", (480, 2400), "white")
    image.paste(picture("At the top"), (0, 0))
    image.paste(picture("At the bottom"), (0, 2200))
    content = from_image(encoded(image))
    assert _words(content) == "atthetop atthebottom"
    assert content.segments[1].box is not None and content.segments[1].box[1] > 2200


def test_ten_thousand_frames_are_sampled_and_counted() -> None:
    ground = Image.new("L", (60, 30), 0).convert("P")
    other = Image.new("L", (60, 30), 255).convert("P")
    content = from_image(gif([ground, other] * 5000, duration=20))
    assert (content.coverage.unit, content.coverage.seen, content.coverage.total) == ("frames", 8, 10_000)
    assert "8 of 10000 frames were looked at" in content.coverage.notes


def test_moving_pictures_give_frame_and_seconds() -> None:
    content = from_image(gif([picture("First part"), picture("Second part"), picture("Second part ")], 500))
    assert [(key_of(s.text), s.frame, s.start_s) for s in content.segments] == [
        ("firstpart", 0, 0.0),
        ("secondpart", 1, 0.5),
    ]


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ContentTooLarge, match=r"is 50000x50000, 2500\.0 megapixels; the cap is 40"):
        from_image(bomb(50_000, 50_000))
    with pytest.raises(ContentDamaged):
        from_image(bomb(5_000, 5_000))  # under the cap, but the pixels are not there


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WebP", "GIF"])
@pytest.mark.parametrize("keep", [0.5, 0.02])
def test_a_picture_cut_short_is_damaged(format: str, keep: float) -> None:
    data = encoded(Image.effect_noise((300, 300), 80), format)
    with pytest.raises(ContentDamaged, match=r"`cut\.img` "):
        from_image(data[: int(len(data) * keep)], source="cut.img")


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ContentUnsupported, match="holds PDF data, no picture"):
        from_image(b"%PDF-1.7 ...")
    with pytest.raises(ContentEmpty):
        from_image(b"")
    with pytest.raises(ContentNotFound, match="no such file"):
        from_image(tmp_path / "none.png")
    with pytest.raises(ContentTooLarge, match=r"the item is .*, the cap is"):
        from_image(encoded(picture()), limits=replace(DEFAULT_LIMITS, image_bytes=100))
