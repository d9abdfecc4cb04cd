"""A real PostgreSQL to break: Debian's programs, a folder of its own, a socket and no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from llm_judge.errors import StoreUnavailable

OWNER = "judge"
_READY_S = 30.0


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class PostgresServer:
    """Started when made; as another user where we are root, which it refuses to be.

    Args:
        folder: of its programs.
        fsync: whether what is committed is on the disk; a machine that does not lose power can do without.

    Raises:
        StoreUnavailable: it does not start.
    """

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
        self.bin = folder
        self._fsync = fsync
        self._user = self._other_user()
        if self._user:
            shutil.chown(self.folder, self._user)
        self.data = self.folder / "data"
        self._run(
            "initdb", "-D", self.data, "-U", OWNER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.start()

    @staticmethod
    def _other_user() -> str | None:
        if os.getuid() != 0:
            return None
        names = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def start(self) -> None:
        """Return once it answers."""
        command = [str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        command += ["-c", "listen_addresses=", "-c", f"fsync={'on' if self._fsync else 'off'}"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = process = subprocess.Popen(command, **quiet, **self._as_user())
        ready = [str(self.bin / "pg_isready"), "-h", str(self.folder), "-U", OWNER, "-q"]
        ends = time.monotonic() + _READY_S
        while subprocess.run(ready, check=False).returncode != 0:
            if process.poll() is not None or time.monotonic() > ends:
                raise StoreUnavailable("PostgreSQL does not start", f"look at `{self.bin}`")
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it at once; SIGQUIT as in a crash, SIGKILL without a last word."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """An address of an empty schema, which is a database to who uses it and much faster to make."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(
            host=str(self.folder), user=OWNER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"postgresql://{OWNER}@/postgres?host={self.folder}&options=-csearch_path%3D{name}"

    def _run(self, program: str, *words: object) -> None:
        command = [str(self.bin / program), *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_user())

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
