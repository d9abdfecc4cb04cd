"""16 kHz samples → lines of speech with seconds, by faster-whisper on the packaged model.

A speech model invents words for silence, tones and noise; three gates keep them out: the voice
activity detector inside the faster-whisper wheel, the model's own no-speech probability, and how
sure it was of its words. Knows nothing about files or segments.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.packaged import ensure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RATE = 16_000
_THREADS = 2
_MIN_VOICE_S = 0.3  # less voice than this is a click or a beep
_NO_SPEECH = 0.6  # no-speech probability above which the words must be very sure of themselves
_UNSURE = -0.7  # mean log-probability a token below which such words are dropped
_GUESSED = -1.3  # the same, below which any words are dropped
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Line:
    """A stretch of speech and its seconds from the start of the sound."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Speech:
    """What was heard.

    Attributes:
        lines: in order; empty where there is no speech.
        language: ISO 639-1 code of the first half minute, None where there is no speech.
        voice_s: seconds that held a voice.
        dropped: lines left out because the model was guessing.
    """

    lines: tuple[Line, ...]
    language: str | None
    voice_s: float
    dropped: int = 0


def transcribe(samples: NDArray[np.int16]) -> Speech:
    """Return the speech in mono 16 kHz samples of shape (n,).

    Greedy decoding at temperature 0, so the same sound always gives the same words.

    Raises:
        PackageError: the packaged model is missing or damaged.
    """
    import numpy as np

    wave = samples.astype(np.float32) / np.float32(32768)
    voice_s = _voice_seconds(wave)
    if voice_s < _MIN_VOICE_S:
        return Speech((), None, voice_s)
    with _lock:
        found, info = _model().transcribe(
            wave,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,  # one invented line must not breed more
            multilingual=True,  # asked anew every half minute: the language may change
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500},
        )
        heard = [segment for segment in found if segment.text.strip()]
    kept = [segment for segment in heard if not _is_invented(segment)]
    lines = tuple(
        Line(segment.text.strip(), round(segment.start, 2), round(segment.end, 2)) for segment in kept
    )
    return Speech(lines, info.language if lines else None, voice_s, len(heard) - len(kept))


def _is_invented(segment: Any) -> bool:
    # Repetition is no sign of invention here: the ratio is measured over half a minute, and a chant or
    # a clip played twice would be lost with it.
    unsure = _UNSURE if segment.no_speech_prob > _NO_SPEECH else _GUESSED
    return bool(segment.avg_logprob < unsure)


def _voice_seconds(wave: NDArray[np.float32]) -> float:
    from faster_whisper.vad import get_speech_timestamps

    spans = get_speech_timestamps(wave, speech_pad_ms=0, min_silence_duration_ms=500)
    return float(sum(span["end"] - span["start"] for span in spans)) / _RATE


@functools.cache
def _model() -> Any:
    from faster_whisper import WhisperModel

    folder = str(ensure("whisper-base"))
    return WhisperModel(
        folder, device="cpu", compute_type="int8", cpu_threads=_THREADS, local_files_only=True
    )
