"""Hostile sound or video bytes → plain 16 kHz samples; runs in the decoding process only.

Knows nothing about speech.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_judge.content.framing import Buffer, RefusedError

RATE = 16_000
_MAX_BAD_SHARE = 0.1  # of packets; players skip a bad packet, so a few are skipped here too
_CANCELLED = 0.05  # a mono mix this much quieter than the louder channel has been cancelled out


def open_container(options: Mapping[str, Any], body: bytes) -> Any:
    """Open ``body`` with exactly the reader named in ``options["format"]``.

    Naming the reader keeps FFmpeg from taking the bytes for a playlist that points at other files.
    """
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        return av.open(io.BytesIO(body), format=options["format"])
    except (av.error.FFmpegError, ValueError) as error:
        raise RefusedError(
            "damaged", f"is damaged or cut short: its {options['format']} data cannot be read"
        ) from error


def streams(options: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return how many tracks there are: ``sound``, ``video`` (moving), ``pictures`` (covers)."""
    with open_container(options, body) as container:
        moving = [stream for stream in container.streams.video if not is_cover(stream)]
        return {
            "sound": len(container.streams.audio),
            "video": len(moving),
            "pictures": len(container.streams.video) - len(moving),
        }


def is_cover(stream: Any) -> bool:
    """Return whether a video track is only a cover picture."""
    import av.stream

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def header_seconds(container: Any) -> float | None:
    """Return the playing time the file claims, which may be wrong."""
    return None if container.duration is None else max(0.0, container.duration / 1_000_000)


def decode(options: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], Sequence[Buffer]]:
    """Return the first sound track as mono 16-bit samples at 16 kHz, and what is known about it.

    Args:
        options: ``format`` (FFmpeg's name), ``max_seconds``.

    The header holds ``seconds`` (decoded), ``header_seconds`` (claimed), ``tracks``, ``pictures``,
    ``bad_packets`` and ``one_channel`` (the mix of both channels was silent, so one was taken).
    """
    with open_container(options, body) as container:
        if not container.streams.audio:
            raise RefusedError("unperceived", "has no sound track")
        claimed = header_seconds(container)
        covers = sum(is_cover(stream) for stream in container.streams.video)
        packets = _Packets(container, container.streams.audio[0])
        chunks = _samples(packets, int(options["max_seconds"]), claimed)
        tracks = len(container.streams.audio)
    if not chunks or packets.bad > _MAX_BAD_SHARE * packets.total:
        raise RefusedError("damaged", "is damaged: its sound cannot be decoded")
    mono, one_channel = _mix(chunks)
    seconds = len(mono) / RATE
    if options["format"] == "flac" and claimed is not None and claimed > seconds + 0.5:
        raise RefusedError("damaged", f"is cut short: {seconds:.1f} of {claimed:.1f} s are there")
    header = {"seconds": seconds, "header_seconds": claimed, "tracks": tracks, "pictures": covers}
    return {**header, "bad_packets": packets.bad, "one_channel": one_channel}, [mono.tobytes()]


class _Packets:
    """The decoded frames of one track; packets that cannot be decoded are counted and skipped."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.total = self.bad = 0

    def __iter__(self) -> Iterator[Any]:
        import av

        demuxed = self._container.demux(self._stream)
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the container itself breaks off here
                self.bad += 1
                return
            self.total += 1
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.bad += 1


def _samples(packets: _Packets, max_seconds: int, claimed: float | None) -> list[Any]:
    """Return arrays of shape (1, 2 * n): interleaved left and right samples."""
    import av

    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
    chunks, count = [], 0
    for frame in _with_flush(packets):
        for piece in resampler.resample(frame):
            chunks.append(piece.to_ndarray())
            count += piece.samples
        if count > max_seconds * RATE:
            says = f" (its header says {claimed:.0f} s)" if claimed else ""
            raise RefusedError(
                "too_large", f"plays for more than {max_seconds} s{says}; the cap is {max_seconds} s"
            )
    return chunks


def _with_flush(packets: _Packets) -> Iterator[Any]:
    yield from packets
    yield None  # the resampler gives out what it still holds


def _mix(chunks: Sequence[Any]) -> tuple[Any, bool]:
    """Return mono samples, and whether one channel was taken instead of the mix of both.

    Speech with one channel turned upside down is heard well by people and cancels out in a mix.
    """
    import numpy as np

    both = np.concatenate(chunks, axis=1).reshape(-1, 2)
    mono = ((both[:, 0].astype(np.int32) + both[:, 1]) // 2).astype(np.int16)
    loudness = [float(np.abs(both[:, side].astype(np.int32)).mean()) for side in (0, 1)]
    if float(np.abs(mono.astype(np.int32)).mean()) < _CANCELLED * max(loudness):
        return np.ascontiguousarray(both[:, loudness.index(max(loudness))]), True
    return mono, False
