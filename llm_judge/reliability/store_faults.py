"""Faults of the record store, and of the service in the middle of writing to it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from llm_judge.reliability.postgres import PostgresServer, programs
from llm_judge.reliability.scene import Fault, Scene

_DISK_BYTES = 2 * 1024 * 1024
_FILE_ROOM_BYTES = 64 * 1024


@asynccontextmanager
async def judge_killed(scene: Scene) -> AsyncIterator[None]:
    """Kill the service without a warning, three times, each while records are being written."""
    kills = 3
    for number in range(kills):
        await scene.service.stop(signal.SIGKILL)
        scene.restarted = True
        if number < kills - 1:
            await scene.service.start()
            await scene.traffic.until_decided(20)
    yield
    await scene.service.start()
    scene.notes["kills"] = kills


@asynccontextmanager
async def judge_stopped(scene: Scene) -> AsyncIterator[None]:
    """Ask the service to end, as a deployment does, and start it again."""
    code = await scene.service.stop(signal.SIGTERM)
    scene.restarted = True
    scene.notes["exit code of the first"] = code
    yield
    await scene.service.start()


@asynccontextmanager
async def database_locked(scene: Scene) -> AsyncIterator[None]:
    """Hold the lock to write, as a careless backup does."""
    other = sqlite3.connect(scene.store, isolation_level=None)
    while True:
        try:
            other.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError:  # the service is writing
            await asyncio.sleep(0.001)
    try:
        yield
    finally:
        other.rollback()
        other.close()


@asynccontextmanager
async def disk_full(scene: Scene) -> AsyncIterator[None]:
    """Leave no room where the store is."""
    disk = Path(scene.store).parent
    if not os.path.ismount(disk):
        async with _file_may_not_grow(scene):
            yield
        return
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        piece = 65_536
        while piece:
            try:
                stream.write(b"\0" * piece)
            except OSError:
                piece //= 2
    scene.notes["how"] = "a file system in memory of 2 MiB was filled by another file"
    try:
        yield
    finally:
        ballast.unlink()


@asynccontextmanager
async def _file_may_not_grow(scene: Scene) -> AsyncIterator[None]:
    """The nearest thing without the right to mount: the service may write no file beyond what it has."""
    before = resource.prlimit(scene.service.pid, resource.RLIMIT_FSIZE)
    most = max(path.stat().st_size for path in scene.folder.iterdir()) + _FILE_ROOM_BYTES
    resource.prlimit(scene.service.pid, resource.RLIMIT_FSIZE, (most, before[1]))
    scene.notes["how"] = "files of the service could not grow (RLIMIT_FSIZE)"
    try:
        yield
    finally:
        resource.prlimit(scene.service.pid, resource.RLIMIT_FSIZE, before)


def _small_disk(folder: Path) -> tuple[str, Callable[[], None]]:
    """A store on a file system of its own where we may mount one, else in the folder."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "llm-judge", str(disk)]
    mounted = os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    if not mounted:
        return str(folder / "records.sqlite3"), lambda: None
    return str(disk / "records.sqlite3"), lambda: _unmount(disk)


def _unmount(disk: Path) -> None:
    subprocess.run(["umount", str(disk)], check=False, capture_output=True)


def postgres_faults() -> tuple[Fault, ...]:
    """The faults that need PostgreSQL; none where it is not installed."""
    folder = programs()
    if folder is None:
        return ()
    server: list[PostgresServer] = []

    def started(_: Path) -> tuple[str, Callable[[], None]]:
        server[:] = [PostgresServer(folder, fsync=True)]
        return server[0].new_database(), server[0].close

    @asynccontextmanager
    async def database_killed(scene: Scene) -> AsyncIterator[None]:
        await asyncio.to_thread(server[0].stop, signal.SIGKILL)
        yield
        await asyncio.to_thread(server[0].start)
        scene.notes["store"] = "PostgreSQL"

    return (
        Fault(
            "database-killed",
            "PostgreSQL is killed with kill -9 under the service and started again",
            database_killed,
            store=started,
        ),
        Fault(
            "judge-killed-postgresql",
            "the service is killed with kill -9 three times while it writes to PostgreSQL",
            judge_killed,
            hold_s=0.5,
            store=started,
        ),
    )


STORE_FAULTS = (
    Fault(
        "judge-killed",
        "the service is killed with kill -9 three times while it writes to SQLite",
        judge_killed,
        hold_s=0.5,
    ),
    Fault("judge-stopped", "the service gets SIGTERM in the middle of its work", judge_stopped, hold_s=0.5),
    Fault(
        "database-locked",
        "another process holds SQLite's lock to write",
        database_locked,
        hold_s=6.0,
    ),
    Fault("disk-full", "there is no room left where the store is", disk_full, store=_small_disk),
)
