"""Text → Content: cut into sentences that keep their exact place in the original.

``text[segment.start:segment.end] == segment.text`` always holds, and everything but white space is
in exactly one segment. Knows nothing about tokens or models; time is linear in the length.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

from llm_judge.content.content import Content, Coverage, Modality, Segment, SegmentKind
from llm_judge.content.files import named
from llm_judge.content.limits import MAX_TEXT_BYTES, megabytes
from llm_judge.content.normalise import clean
from llm_judge.errors import ContentEmpty, ContentTooLarge

MAX_SEGMENT = 400  # UTF-8 bytes, a bound on tokens for byte-level tokenizers; a longer run is cut
MERGED = 200  # neighbours are merged up to this many characters
_SHORT = 60  # a sentence below this is worth merging: numbering it costs as much as reading it
_CUT_WINDOW = 120  # how far back from MAX_SEGMENT a good place to cut is looked for

# A boundary is the gap after these: Latin-style stops need white space after them (3.5, example.com),
# stops of scripts written without spaces do not.
_CLOSERS = "\"'”’»›)\\]}」』）】》〉"
_STOPS = ".!?…‽؟۔።፧։។៕"
_BOUNDARY = re.compile(
    rf"[。！？｡।॥][。！？｡।॥.!?]*+[{_CLOSERS}]*+"
    rf"|(?<![{_STOPS}])[{_STOPS}]++[{_CLOSERS}]*+(?=\s)"  # looked at once per run: linear time
    r"|\n++"
)
_PARAGRAPH = re.compile(r"\n\s*\n")
_WORD_BEFORE = re.compile(r"([\w.]+)\.$")
_ABBREVIATIONS = frozenset(  # English, Spanish, French, German; without their last full stop
    """
    mr mrs ms dr prof st vs etc eg ie e.g i.e no vol fig approx dept inc ltd jr sr sra srta ud uds
    mme mlle mm bzw usw nr ca z.b d.h u.a p.ej pág núm av
    jan feb mar apr jun jul aug sep sept oct nov dec
    """.split()  # noqa: SIM905  # sixty quoted words read worse
)
_SOFT_STOP = re.compile(r"[\s,;:、，；：)\]}」』）】]")


def from_text(
    text: str,
    id: str | None = None,
    source: str | None = None,
    *,
    max_bytes: int = MAX_TEXT_BYTES,
    original: bytes | None = None,
) -> Content:
    """Return ``text`` as content cut into sentences.

    Args:
        text: any string, lone surrogates included.
        id: the caller's id; by default the source, else the first 12 digits of the SHA-256.
        source: file name shown to people.
        max_bytes: cap on the UTF-8 form.
        original: the bytes the text was decoded from, for the digest, where they are at hand.

    Raises:
        ContentTooLarge: over the cap.
        ContentEmpty: nothing but white space and invisible characters.
    """
    shown = named(source, "the text")
    data = text.encode("utf-8", "surrogatepass")
    check_text_size(len(data), shown, max_bytes)
    visible, facts = clean(text)
    if not visible:
        raise ContentEmpty(
            f"{shown} is empty" + (": it only {}".format(" and ".join(facts)) if facts else "")
        )
    digest = hashlib.sha256(data if original is None else original).hexdigest()
    short = len(text.strip()) <= MERGED and len(data) <= MAX_SEGMENT
    spans = [(0, len(text))] if short else _merge(_cut(_sentences(text), text), text)
    segments = tuple(
        Segment(number, SegmentKind.SENTENCE, text[start:end], start, end)
        for number, (start, end) in enumerate((_strip(text, *span) for span in spans), start=1)
    )
    coverage = Coverage("characters", len(text), len(text), ("text",))
    return Content(
        id or source or digest[:12], digest, Modality.TEXT, segments, coverage, source=source, facts=facts
    )


def check_text_size(size: int, shown: str, max_bytes: int) -> None:
    """Raise ``ContentTooLarge`` where ``size`` bytes of text are over the cap."""
    if size > max_bytes:
        raise ContentTooLarge(
            f"{shown} is {megabytes(size)} of text, the cap is {megabytes(max_bytes)}",
            hint=f"split it, or raise the cap with --max-text-bytes {size}",
        )


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield stripped, non-empty spans between sentence boundaries."""
    start = 0
    for match in _BOUNDARY.finditer(text):
        if _is_abbreviation(text, match):
            continue
        begin, end = _strip(text, start, match.end())
        start = match.end()
        if begin < end:
            yield begin, end
    begin, end = _strip(text, start, len(text))
    if begin < end:
        yield begin, end


def _is_abbreviation(text: str, match: re.Match[str]) -> bool:
    """Return whether a full stop ends a short form, an initial or an ordinal, not a sentence."""
    if match[0] != ".":
        return False
    word = _WORD_BEFORE.search(text[max(0, match.start() - 12) : match.end()])
    if word is None:
        return False
    name = word[1].lower()
    return (
        name in _ABBREVIATIONS or (len(name) == 1 and name.isalpha()) or (len(name) <= 2 and name.isdigit())
    )


def _cut(spans: Iterable[tuple[int, int]], text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans with everything longer than ``MAX_SEGMENT`` cut, at white space where possible."""
    for begin, end in spans:
        start = begin
        while (limit := _limit(text, start, end)) < end:
            place = _place_to_cut(text, start, limit)
            yield _strip(text, start, place)
            start = _strip(text, place, end)[0]
        if start < end:
            yield start, end


def _limit(text: str, start: int, end: int) -> int:
    """Return the furthest end of a segment from ``start`` that keeps it within ``MAX_SEGMENT`` bytes."""
    limit = min(end, start + MAX_SEGMENT)
    while (size := _size(text, start, limit)) > MAX_SEGMENT:
        limit = start + max(1, (limit - start) * MAX_SEGMENT // size)
    return limit


def _size(text: str, start: int, end: int) -> int:
    return len(text[start:end].encode("utf-8", "surrogatepass"))


def _place_to_cut(text: str, start: int, limit: int) -> int:
    """Return where to cut in ``start < place <= limit``: after a space or comma, never inside a letter."""
    for place in range(limit, max(start + 1, limit - _CUT_WINDOW), -1):
        if _SOFT_STOP.match(text[place - 1]):
            return place
    for place in range(limit, max(start + 1, limit - _CUT_WINDOW), -1):
        if not unicodedata.combining(text[place]) and "\u200d" not in text[place - 1 : place + 1]:
            return place
    return limit


def _merge(spans: Iterable[tuple[int, int]], text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans with very short neighbours of the same paragraph joined up to ``MERGED``."""
    current: tuple[int, int] | None = None
    for start, end in spans:
        if current is None:
            current = (start, end)
            continue
        short = min(current[1] - current[0], end - start) < _SHORT
        fits = end - current[0] <= MERGED and _size(text, current[0], end) <= MAX_SEGMENT
        if short and fits and not _PARAGRAPH.search(text, current[1], start):
            current = (current[0], end)
        else:
            yield current
            current = (start, end)
    if current is not None:
        yield current


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without white space at its ends; ``(end, end)`` where nothing is left."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
