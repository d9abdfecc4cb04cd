"""Draw, speak and encode the demo's pictures, sounds and videos.

Run as ``python -m llm_judge.evals.demo_media OUT``. What each file shows and says is written in
``evals/demo/media.yaml``; the results are committed, so only people who change the demo run this.
Needs espeak-ng for speech. Knows nothing about judging.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_judge.errors import ExitCode, JudgeError, OutputError, PackageError, UsageError
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image, ImageDraw, ImageFont

MAX_FILE_BYTES = 60_000  # the media travel in every clone and wheel
FRAMES_PER_SECOND = 8
PICTURE_SIZE = (480, 300)  # pixels, both even as H.264 asks
MARGIN = 24  # pixels left free around the words
CARD_MILLISECONDS = 900  # how long a GIF shows a card
TAIL_SECONDS = 0.3  # picture left standing after the last word

# suffix → (codec, samples per second, bits per second or None for lossless)
SOUNDS = {
    ".wav": ("pcm_s16le", 8_000, None),  # 16 KB a second, the most that fits
    ".mp3": ("libmp3lame", 16_000, 32_000),
    ".ogg": ("libopus", 16_000, 24_000),
    ".flac": ("flac", 11_025, None),
    ".m4a": ("aac", 16_000, 32_000),
}
# suffix → (picture codec, sound codec, samples per second)
VIDEOS = {".mp4": ("libx264", "aac", 16_000), ".webm": ("libvpx-vp9", "libopus", 16_000)}
PICTURES = (".png", ".jpg", ".webp", ".gif")


class Speech(BaseModel):
    """Words and the espeak-ng voice that says them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voice: str
    text: str
    words_per_minute: int = 145


class Medium(BaseModel):
    """One file to make; ``seconds`` is for video without speech."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Annotated[str, Field(pattern=r"^[a-z0-9_]+\.[a-z0-9]+$")]
    cards: tuple[tuple[str, ...], ...] = ((),)
    paper: str = "white"
    ink: str = "black"
    scene: Literal["hills", "bowl"] | None = None
    speech: Speech | None = None
    seconds: float = 3.0


class MediaList(BaseModel):
    """The whole of ``media.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    media: tuple[Medium, ...]


def load_media(path: Path) -> tuple[Medium, ...]:
    """Read ``media.yaml``; raises ``UsageError`` naming the first thing wrong in it."""
    try:
        return MediaList.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).media
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"`{path.name}`: {place}: {first['msg'].lower()}") from error
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"`{path.name}` cannot be read: {str(error).splitlines()[0]}") from error


def make_medium(medium: Medium, folder: Path) -> Path:
    """Make one file and return its path.

    Raises:
        UsageError: a suffix this module does not make, or a sound without speech.
        PackageError: espeak-ng is missing or failed.
        OutputError: the file came out larger than ``MAX_FILE_BYTES``.
    """
    path = folder / medium.file
    if path.suffix in PICTURES:
        _write_picture(path, medium)
    elif path.suffix in SOUNDS and medium.speech:
        codec, rate, bits = SOUNDS[path.suffix]
        with tempfile.TemporaryDirectory() as scratch:
            _write_sound(path, _speak(medium.speech, Path(scratch)), codec, rate, bits)
    elif path.suffix in VIDEOS:
        with tempfile.TemporaryDirectory() as scratch:
            speech = _speak(medium.speech, Path(scratch)) if medium.speech else None
            _write_video(path, medium, speech)
    else:
        raise UsageError(f"`{medium.file}` cannot be made", hint="see the suffixes in demo_media.py")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise OutputError(f"`{medium.file}` is {size} bytes, over {MAX_FILE_BYTES}", hint="say or show less")
    return path


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    try:
        return ImageFont.truetype("DejaVuSans-Bold.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _draw_scene(draw: ImageDraw.ImageDraw, scene: str) -> None:
    """Paint a plain picture with nothing in it to read."""
    width, height = PICTURE_SIZE
    if scene == "hills":
        draw.rectangle((0, 0, width, height), fill="#9fd0f0")
        draw.ellipse((410, -70, 550, 70), fill="#ffd94a")  # cut by the edge: a whole disc reads as an O
        draw.ellipse((-120, 170, 300, 480), fill="#5f9e4b")
        draw.ellipse((180, 190, 640, 520), fill="#4b8a3c")
    else:
        draw.rectangle((0, 0, width, height), fill="#f3e7d3")
        draw.rectangle((0, 220, width, height), fill="#b98b5e")
        draw.pieslice((120, 80, 360, 280), 0, 180, fill="#4f7fb5")
        draw.ellipse((120, 150, 360, 210), fill="#f8efb8")


def _draw_card(medium: Medium, lines: Sequence[str]) -> Image.Image:
    """Draw one card: the words as large as fit, centred."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", PICTURE_SIZE, medium.paper)
    draw = ImageDraw.Draw(image)
    if medium.scene:
        _draw_scene(draw, medium.scene)
    text = "\n".join(lines)
    if text:
        size = 44
        while size > 12 and _width(draw, text, size) > PICTURE_SIZE[0] - 2 * MARGIN:
            size -= 2
        middle = (PICTURE_SIZE[0] / 2, PICTURE_SIZE[1] / 2)
        draw.multiline_text(
            middle, text, fill=medium.ink, font=_font(size), anchor="mm", align="center", spacing=size // 2
        )
    return image


def _width(draw: ImageDraw.ImageDraw, text: str, size: int) -> float:
    left, _, right, _ = draw.multiline_textbbox((0, 0), text, font=_font(size))
    return right - left


def _write_picture(path: Path, medium: Medium) -> None:
    cards = [_draw_card(medium, lines) for lines in medium.cards]
    if path.suffix == ".gif":
        cards[0].save(path, save_all=True, append_images=cards[1:], duration=CARD_MILLISECONDS, loop=0)
    elif path.suffix == ".png":
        cards[0].save(path, optimize=True)
    else:
        cards[0].save(path, quality=80)


def _speak(speech: Speech, scratch: Path) -> Path:
    """Say the words into a WAV file; raises ``PackageError`` without a working espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise PackageError("espeak-ng is not installed", hint="apt-get install espeak-ng")
    wav = scratch / "speech.wav"
    command = [program, "-v", speech.voice, "-s", str(speech.words_per_minute), "-w", str(wav), speech.text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or not wav.exists():
        raise PackageError(
            f"espeak-ng could not speak with the voice `{speech.voice}`: {done.stderr.strip()}"
        )
    return wav


def _seconds(wav: Path) -> float:
    import av

    with av.open(str(wav)) as source:
        return float(source.duration / av.time_base)


def _sound_packets(stream: Any, wav: Path) -> Iterator[Any]:
    """Resample the speech to what the encoder wants and encode it."""
    import av

    encoder = stream.codec_context
    encoder.open(strict=False)  # only an open encoder knows its frame size
    resampler = av.AudioResampler(encoder.format, "mono", encoder.sample_rate, encoder.frame_size or None)
    with av.open(str(wav)) as source:
        for frame in [*source.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                yield from stream.encode(piece)
    yield from stream.encode(None)


def _write_sound(path: Path, wav: Path, codec: str, rate: int, bits: int | None) -> None:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if bits:
            stream.bit_rate = bits
        for packet in _sound_packets(stream, wav):
            out.mux(packet)


def _write_video(path: Path, medium: Medium, wav: Path | None) -> None:
    """Show the cards for equal times over the length of the speech."""
    import av

    picture_codec, sound_codec, rate = VIDEOS[path.suffix]
    seconds = _seconds(wav) + TAIL_SECONDS if wav else medium.seconds
    with av.open(str(path), "w") as out:
        pictures = out.add_stream(picture_codec, rate=FRAMES_PER_SECOND)
        pictures.width, pictures.height = PICTURE_SIZE
        pictures.pix_fmt = "yuv420p"
        sound = out.add_stream(sound_codec, rate=rate, layout="mono") if wav else None
        if sound is not None:
            sound.bit_rate = 32_000
        cards = [_draw_card(medium, lines) for lines in medium.cards]
        total = round(seconds * FRAMES_PER_SECOND)
        for index in range(total):
            frame = av.VideoFrame.from_image(cards[index * len(cards) // total])
            frame.pts = index
            for packet in pictures.encode(frame):
                out.mux(packet)
        for packet in pictures.encode(None):
            out.mux(packet)
        if sound is not None and wav is not None:
            for packet in _sound_packets(sound, wav):
                out.mux(packet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make every file of ``media.yaml`` in the folder given; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if len(given) != 1:
            raise UsageError("one folder is needed", hint="python -m llm_judge.evals.demo_media OUT")
        folder = Path(given[0])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"`{folder}` cannot be made: {error.strerror}") from error
        for medium in load_media(content_folder("evals") / "demo" / "media.yaml"):
            path = make_medium(medium, folder)
            sys.stdout.write(f"{path.stat().st_size:>7} {path.name}\n")
    except JudgeError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"help: {error.hint}\n" if error.hint else ""))
        return int(error.exit_code)
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
