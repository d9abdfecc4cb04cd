"""Demo media: each kind of file is made and read back; wrong descriptions give one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_judge.errors import OutputError, PackageError, UsageError
from llm_judge.evals import demo_media
from llm_judge.evals.demo_media import Medium, Speech, load_media, main, make_medium
from llm_judge.resources import content_folder

av = pytest.importorskip("av")
image = pytest.importorskip("PIL.Image")


def test_a_gif_has_one_frame_for_each_card(tmp_path: Path) -> None:
    path = make_medium(Medium(file="a.gif", cards=(("ONE",), ("TWO",), ("THREE",))), tmp_path)
    with image.open(path) as picture:
        assert picture.n_frames == 3


def test_a_video_without_speech_has_no_sound_and_the_asked_length(tmp_path: Path) -> None:
    path = make_medium(Medium(file="a.webm", cards=(("ONE",), ("TWO",)), seconds=1), tmp_path)
    with av.open(str(path)) as video:
        assert not video.streams.audio
        assert len(list(video.decode(video=0))) == demo_media.FRAMES_PER_SECOND


@pytest.mark.parametrize("name", ["a.bmp", "a.wav"])
def test_what_cannot_be_made_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        make_medium(Medium(file=name), tmp_path)


def test_missing_espeak_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError) as caught:
        make_medium(Medium(file="a.wav", speech=Speech(voice="en", text="hello")), tmp_path)
    assert caught.value.hint == "apt-get install espeak-ng"


def test_a_file_over_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_media, "MAX_FILE_BYTES", 10)
    with pytest.raises(OutputError, match="over 10"):
        make_medium(Medium(file="a.png", cards=(("ONE",),)), tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("media: [{file: a.png, colour: red}]", "media.0.colour: extra inputs"),
        ("media: [", "cannot be read"),
        ("media: [{file: ../a.png}]", "media.0.file"),
    ],
)
def test_a_wrong_description_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "media.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        load_media(path)


def test_the_shipped_description_makes_the_shipped_files() -> None:
    folder = content_folder("evals") / "demo"
    described = {medium.file for medium in load_media(folder / "media.yaml")}
    assert described == {file.name for file in (folder / "media").iterdir()}


def test_wrong_arguments_print_one_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: one folder is needed")
