"""What a file holds, by its first bytes; names and extensions are not believed.

Knows nothing about decoding.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_judge.content.content import Modality


@dataclass(frozen=True, slots=True)
class Kind:
    """A file format.

    Attributes:
        name: how people call it, such as ``PNG``.
        decoder: the name Pillow or FFmpeg gives its reader; None where this build reads none.
        modality: what it holds; None for unsupported formats. ``video`` means a container that may
            hold sound alone: only its stream list tells.
    """

    name: str
    decoder: str | None = None
    modality: Modality | None = None


_IMAGE, _AUDIO, _VIDEO = Modality.IMAGE, Modality.AUDIO, Modality.VIDEO
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", Kind("PNG", "PNG", _IMAGE)),
    (b"\xff\xd8\xff", Kind("JPEG", "JPEG", _IMAGE)),
    (b"GIF87a", Kind("GIF", "GIF", _IMAGE)),
    (b"GIF89a", Kind("GIF", "GIF", _IMAGE)),
    (b"fLaC", Kind("FLAC", "flac", _AUDIO)),
    (b"ID3", Kind("MP3", "mp3", _AUDIO)),
    (b"OggS", Kind("OGG", "ogg", _VIDEO)),
    (b"\x1aE\xdf\xa3", Kind("Matroska or WebM", "matroska", _VIDEO)),
    (b"%PDF", Kind("PDF")),
    (b"PK\x03\x04", Kind("ZIP or Office")),
    (b"\x1f\x8b", Kind("gzip")),
    (b"7z\xbc\xaf", Kind("7z")),
    (b"Rar!", Kind("RAR")),
    (b"\x7fELF", Kind("ELF program")),
    (b"MZ", Kind("Windows program")),
    (b"BM", Kind("BMP")),
    (b"II*\x00", Kind("TIFF")),
    (b"MM\x00*", Kind("TIFF")),
    (b"\x00\x00\x01\x00", Kind("ICO")),
    (b"\x00\x00\x01\xba", Kind("MPEG program stream")),
    (b"FLV\x01", Kind("FLV")),
    (b"0&\xb2u\x8ef\xcf\x11", Kind("Windows Media")),
    (b"SQLite format 3", Kind("SQLite")),
)
_RIFF = {
    b"WAVE": Kind("WAV", "wav", _AUDIO),
    b"WEBP": Kind("WebP", "WEBP", _IMAGE),
    b"AVI ": Kind("AVI", "avi", _VIDEO),
}
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
# Text may begin like this too ("BM", "MZ"): such short marks count only where the rest is not text.
_WEAK = frozenset({"BMP", "Windows program"})


def sniff(head: bytes) -> Kind | None:
    """Return what the first bytes (64 are enough) announce; None for text and unknown formats."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], Kind("RIFF"))
    if head[4:8] == b"ftyp":
        if head[8:12] in _STILL_BRANDS:
            return Kind("HEIC or AVIF")
        return Kind("MP4", "mov", _VIDEO)
    for magic, kind in _MAGIC:
        if head.startswith(magic) and not (kind.name in _WEAK and b"\x00" not in head):
            return kind
    return Kind("MP3", "mp3", _AUDIO) if _is_mp3_frame(head) else None


def _is_mp3_frame(head: bytes) -> bool:
    """Return whether an MPEG audio layer 2 or 3 frame header begins here (ISO 11172-3, 2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and bitrate not in (0, 15) and rate != 3


def missing_bytes(decoder: str, data: bytes) -> int:
    """Return how many bytes a container says it has beyond the end of ``data``; 0 where it cannot tell.

    Decoders play what is there of a file cut short; a judge must not call that the whole item.
    """
    if decoder in ("wav", "avi", "WEBP"):
        size = int.from_bytes(data[4:8], "little")
        return 0 if size in (0, 0xFFFFFFFF) else max(0, size + 8 - len(data))  # both mean "streamed"
    if decoder == "mov":
        return _missing_boxes(data)
    if decoder == "ogg":
        return _missing_pages(data)
    if decoder == "matroska":
        return _missing_segment(data)
    return 0


def _missing_boxes(data: bytes) -> int:
    """Walk the top-level boxes of an MP4 file (ISO 14496-12, 4.2)."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size == 0:  # until the end of the file
            return 0
        if size < 8:
            return 0  # not a box: the decoder decides
        place += size
    return max(0, place - len(data))


def _missing_pages(data: bytes) -> int:
    """Walk the pages of an Ogg file (RFC 3533, section 6)."""
    place = 0
    while data[place : place + 4] == b"OggS":
        count = data[place + 26] if place + 26 < len(data) else 0
        table = data[place + 27 : place + 27 + count]
        place += 27 + count + sum(table)
        if len(table) < count:
            return max(1, place - len(data))
    return max(0, place - len(data))


def _missing_segment(data: bytes) -> int:
    """Compare the size of the Segment element of a Matroska file with what is there (RFC 8794)."""
    size, place = _element_size(data, 4)
    if size is None:
        return 0
    place += size
    if data[place : place + 4] != b"\x18\x53\x80\x67":
        return 0
    size, place = _element_size(data, place + 4)
    return 0 if size is None else max(0, place + size - len(data))


def _element_size(data: bytes, place: int) -> tuple[int | None, int]:
    """Return a variable-length size and the place after it; None for "unknown" and for nonsense."""
    first = data[place] if place < len(data) else 0
    if first == 0:
        return None, place
    length = 9 - first.bit_length()
    value = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), place + length
