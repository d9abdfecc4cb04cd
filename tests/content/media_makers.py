"""Small pictures, sounds and videos made on the spot for the content tests."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

RATE = 16_000


def picture(
    text: str = "", size: tuple[int, int] = (480, 200), ground: Any = "white", ink: Any = "black"
) -> Image.Image:
    """A picture with ``text`` in large letters; RGBA where the colours have four parts."""
    image = Image.new("RGBA" if len(ground) == 4 and not isinstance(ground, str) else "RGB", size, ground)
    ImageDraw.Draw(image).text((30, 50), text, fill=ink, font=ImageFont.load_default(size=40))
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gif(frames: Sequence[Image.Image], duration: int = 100) -> bytes:
    return encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:], duration=duration, optimize=False
    )


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header announces ``width`` x ``height`` pixels and whose body is a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def wav(samples: np.ndarray, channels: int = 1, rate: int = RATE) -> bytes:
    """16-bit WAV of samples of shape (n,) or (n, channels)."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def tone(seconds: float, hertz: float = 440) -> np.ndarray:
    return (np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE) * 9000).astype(np.int16)


def samples_of(path: Path) -> np.ndarray:
    """The sound of a file as mono 16 kHz samples."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        frames = [
            piece for frame in [*container.decode(audio=0), None] for piece in resampler.resample(frame)
        ]
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).reshape(-1)


def movie(
    path: Path, frames: Sequence[Image.Image], sound: np.ndarray | None = None, fps: int = 10, **options: str
) -> bytes:
    """The bytes of a video of ``frames`` and, where given, mono 16 kHz ``sound``; written to ``path``."""
    with av.open(str(path), "w", options=options) as container:
        video: Any = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        audio: Any = None
        if sound is not None:
            audio = container.add_stream("aac", rate=RATE, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_image(frame)))
        container.mux(video.encode())
        if sound is not None:
            block = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
            block.rate = RATE
            container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path.read_bytes()
