"""Video: frames with text are found, lines folded over time, speech heard, damage noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from media_makers import encoded, movie, picture, samples_of

from llm_judge.content.content import Modality, SegmentKind
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.content.ocr import key_of
from llm_judge.content.video import from_video
from llm_judge.errors import ContentDamaged, ContentTooLarge, ContentUnsupported

SCENES = [
    *[picture("First scene")] * 20,
    *[picture("Second part", ground="navy", ink="white")] * 20,
    *[picture()] * 10,
    picture("One flash"),
    *[picture()] * 9,
]


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return movie(tmp_path_factory.mktemp("video") / "silent.mp4", SCENES, movflags="faststart")


def test_each_text_is_found_once_with_its_time(silent: bytes) -> None:
    content = from_video(silent, source="clip.mp4")
    found = {key_of(segment.text): segment for segment in content.segments}
    assert list(found) == ["firstscene", "secondpart", "oneflash"]
    first, second, flash = found.values()
    assert (first.start_s, first.end_s, first.frame) == (0.0, 1.9, 0)
    assert (second.start_s, second.end_s, second.frame) == (2.0, 3.9, 20)
    assert (flash.start_s, flash.frame) == (5.0, 50)
    assert content.modality is Modality.VIDEO and content.coverage.total == 6.0
    assert "there is no sound track" in content.coverage.notes
    assert content.facts[0].startswith("nudity score 0.0") and " at " in content.facts[0]


@pytest.mark.speech
def test_speech_and_text_come_in_order_of_time(tmp_path: Path, english_speech: Path) -> None:
    content = from_video(movie(tmp_path / "a.mp4", SCENES, samples_of(english_speech)))
    kinds = {segment.kind for segment in content.segments}
    assert kinds == {SegmentKind.OCR, SegmentKind.TRANSCRIPT} and content.language == "en"
    starts = [segment.start_s for segment in content.segments]
    assert starts == sorted(starts, key=lambda second: second or 0.0)
    assert [segment.id for segment in content.segments] == list(range(1, len(content.segments) + 1))


def test_one_odd_frame_in_a_busy_video_is_found(tmp_path: Path) -> None:
    frames = [picture() for _ in range(60)]
    for place, frame in enumerate(frames):
        frame.paste("grey", (place * 7, 150, place * 7 + 40, 190))
    frames[37] = picture("One flash", ground="black", ink="white")
    content = from_video(movie(tmp_path / "d.mp4", frames), limits=replace(DEFAULT_LIMITS, video_frames=4))
    assert [(key_of(segment.text), segment.frame) for segment in content.segments] == [("oneflash", 37)]


def test_at_most_so_many_frames_are_kept(tmp_path: Path) -> None:
    counting = [picture(f"Number {number}", ground=(number * 6, 200, 90)) for number in range(40)]
    content = from_video(movie(tmp_path / "b.mp4", counting), limits=replace(DEFAULT_LIMITS, video_frames=4))
    assert 2 <= len({segment.frame for segment in content.segments}) <= 4
    assert any("of 40 frames were looked at" in note for note in content.coverage.notes)


def test_nothing_found_is_one_signal(tmp_path: Path) -> None:
    (segment,) = from_video(movie(tmp_path / "c.mp4", [picture()] * 10)).segments
    assert segment.kind is SegmentKind.SIGNAL
    assert segment.text == "video 480x200, 1.0 s, no text and no speech found"


def test_caps(silent: bytes) -> None:
    with pytest.raises(ContentTooLarge, match="more than the cap of 3 s"):
        from_video(silent, limits=replace(DEFAULT_LIMITS, video_seconds=3))
    with pytest.raises(ContentTooLarge, match="frames of 480x200"):
        from_video(silent, limits=replace(DEFAULT_LIMITS, image_pixels=1000))
    with pytest.raises(ContentTooLarge, match="the cap is"):
        from_video(silent, limits=replace(DEFAULT_LIMITS, video_bytes=1000))


def test_video_cut_short_or_mislabelled_is_damaged(silent: bytes) -> None:
    for share in (0.9, 0.5, 0.05):
        with pytest.raises(ContentDamaged, match=r"`cut\.mp4`"):
            from_video(silent[: int(len(silent) * share)], source="cut.mp4")
    with pytest.raises(ContentDamaged):
        from_video(b"\x1aE\xdf\xa3" + bytes(200))
    with pytest.raises(ContentUnsupported, match="no video"):
        from_video(encoded(picture()))
