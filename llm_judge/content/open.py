"""Any file → Content: what it holds is decided by its bytes, never by its name.

The one entrance for files; it joins the perceivers and knows nothing of what they do.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path, PurePath

from llm_judge.content.audio import MEDIA_PACKAGES, from_audio
from llm_judge.content.content import Content, Modality
from llm_judge.content.files import file_size, named, read_file, read_head
from llm_judge.content.images import from_image
from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.content.sandbox import require_media, shared_sandbox
from llm_judge.content.sniff import Kind, missing_bytes, sniff
from llm_judge.content.text import check_text_size, from_text
from llm_judge.content.video import from_video
from llm_judge.errors import ContentDamaged, ContentError, ContentNotFound, ContentUnsupported

__all__ = ["DEFAULT_LIMITS", "Limits", "from_bytes", "iter_files", "open_content"]

_TEXT_SUFFIXES = frozenset({".txt", ".md", ".text", ".markdown"})
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
_AUDIO_SUFFIXES = frozenset({".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a"})
_VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".ogv"})
_MEDIA_SUFFIXES = _IMAGE_SUFFIXES | _AUDIO_SUFFIXES | _VIDEO_SUFFIXES
_READS = "text, PNG, JPEG, WebP, GIF, WAV, MP3, OGG, FLAC, M4A, MP4, WebM, MKV, AVI"
_BOMS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


def open_content(path: Path | str, id: str | None = None, *, limits: Limits = DEFAULT_LIMITS) -> Content:
    """Return the file at ``path`` as content of whatever kind it holds.

    Raises:
        ContentNotFound: missing, unreadable, a folder or a device.
        ContentEmpty, ContentTooLarge, ContentUnsupported, ContentDamaged, ContentUnperceived
        PackageError: a packaged model is missing.
    """
    path = Path(path)
    kind = sniff(read_head(path))
    if kind is None and path.suffix.lower() not in _MEDIA_SUFFIXES:
        check_text_size(file_size(path), named(path.name, ""), limits.text_bytes)  # before it is read
    data, _ = read_file(path, path.name, _byte_cap(kind, limits))
    return from_bytes(data, id, path.name, limits=limits)


def from_bytes(
    data: bytes, id: str | None = None, source: str | None = None, *, limits: Limits = DEFAULT_LIMITS
) -> Content:
    """Return bytes as content of whatever kind they hold; errors as for ``open_content``."""
    kind = sniff(data[:64])
    data, _ = read_file(data, source, _byte_cap(kind, limits))
    name = named(source, "the item")
    if kind is None:
        return _open_text(data, id, source, limits)
    if kind.decoder is None:
        raise ContentUnsupported(
            f"{name} holds {kind.name} data, which is not read", hint=f"read are {_READS}"
        )
    if kind.modality is Modality.IMAGE:
        return from_image(data, id, source=source, limits=limits)
    if kind.modality is Modality.AUDIO or not _moves(data, name, kind, limits):
        return from_audio(data, id, source=source, limits=limits)
    return from_video(data, id, source=source, limits=limits)


def iter_files(folder: Path | str) -> Iterator[Path]:
    """Yield the files under ``folder`` that can be judged, sorted; hidden ones are left out.

    Raises:
        ContentNotFound: there is no such folder, or it may not be read.
    """
    folder = Path(folder)
    try:
        list(folder.iterdir())
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ContentNotFound(f"cannot list {named(str(folder), '')}: {reason}") from error
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and _looks_supported(path):
            yield path


def _looks_supported(path: Path) -> bool:
    if path.suffix.lower() in _TEXT_SUFFIXES | _MEDIA_SUFFIXES:
        return True
    try:
        kind = sniff(read_head(path))
    except ContentError:
        return False
    return kind is not None and kind.decoder is not None


def _byte_cap(kind: Kind | None, limits: Limits) -> int:
    if kind is None:
        return max(limits.text_bytes, limits.video_bytes)  # text is held to its own cap where it is cut
    caps = {
        Modality.IMAGE: limits.image_bytes,
        Modality.AUDIO: limits.audio_bytes,
        Modality.VIDEO: limits.video_bytes,
    }
    return limits.video_bytes if kind.modality is None else caps.get(kind.modality, limits.video_bytes)


def _moves(data: bytes, name: str, kind: Kind, limits: Limits) -> bool:
    """Return whether a container that may hold video does."""
    require_media(*MEDIA_PACKAGES)
    assert kind.decoder is not None  # noqa: S101  # checked by the caller
    if missing := missing_bytes(kind.decoder, data):
        raise ContentDamaged(f"{name} is cut short: {missing} bytes are missing")
    header, _ = shared_sandbox().run("streams", name, data, {"format": kind.decoder}, limits)
    return bool(header["video"])


def _open_text(data: bytes, id: str | None, source: str | None, limits: Limits) -> Content:
    name = named(source, "the item")
    suffix = PurePath(source or "").suffix.lower()
    if suffix in _MEDIA_SUFFIXES:
        holds = "no known format" if _is_binary(data) else "text"
        raise ContentDamaged(f"{name} is named {suffix} but holds {holds}")
    for mark, encoding in _BOMS:
        if data.startswith(mark) and encoding != "UTF-8":
            raise ContentDamaged(f"{name} is {encoding} text", hint="save it as UTF-8")
    if b"\x00" in data[:4096]:
        raise ContentUnsupported(f"{name} holds no known format", hint=f"read are {_READS}")
    check_text_size(len(data), name, limits.text_bytes)
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + len(data) - len(data.removeprefix(codecs.BOM_UTF8))
        raise ContentDamaged(
            f"{name} is not UTF-8 text: byte {data[offset]:#04x} at offset {offset}", hint="save it as UTF-8"
        ) from error
    return from_text(text, id, source, max_bytes=limits.text_bytes, original=data)


def _is_binary(data: bytes) -> bool:
    head = data[:4096]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter cut at the end is no error
    except UnicodeDecodeError:
        return True
    return b"\x00" in head
