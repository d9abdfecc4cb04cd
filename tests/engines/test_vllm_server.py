"""The supervisor of vLLM with real child processes: it starts, crashes, hangs, loops and stops."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from llm_judge.engines.vllm_server import server as server_module
from llm_judge.engines.vllm_server.server import Patience, State, VllmServer
from llm_judge.errors import EngineUnavailable

FAKE = Path(__file__).with_name("server_stand_in.py")
QUICK = Patience(
    start_s=30, check_s=0.1, hang_s=1, first_wait_s=0.05, longest_wait_s=0.1, tries=2, stop_s=2, tell_s=0.5
)
Make = Callable[..., VllmServer]


def fake_server(folder: Path, how: str = "", **options: object) -> VllmServer:
    return VllmServer(
        lambda port: [sys.executable, str(FAKE), str(port), str(folder), *([how] if how else [])],
        lambda key: {"VLLM_API_KEY": key, "PATH": os.environ["PATH"]},
        "judge",
        **{"patience": QUICK, **options},
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[VllmServer] = []

    def build(how: str = "", **options: object) -> VllmServer:
        made.append(fake_server(tmp_path, how, **options))
        return made[-1]

    yield build
    for server in made:
        server.close()


def pids(folder: Path) -> list[int]:
    return json.loads((folder / "about.json").read_text())["pids"]


def alive(pid: int) -> bool:
    """Whether a process runs; the dead that nobody has waited for do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def ask(server: VllmServer, path: str) -> None:
    try:
        assert httpx.get(server.url + path, timeout=5).status_code in (200, 503)
    except httpx.HTTPError:
        assert path != "/health"


def test_it_starts_late_says_so_and_stops_with_all_its_processes(make: Make, tmp_path: Path) -> None:
    said: list[str] = []
    server = make("late", say=said.append)
    with server:
        assert server.state is State.READY
        ask(server, "/health")
        assert said and "has been starting" in said[0]
        started = pids(tmp_path)
        assert len(started) == 2 and all(map(alive, started))
    until(lambda: not any(map(alive, started)), 5)
    assert server.state is State.STOPPED


def test_one_that_dies_at_its_start_is_told_with_its_last_words_but_not_the_key(make: Make) -> None:
    said: list[str] = []
    server = make("dies_at_start", say=said.append)
    with pytest.raises(EngineUnavailable, match=r"exit code 1: RuntimeError: no such operator"):
        server.start()
    assert any("the key is ***" in line for line in said)
    assert server.key not in " ".join(said)


def test_a_port_that_somebody_else_took_is_given_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ports = iter([taken.getsockname()[1], server_module._free_port()])
        monkeypatch.setattr(server_module, "_free_port", lambda: next(ports))
        with make() as server:
            assert server.state is State.READY


def test_it_can_be_stopped_while_it_waits_for_a_hung_one(make: Make) -> None:
    with make(patience=replace(QUICK, hang_s=600)) as server:
        ask(server, "/hang")
        time.sleep(0.3)  # the watcher asks for a token by now, and would wait for seconds
        started = time.monotonic()
    assert time.monotonic() - started < 10 and server.restarts == 0


def test_one_that_is_not_ready_in_time_is_stopped(make: Make, tmp_path: Path) -> None:
    server = make("late", patience=Patience(start_s=0.5, stop_s=1))
    with pytest.raises(EngineUnavailable, match=r"not ready within 0\.5 s"):
        server.start()
    assert server.group is not None and not alive(server.group)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/die", "it ended with exit code 7 ValueError"),
        ("/hang", "no sign of life"),
        ("/engine_dies", "its engine died"),
    ],
)
def test_it_is_started_again_at_the_same_address(make: Make, tmp_path: Path, path: str, why: str) -> None:
    with make() as server:
        before, url = pids(tmp_path), server.url
        ask(server, path)
        until(lambda: server.restarts == 1 and server.state is State.READY)
        assert why in server.told and "words of a user" not in server.told
        assert server.url == url and not any(map(alive, before)) and all(map(alive, pids(tmp_path)))
        ask(server, "/health")


def test_one_that_answers_is_left_alone(make: Make) -> None:
    with make() as server:
        time.sleep(2.5)  # longer than `hang_s`
        assert server.restarts == 0 and server.state is State.READY


def test_one_that_keeps_failing_is_given_up_with_the_reason(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with make() as server, caplog.at_level(logging.INFO, "llm_judge.service.vllm"):
        (tmp_path / "broken").touch()
        ask(server, "/die")
        until(lambda: server.state is State.GIVEN_UP)
        assert server.restarts == QUICK.tries
        assert "3 times in a row" in server.told and "no such operator" in server.told
        assert server.key not in caplog.text and [each.levelname for each in caplog.records] == [
            "WARNING",
            "WARNING",
            "ERROR",
        ]


def test_the_key_is_in_its_environment_and_on_no_command_line(make: Make, tmp_path: Path) -> None:
    with make() as server:
        about = json.loads((tmp_path / "about.json").read_text())
        assert about["environment"]["VLLM_API_KEY"] == server.key
        command_lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids(tmp_path)]
        assert server.key not in str(command_lines) and server.key not in repr(vars(server)["_child"])


OWNER = """
import sys, time
sys.path[:0] = [{tests!r}, {package!r}]
from pathlib import Path
from test_vllm_server import fake_server
server = fake_server(Path({folder!r}))
server.start()
print("ready", flush=True)
try:
    time.sleep(600)
finally:
    server.close()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_us(tmp_path: Path, number: signal.Signals) -> None:
    here = Path(__file__)
    code = OWNER.format(tests=str(here.parent), package=str(here.parents[2]), folder=str(tmp_path))
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"ready\n"
        started = pids(tmp_path)
        owner.send_signal(number)
    until(lambda: not any(map(alive, started)), 10)


def test_it_does_not_outlive_its_guardian(make: Make, tmp_path: Path) -> None:
    server = make()
    server.start()
    started = pids(tmp_path)
    parent = int(Path(f"/proc/{started[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    until(lambda: server.restarts == 1 and server.state is State.READY)
    assert not any(map(alive, started))
