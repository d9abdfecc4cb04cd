"""Sound: speech becomes lines with seconds; what is not speech never becomes words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from media_makers import RATE, encoded, picture, samples_of, tone, wav

from llm_judge.content.audio import from_audio
from llm_judge.content.content import Content, Modality, SegmentKind
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.errors import ContentDamaged, ContentTooLarge, ContentUnperceived, ContentUnsupported

NOISE = (np.random.default_rng(7).normal(size=5 * RATE) * 6000).astype(np.int16)
CHORD = sum(tone(5, hertz) // 3 for hertz in (261.6, 329.6, 392.0))


@pytest.mark.speech
def test_speech_becomes_lines_with_seconds(english_content: Content) -> None:
    content = english_content
    assert (content.id, content.modality, content.language) == ("speech_en.ogg", Modality.AUDIO, "en")
    words = " ".join(segment.text for segment in content.segments).lower()
    assert "garden" in words and "flowers" in words and "water" in words
    last = 0.0
    for segment in content.segments:
        assert segment.kind is SegmentKind.TRANSCRIPT
        assert segment.start_s is not None and segment.end_s is not None
        assert last <= segment.start_s < segment.end_s <= content.coverage.total + 0.5
        last = segment.start_s
    assert content.coverage.unit == "seconds" and 4 < content.coverage.total < 6


@pytest.mark.speech
def test_the_language_is_found(spanish_speech: Path) -> None:
    content = from_audio(spanish_speech)
    assert content.language == "es" and "playa" in content.segments[-1].text


@pytest.mark.speech
def test_channels_that_cancel_out_are_heard(english_speech: Path) -> None:
    mono = samples_of(english_speech)
    content = from_audio(wav(np.stack([mono, -mono], axis=1), channels=2))
    assert "flowers" in " ".join(segment.text for segment in content.segments)
    assert any("cancel" in note for note in content.coverage.notes)


@pytest.mark.speech
def test_speech_said_again_and_again_is_kept(english_speech: Path) -> None:
    content = from_audio(wav(np.tile(samples_of(english_speech), 3)))
    assert " ".join(segment.text for segment in content.segments).count("flowers") == 3


@pytest.mark.parametrize(
    "samples", [np.zeros(5 * RATE), tone(5), NOISE, CHORD], ids=["silence", "tone", "noise", "chord"]
)
def test_sound_without_speech_is_not_words(samples: np.ndarray) -> None:
    with pytest.raises(ContentUnperceived, match=r"no speech found in `clip\.wav` \(5\.0 s\)"):
        from_audio(wav(samples), source="clip.wav")


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("m4a", "aac"), ("ogg", "libopus")]
)
def test_every_format_is_decoded(suffix: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.tile(tone(3), 3).reshape(1, -1), format="s16", layout="mono")
        frame.rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ContentUnperceived, match=r"\(3\.[01] s\)"):
        from_audio(path)


def test_length_is_counted_while_decoding() -> None:
    limits = replace(DEFAULT_LIMITS, audio_seconds=2)
    with pytest.raises(
        ContentTooLarge, match=r"plays for more than 2 s \(its header says 3 s\); the cap is 2 s"
    ):
        from_audio(wav(tone(3)), limits=limits)
    lying = bytearray(wav(tone(3)))
    lying[40:44] = (32_000).to_bytes(4, "little")  # claims one second; decoders go by it, nothing hangs
    with pytest.raises(ContentUnperceived):
        from_audio(bytes(lying), limits=limits)
    endless = bytearray(wav(tone(3)))
    endless[4:8] = endless[40:44] = b"\xff\xff\xff\xff"  # a streamed WAV: length unknown
    with pytest.raises(ContentTooLarge):
        from_audio(bytes(endless), limits=limits)


def test_sound_cut_short_or_mislabelled_is_damaged(english_speech: Path) -> None:
    for data in (wav(tone(3)), english_speech.read_bytes()):
        with pytest.raises(ContentDamaged, match="cut short"):
            from_audio(data[: len(data) // 2], source="cut.wav")
    with pytest.raises(ContentDamaged):
        from_audio(b"RIFF\x04\x00\x00\x00WAVE")
    with pytest.raises(ContentDamaged):
        from_audio(b"fLaC" + bytes(500))
    with pytest.raises(ContentUnsupported, match="holds PNG data, no sound"):
        from_audio(encoded(picture()))
