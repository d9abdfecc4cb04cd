"""Media that cannot be judged fail alone with one line; odd media that can be are."""

from __future__ import annotations

import pytest
from cli_media import animation, bomb, cut, silence, silent_movie, still

from llm_judge.content import nudity

WRONG = {
    "a.png": (lambda path: cut(still(path, "Cut short")), "`a.png` "),
    "a.gif": (lambda path: cut(animation(path, 4)), "`a.gif` "),
    "a.wav": (lambda path: cut(silence(path)), "`a.wav` is cut short"),
    "a.mp4": (lambda path: cut(silent_movie(path, "Cut short")), "`a.mp4` "),
    "text.png": (lambda path: path.write_text("These are words."), "`text.png` is named .png but holds text"),
    "noise.mp3": (
        lambda path: path.write_bytes(b"\x81\x00\xfe" * 99),
        "`noise.mp3` is named .mp3 but holds no",
    ),
    "program": (lambda path: path.write_bytes(b"\x7fELF" + bytes(99)), "`program` holds "),
    "paper.txt": (lambda path: path.write_bytes(b"%PDF-1.7\n" + bytes(99)), "`paper.txt` holds PDF data"),
    "bomb.png": (bomb, "`bomb.png` is 50000x50000, 2500.0 megapixels"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_media_fail_alone(judge, folder, name):
    make, message = WRONG[name]
    make(folder / name)
    run = judge("Before.", name, "After.", "--json")
    before, wrong, after = run.records
    assert run.code == 3
    assert (before["action"], wrong["action"], after["action"]) == ("allow", "review", "allow")
    assert (wrong["item"], wrong["decision"]) == ({"id": name, "source": name}, None)
    assert run.err.startswith(f"error: {message}")
    assert len(run.err.splitlines()) == 2


def test_an_animation_of_ten_thousand_frames_is_judged_and_its_coverage_stated(judge, folder):
    animation(folder / "a.gif", 10_000)
    run = judge("a.gif")
    assert run.code == 0
    assert "8 of 10000 frames were looked at" in run.out


def test_a_video_without_sound_is_judged_by_its_frames(judge, folder):
    silent_movie(folder / "a.mp4", "Pay a small fee first")
    run = judge("a.mp4", "--json")
    assert run.code == 1
    evidence = run.records[0]["verdicts"][0]["evidence"][0]
    assert (evidence["kind"], evidence["frame"], evidence["start_s"]) == ("ocr", 0, 0.0)
    assert "there is no sound track" in run.records[0]["item"]["coverage"]["notes"]


def test_words_in_a_picture_are_evidence_with_their_place(judge, folder):
    still(folder / "a.png", "Pay a small fee first")
    run = judge("a.png")
    assert run.code == 1
    assert "ocr line, box " in run.out
    assert "fee" in run.out


def test_a_name_that_lies_about_the_format_does_not_matter(judge, folder):
    still(folder / "a.png", "Hello").rename(folder / "a.jpg")
    assert judge("a.jpg", "--json").records[0]["item"]["modality"] == "image"


@pytest.mark.speech
def test_sound_without_speech_is_undecided(judge, folder):
    silence(folder / "a.wav")
    run = judge("a.wav", "--json")
    assert run.code == 3
    assert run.records[0]["error"]["type"] == "ContentUnperceived"
    assert run.err.startswith("error: no speech found in `a.wav`")


def test_a_model_that_is_missing_stops_the_run_after_the_items_before(judge, folder, monkeypatch):
    still(folder / "a.png")
    nudity._session.cache_clear()
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(folder / "cache"))
    monkeypatch.setenv("LLM_JUDGE_OFFLINE", "1")
    run = judge("Before.", "a.png", "After.", "--json")
    assert (run.code, len(run.records)) == (2, 1)
    assert run.err.splitlines()[0].startswith("1 judged: 1 allow;")
    assert run.err.splitlines()[1].startswith("error: the packaged model `open-nsfw` ")
