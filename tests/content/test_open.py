"""One entrance for files: bytes decide, and every wrong file is one clear line."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import encoded, movie, picture

from llm_judge.content.content import Modality
from llm_judge.content.open import from_bytes, iter_files, open_content
from llm_judge.content.sniff import missing_bytes, sniff
from llm_judge.errors import (
    ContentDamaged,
    ContentEmpty,
    ContentError,
    ContentNotFound,
    ContentTooLarge,
    ContentUnsupported,
)


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.txt", "a", "a.mp4"])
def test_the_bytes_decide_not_the_name(name: str, tmp_path: Path) -> None:
    content = open_content(_file(tmp_path, name, encoded(picture("Read me"))))
    assert (content.modality, content.source, content.id) == (Modality.IMAGE, name, name)


def test_text_is_opened_and_its_mark_stripped(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfhello there"
    content = open_content(_file(tmp_path, "note.md", data), "n1")
    assert (content.id, content.segments[0].text, content.segments[0].start) == ("n1", "hello there", 0)
    assert content.sha256 == hashlib.sha256(data).hexdigest()


def test_a_container_without_pictures_is_sound(tmp_path: Path, english_speech: Path) -> None:
    with pytest.raises(ContentError):
        open_content(_file(tmp_path, "cut.ogg", english_speech.read_bytes()[:2000]))
    assert (
        open_content(_file(tmp_path, "v.bin", movie(tmp_path / "v.mp4", [picture()] * 3))).modality
        is Modality.VIDEO
    )


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.txt", b"", ContentEmpty, "`a.txt` is empty"),
        ("a.txt", b" \n", ContentEmpty, "`a.txt` is empty"),
        ("a.png", b"", ContentEmpty, "`a.png` is empty"),
        ("a.txt", b"abc\xffd", ContentDamaged, "`a.txt` is not UTF-8 text: byte 0xff at offset 3"),
        ("a.txt", b"\xef\xbb\xbfab\xff", ContentDamaged, "offset 5"),
        ("a.txt", "hi".encode("utf-16"), ContentDamaged, "`a.txt` is UTF-16 text"),
        ("a.png", b"just words", ContentDamaged, "`a.png` is named .png but holds text"),
        ("a.mp3", b"\x00\x01\x02\xfe", ContentDamaged, "`a.mp3` is named .mp3 but holds no known format"),
        ("a.bin", b"\x00\x01\x02", ContentUnsupported, "`a.bin` holds no known format"),
        ("a.png", b"%PDF-1.7 x", ContentUnsupported, "`a.png` holds PDF data"),
        ("a.png", b"\x89PNG\r\n\x1a\n", ContentDamaged, "`a.png` is damaged"),
        ("a.txt", b"a" * 10_000_000, ContentTooLarge, "`a.txt` is 9.537 MiB of text, the cap is 2 MiB"),
    ],
)
def test_wrong_files(name: str, data: bytes, error: type[ContentError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        open_content(_file(tmp_path, name, data))
    assert message in caught.value.message and "\n" not in caught.value.message


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    with pytest.raises(ContentNotFound, match="no such file"):
        open_content(tmp_path / "none.txt")
    with pytest.raises(ContentNotFound, match="is a folder"):
        open_content(tmp_path)
    with pytest.raises(ContentNotFound, match="not a file name"):
        open_content("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ContentNotFound, match="not a regular file"):
        open_content(tmp_path / "pipe")
    with pytest.raises(ContentNotFound, match="cannot list"):
        list(iter_files(tmp_path / "none"))


def test_a_hostile_file_name_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(ContentEmpty) as caught:
        open_content(_file(tmp_path, "a\n\x1b[31mb.txt", b""))
    assert "\n" not in caught.value.message and "\x1b" not in caught.value.message


def test_iter_files_yields_what_can_be_judged_sorted(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, data in {
        "b.txt": b"x",
        "a.md": b"x",
        "c.py": b"x",
        ".hidden.txt": b"x",
        "sub/d.wav": b"x",
        "sub/e": encoded(picture()),
        "f.pdf": b"%PDF",
    }.items():
        _file(tmp_path, name, data)
    assert [str(path.relative_to(tmp_path)) for path in iter_files(tmp_path)] == [
        "a.md",
        "b.txt",
        "sub/d.wav",
        "sub/e",
    ]


@given(
    st.sampled_from(
        [b"", b"RIFF", b"OggS", b"\x1aE\xdf\xa3", b"\x00\x00\x00\x18ftypmp42", b"\xff\xfb\x90", b"GIF89a"]
    ),
    st.binary(max_size=60),
)
def test_sniffing_never_raises(start: bytes, rest: bytes) -> None:
    kind = sniff(start + rest)
    assert missing_bytes(kind.decoder if kind and kind.decoder else "mov", start + rest) >= 0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        [b"RIFF\x20\x00\x00\x00WAVEfmt ", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"fLaC", b"OggS"]
    ),
    st.binary(max_size=200),
)
def test_noise_behind_a_magic_number_is_an_error_of_ours(start: bytes, rest: bytes) -> None:
    with pytest.raises(ContentError):
        from_bytes(start + rest)


def test_importing_loads_no_decoder() -> None:
    code = (
        "import sys, llm_judge.content.open; "
        "print([m for m in ('numpy', 'PIL', 'av', 'onnxruntime', 'torch', 'rapidocr') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
