"""``llm-judge`` with a wall clock that can be moved while it runs, by writing seconds into a file.

    python -m llm_judge.reliability.shifted_clock serve …

What Python code reads is shifted: ``time.time``, ``time.time_ns`` and ``datetime.now``. Clocks that only rise
(``time.monotonic``) are not, as they are not when a machine's clock is set. The file is in the working
directory; without it the clock is right.
"""

from __future__ import annotations

import datetime as datetimes
import runpy
import time
from pathlib import Path
from typing import Any

OFFSET_FILE = "clock-offset"
_right_time, _right_time_ns = time.time, time.time_ns
_RightDatetime = datetimes.datetime


def _offset() -> float:
    try:
        return float(Path(OFFSET_FILE).read_text("utf-8") or 0)
    except (FileNotFoundError, ValueError):  # there is none, or it is being written
        return 0.0


class _ShiftedDatetime(_RightDatetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """The shifted time."""
        return _RightDatetime.now(tz) + datetimes.timedelta(seconds=_offset())


def shift() -> None:
    """Put the clock that can be moved in the place of the right one, for modules imported from now on."""
    time.time = lambda: _right_time() + _offset()
    time.time_ns = lambda: _right_time_ns() + int(_offset() * 1e9)
    datetimes.datetime = _ShiftedDatetime  # type: ignore[misc]


if __name__ == "__main__":
    shift()
    runpy.run_module("llm_judge", run_name="__main__")  # the whole program, as its own process would start it
