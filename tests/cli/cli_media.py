"""Small pictures, sounds and videos, sound and broken, written where a test wants them."""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw, ImageFont


def sign(words: str) -> Image.Image:
    """White ground, large black letters."""
    image = Image.new("RGB", (640, 160), "white")
    ImageDraw.Draw(image).text((20, 50), words, fill="black", font=ImageFont.load_default(size=36))
    return image


def still(path: Path, words: str = "") -> Path:
    sign(words).save(path)
    return path


def animation(path: Path, frames: int) -> Path:
    """A GIF of that many frames, which flicker so that none is folded away."""
    dark, light = (Image.new("L", (60, 30), shade).convert("P") for shade in (0, 255))
    rest = [light, dark] * (frames // 2)
    dark.save(path, save_all=True, append_images=rest[: frames - 1], duration=20, optimize=False)
    return path


def bomb(path: Path, width: int = 50_000, height: int = 50_000) -> Path:
    """A PNG that announces billions of pixels in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def silence(path: Path, seconds: int = 2) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(2 * 16_000 * seconds))
    return path


def silent_movie(path: Path, words: str, frames: int = 10) -> Path:
    """A video of one picture, ten frames a second, without a sound track."""
    image = sign(words)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = image.width, image.height, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
