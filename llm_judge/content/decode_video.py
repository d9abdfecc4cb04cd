"""Hostile video bytes → a few RGB frames that stand for it; runs in the decoding process only.

One pass, bounded memory: frames are kept at an interval that doubles as the video turns out to be
longer, and beside them the frames that differ most from one another. Knows nothing about text
recognition or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_judge.content.decode_sound import header_seconds, is_cover, open_container
from llm_judge.content.framing import Buffer, RefusedError

_MAX_PICTURE = 2_100_000  # pixels handed on: full HD; larger frames are shrunk to this
_FULL_DECODE = 3_000_000_000  # pixels decoded frame by frame; after that only key frames are
_FIRST_INTERVAL = 0.5  # seconds between frames kept for coverage, at first
_THUMB = 96  # cells a side of the grey thumbnail that frames are compared by
_CELL_CHANGE = 24  # grey levels of 255 by which a cell must differ to count as changed
_SAME = 0.001  # share of changed cells up to which two frames show the same picture
_MAX_BAD_SHARE = 0.1


@dataclass(slots=True)
class _Shot:
    """A kept frame, and the last moment another frame showed the same picture."""

    seconds: float
    until: float
    index: int
    thumb: Any
    pixels: Any


@dataclass(slots=True)
class _Keeper:
    """Chooses frames while they stream by; holds at most ``most`` pictures.

    Half are kept for being new: further than ``distance`` from every other one, which doubles when
    there are too many (the doubling algorithm for k centres, Charikar et al. 1997), so that one odd
    frame in a calm video is found. Half are kept for coverage, ``interval`` seconds apart, which
    doubles in the same way.
    """

    most: int
    interval: float = _FIRST_INTERVAL
    distance: float = _SAME
    new: list[_Shot] = field(default_factory=list)
    steady: list[_Shot] = field(default_factory=list)
    last_due: float = -1e9

    def offer(self, seconds: float, index: int, frame: Any, thumb: Any) -> None:
        """Keep ``frame`` if it shows something new or is due."""
        is_due = seconds >= self.last_due + self.interval
        if is_due:
            self.last_due = seconds
        if (same := self._same(thumb)) is not None:
            same.until = seconds
            return
        is_new = all(_changed(shot.thumb, thumb) > self.distance for shot in self.new)
        if not is_new and not is_due:
            return
        shot = _Shot(seconds, seconds, index, thumb, _pixels(frame))
        if is_new:
            self.new.append(shot)
            while len(self.new) > max(1, self.most - self.most // 2):
                self.distance *= 2
                self.new = _apart(self.new, self.distance)
        else:
            self.steady.append(shot)
            while len(self.steady) > self.most // 2:
                self.interval *= 2
                self.steady = _thin(self.steady, self.interval)

    def chosen(self) -> list[_Shot]:
        """Return the kept frames in order of time."""
        return sorted((*self.new, *self.steady), key=lambda shot: shot.seconds)

    def _same(self, thumb: Any) -> _Shot | None:
        for shot in reversed(self.chosen()):
            if _changed(shot.thumb, thumb) <= _SAME:
                return shot
        return None


def decode(options: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], Sequence[Buffer]]:
    """Return frames of the first video track as packed 8-bit RGB rows, and facts about it.

    Args:
        options: ``format`` (FFmpeg's name), ``max_seconds``, ``max_pixels``, ``max_frames``.

    The header holds ``width`` and ``height`` as shown, ``seconds`` (decoded), ``header_seconds``
    (claimed), ``frames`` decoded, ``key_frames_after`` (seconds, or null), ``tracks``, ``sound``
    (tracks) and ``pictures``: ``frame``, ``start_s``, ``end_s``, ``width``, ``height`` of each.
    """
    with open_container(options, body) as container:
        moving = [stream for stream in container.streams.video if not is_cover(stream)]
        if not moving:
            raise RefusedError("unperceived", "has no moving picture")
        walk = _Walk(container, moving[0], options)
        keeper = _Keeper(int(options["max_frames"]))
        for seconds, index, frame, thumb in walk:
            keeper.offer(seconds, index, frame, thumb)
        claimed, sound = header_seconds(container), len(container.streams.audio)
    shots = keeper.chosen()
    if not shots or walk.bad > _MAX_BAD_SHARE * walk.packets:
        raise RefusedError("damaged", "is damaged: its frames cannot be decoded")
    pictures = [
        {
            "frame": shot.index,
            "start_s": round(shot.seconds, 2),
            "end_s": round(shot.until, 2),
            "width": shot.pixels.shape[1],
            "height": shot.pixels.shape[0],
        }
        for shot in shots
    ]
    header = {"width": walk.size[0], "height": walk.size[1], "seconds": walk.seconds, "frames": walk.frames}
    facts = {"header_seconds": claimed, "key_frames_after": walk.key_frames_after, "tracks": len(moving)}
    return {**header, **facts, "sound": sound, "pictures": pictures}, [
        shot.pixels.tobytes() for shot in shots
    ]


class _Walk:
    """Decodes one video track from start to end, checking caps on the way."""

    def __init__(self, container: Any, stream: Any, options: Mapping[str, Any]) -> None:
        self._container, self._stream, self._options = container, stream, options
        self.packets = self.bad = self.frames = self._decoded_pixels = 0
        self.size = (0, 0)
        self.seconds = 0.0
        self.key_frames_after: float | None = None

    def __iter__(self) -> Iterator[tuple[float, int, Any, Any]]:
        rate = float(self._stream.average_rate or 25)
        first: float | None = None
        for frame in self._decoded():
            self._check_size(frame)
            time = frame.time if frame.time is not None else self.frames / rate
            first = time if first is None else first
            seconds = max(0.0, time - first)
            index = self.frames if self.key_frames_after is None else round(seconds * rate)
            self.frames += 1
            self.seconds = max(self.seconds, seconds + 1 / rate)
            if seconds > self._options["max_seconds"]:
                raise RefusedError(
                    "too_large", f"plays for more than the cap of {self._options['max_seconds']} s"
                )
            yield seconds, index, frame, _thumb(frame)
            if self.key_frames_after is None and self._decoded_pixels > _FULL_DECODE:
                self._stream.codec_context.skip_frame = "NONKEY"
                self.key_frames_after = round(seconds, 1)

    def _decoded(self) -> Iterator[Any]:
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
            self.packets += 1
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.bad += 1

    def _check_size(self, frame: Any) -> None:
        pixels = frame.width * frame.height
        self._decoded_pixels += pixels
        if pixels > self._options["max_pixels"]:
            cap = self._options["max_pixels"] / 1e6
            raise RefusedError(
                "too_large", f"has frames of {frame.width}x{frame.height}; the cap is {cap:g} megapixels"
            )
        turned = frame.rotation % 180 != 0
        self.size = (frame.height, frame.width) if turned else (frame.width, frame.height)


def _pixels(frame: Any) -> Any:
    """Return the frame upright, shape (height, width, 3), at most ``_MAX_PICTURE`` pixels."""
    import numpy as np

    scale = min(1.0, (_MAX_PICTURE / (frame.width * frame.height)) ** 0.5)
    width, height = max(2, int(frame.width * scale)), max(2, int(frame.height * scale))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _thumb(frame: Any) -> Any:
    import numpy as np

    grey = frame.to_ndarray(format="gray", width=_THUMB, height=_THUMB, interpolation="AREA")
    return grey.astype(np.int16)


def _changed(before: Any, after: Any) -> float:
    """Return the share of thumbnail cells, 0..1, that differ clearly."""
    return float((abs(after - before) > _CELL_CHANGE).mean())


def _apart(shots: list[_Shot], distance: float) -> list[_Shot]:
    """Return the shots that differ from every earlier one by more than ``distance``."""
    kept: list[_Shot] = []
    for shot in shots:
        if all(_changed(other.thumb, shot.thumb) > distance for other in kept):
            kept.append(shot)
    return kept


def _thin(shots: list[_Shot], interval: float) -> list[_Shot]:
    """Return the shots that lie at least ``interval`` seconds apart."""
    kept: list[_Shot] = []
    for shot in shots:
        if not kept or shot.seconds >= kept[-1].seconds + interval - 1e-6:
            kept.append(shot)
    return kept
