"""``llm-judge serve`` as a process of its own: started, looked at, killed, started again on the same port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from llm_judge.errors import EngineUnavailable
from llm_judge.reliability.connection import Connection

HOST = "127.0.0.1"
_LAST_BYTES = 2000


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class ServiceProcess:
    """One service on one port; may be started again after it ended.

    Args:
        folder: its working directory, where its log goes.
        words: of the command line, after ``serve``.
        module: what is run, with the same command line.
        environment: added to ours.
    """

    def __init__(
        self,
        folder: Path,
        words: Sequence[str],
        *,
        module: str = "llm_judge",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "service.log"
        self._command = [sys.executable, "-m", module, "serve", *words, "--port", str(self.port)]
        self._environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, seconds: float = 120) -> float:
        """Start it and wait until it answers; returns the seconds that took.

        Raises:
            EngineUnavailable: it ended, or does not answer in that time.
        """
        began = time.monotonic()
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self._command, cwd=self.folder, stdout=stream, stderr=stream, env=self._environment
            )
        while not await self._answers():
            if self.process.poll() is not None or time.monotonic() - began > seconds:
                raise EngineUnavailable(f"the service did not start: {self.last_words()}")
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _answers(self) -> bool:
        connection = Connection(HOST, self.port)
        try:
            return (await connection.get("/livez", 5)).status == 200
        except OSError:  # among them TimeoutError
            return False
        finally:
            await connection.close()

    async def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int | None:
        """Send it a signal and wait for its end; returns its exit code.

        Raises:
            TimeoutError: it does not end; it is killed then.
        """
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        try:
            return await asyncio.to_thread(process.wait, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TimeoutError(f"the service did not end in {seconds:g} s") from None

    @property
    def pid(self) -> int:
        """Its process id; 0 where it does not run."""
        return 0 if self.process is None else self.process.pid

    def resident_mib(self) -> float:
        """Its resident memory in MiB, as Linux counts it (``VmRSS``)."""
        return self._of_status("VmRSS") / 1024

    def open_files(self) -> int:
        """How many files and sockets it holds."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _of_status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text("utf-8").splitlines():
            key, _, rest = line.partition(":")
            if key == name:
                return int(rest.split()[0])
        return 0

    def last_words(self) -> str:
        """The end of its log."""
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return " ".join(text[-_LAST_BYTES:].split())

    def tracebacks(self) -> int:
        """How many tracebacks are in its log."""
        return self.log.read_text("utf-8", "replace").count("Traceback")


async def metric(port: int, name: str) -> float | None:
    """The sum of one metric over its labels, as the service exports it; None where it does not answer."""
    connection = Connection(HOST, port)
    try:
        text = (await connection.get("/metrics", 10)).body.decode()
    except OSError:
        return None
    finally:
        await connection.close()
    lines = (line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)
