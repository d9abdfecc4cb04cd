"""Words → a picture that shows them, or a sound that says them.

Pictures need Pillow and a font for the script; sounds need the program espeak-ng. Knows nothing about items
or judging.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from PIL import ImageFont

MOST_CHARACTERS = 2_000  # longer texts are not shown or said: no picture or clip of them is realistic
LINE_CELLS = 44  # columns of a line, wide characters count two
FONT_PIXELS = 28
MARGIN_PIXELS = 24
SPEECH_SECONDS = 60  # limit for the synthesiser to finish

# Tried in this order; the first that has every character is used.
FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
)
# Scripts whose letters join or reorder: Hebrew and Arabic to Myanmar, Khmer, Mongolian.
_SHAPED = ((0x0590, 0x109F), (0x1780, 0x18AF))
# Language tags whose espeak-ng voice is named otherwise.
VOICES = {"zh": "cmn", "pt": "pt-br", "pt-BR": "pt-br", "ur-Latn": "ur"}


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that was made.

    Attributes:
        name: unique for what it shows, ends in ``.png`` or ``.wav``.
        modality: ``image`` or ``audio``.
        data: the bytes of the file.
    """

    name: str
    modality: str
    data: bytes = field(repr=False)


def drawn(text: str) -> bytes:
    """Return a PNG that shows the text in black on white, in lines of at most ``LINE_CELLS``.

    Raises:
        UsageError: Pillow is not installed, nothing can be seen of the text, it is too long, or no
            installed font has its characters.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise UsageError("drawing text needs Pillow", "pip install 'llm-judge[media]'") from error
    shown = _visible(_fitting(text))
    font = _font(shown)
    lines = "\n".join(piece for line in shown.splitlines() for piece in _wrapped(line))
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = probe.multiline_textbbox((0, 0), lines, font=font)
    size = (int(right - left) + 2 * MARGIN_PIXELS, int(bottom - top) + 2 * MARGIN_PIXELS)
    image = Image.new("RGB", size, "white")
    place = (MARGIN_PIXELS - left, MARGIN_PIXELS - top)
    ImageDraw.Draw(image).multiline_text(place, lines, fill="black", font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def spoken(text: str, lang: str) -> bytes:
    """Return a WAV in which espeak-ng says the text.

    Args:
        text: what is said; it reaches the program on standard input, never as an option.
        lang: language tag; picks the voice.

    Raises:
        UsageError: espeak-ng is not installed, has no voice for the language or fails; the text is too long.
    """
    said = _fitting(text)
    program = shutil.which("espeak-ng")
    if program is None:
        raise UsageError("speaking text needs espeak-ng, which is not installed", "apt-get install espeak-ng")
    voice = VOICES.get(lang, lang)
    if not voice.replace("-", "").isalnum() or voice.startswith("-"):
        raise UsageError(f"`{lang}` is not a language tag", "give one such as `en` or `pt-BR`")
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "speech.wav"
        command = [program, "-b", "1", "-v", voice, "-w", str(wav), "--stdin"]
        try:
            done = subprocess.run(
                command,
                input=said.encode("utf-8", "replace"),
                capture_output=True,
                timeout=SPEECH_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"espeak-ng did not finish: {error}".splitlines()[0]) from error
        if done.returncode or not wav.is_file():
            raise UsageError(
                f"espeak-ng could not speak `{lang}`", "leave these languages out of the speech family"
            )
        return wav.read_bytes()


def _fitting(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"a text of {len(text):,} characters is too long to show or say",
            f"leave out texts over {MOST_CHARACTERS:,} characters",
        )
    return text


def _visible(text: str) -> str:
    """The text without what has no picture of its own; tabs and odd spaces become spaces."""
    lines = [
        "".join(" " if char.isspace() else char for char in line if char.isspace() or _has_picture(char))
        for line in text.splitlines()
    ]
    shown = "\n".join(lines)
    if not shown.strip():
        raise UsageError("nothing of the text can be drawn", "leave empty texts out of the picture families")
    return shown


def _has_picture(char: str) -> bool:
    style = 0xFE00 <= ord(char) <= 0xFE0F  # chooses how the character before it looks
    return not style and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _wrapped(line: str) -> list[str]:
    """Cut a line at spaces where there are some, else anywhere but before a combining mark."""
    pieces, start, space, cells = [], 0, 0, 0
    at = 0
    while at < len(line):
        char = line[at]
        cells += _cells(char)
        if cells > LINE_CELLS and _cells(char):
            cut = space if space > start else at
            pieces.append(line[start:cut].rstrip())
            start = space = at = cut
            cells = 0
            continue
        at += 1
        if char == " ":
            space = at
    return [*pieces, line[start:].rstrip()]


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Mc", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _font(text: str) -> ImageFont.FreeTypeFont:
    """The first installed font that has every character of the text."""
    from PIL import ImageFont, features

    needed = sorted(set(text) - {" ", "\n"})
    shaped = any(low <= ord(char) <= high for char in needed for low, high in _SHAPED)
    if shaped and not features.check("raqm"):
        raise UsageError("drawing this script needs Pillow with raqm", "install the `libraqm0` package")
    for name in FONTS:
        try:
            font = ImageFont.truetype(name, FONT_PIXELS)
        except OSError:
            continue
        missing = _mask(font, "\U0010ffff")
        if all(_mask(font, char) != missing for char in needed):
            return font
    raise UsageError("no installed font has every character of a text", f"install one of {', '.join(FONTS)}")


def _mask(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, int], bytes]:
    """How the font draws a character; one it lacks looks like any other it lacks."""
    mask = font.getmask(char)
    return mask.size, bytes(mask)
