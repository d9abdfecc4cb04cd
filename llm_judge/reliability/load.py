"""Measures what the service costs, what it does when ten times too much comes, and whether its memory grows.

    python -m llm_judge.reliability.load [--only overhead overload soak] [--requests 50000] [--file …]

The engine is scripted and takes a fixed time, so that what is measured is the service. Linux only. Needs the
extras `serve` and `store`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llm_judge.errors import ExitCode, JudgeError
from llm_judge.reliability import figures_file
from llm_judge.reliability.known import write_policy, write_script
from llm_judge.reliability.overhead import calls_in, milliseconds, spent
from llm_judge.reliability.service_process import ServiceProcess
from llm_judge.reliability.tally import kept_in, tally
from llm_judge.reliability.traffic import Sent, Traffic

_CLIENTS = 16
_DELAY_MS = 50.0
_WARM = 200  # requests before anything is measured
_SLOW_MS, _SLOW_ITEMS = 200.0, 4  # an engine that answers twenty items a second
_DEADLINE_MS = 2000
_AIM_MS = (5.0, 25.0)  # p50 and p99 of the overhead


@asynccontextmanager
async def service(delay_ms: float, *words: str, log: bool = False) -> AsyncIterator[ServiceProcess]:
    """A service of its own while the block lasts; with ``log``, its engine notes its calls in ``calls``."""
    folder = Path(tempfile.mkdtemp(prefix="llm-judge-load-"))
    script = write_script(folder, delay_ms=delay_ms, log=folder / "calls" if log else None)
    run = ServiceProcess(folder, ["-e", f"scripted:{script}", *words])
    try:
        await run.start()
        yield run
    finally:
        await run.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def asked(run: ServiceProcess, name: str, requests: int) -> Traffic:
    """Ask so many times with 16 clients at once, each as soon as it has its answer."""
    async with Traffic(run.port, name, clients=_CLIENTS, explain="never") as traffic:
        while len(traffic.sent) < requests:
            await asyncio.sleep(0.01)
    return traffic


async def overhead(requests: int, quick: bool) -> dict[str, Any]:
    """What the service adds to an engine that takes a fixed time a call, at 16 requests at once."""
    figures: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="llm-judge-policy-"))
    small = ("-p", str(write_policy(folder)))
    ways: dict[str, tuple[str, ...]] = {
        "2 rules": small,
        "2 rules, records kept": (*small, "--store", "records.sqlite3"),
        **(
            {}
            if quick
            else {"the shipped guidelines": (), "the same, records kept": ("--store", "r.sqlite3")}
        ),
    }
    for name, words in ways.items():
        async with service(_DELAY_MS, *words, log=True) as run:
            await asked(run, "warm", _WARM)
            cpu = run.cpu_seconds()
            traffic = await asked(run, "asked", requests)
            cpu = run.cpu_seconds() - cpu
            each = spent(traffic.sent, calls_in(run.folder / "calls"))
        figures |= {f"{name}: {what}": value for what, value in _overhead_figures(each, cpu).items()}
    shutil.rmtree(folder)
    return {
        "title": "What the service adds to its engine",
        "what": (
            f"{_CLIENTS} clients, each with one request at a time; the engine takes {_DELAY_MS:g} ms a call "
            "and up to 8 items together. A request's overhead is its time at the client less the "
            "time the engine was in a call, for it or for those before it, until its own last call ended: "
            "waiting for a busy engine is the engine's time, all else is ours. Half of them are asked "
            "about rules too. "
            f"The aim is {_AIM_MS[0]:g} ms (p50) and {_AIM_MS[1]:g} ms (p99)."
        ),
        "figures": figures,
    }


def _overhead_figures(each: Sequence[Any], cpu: float) -> dict[str, Any]:
    ours = [one.overhead for one in each]
    return {
        "requests": len(each),
        "overhead, p50 and p99, ms": milliseconds(ours, 0.5, 0.99),
        "whole time, p50 and p99, ms": milliseconds([one.whole for one in each], 0.5, 0.99),
        "processor time of the service a request, ms": round(cpu / len(each) * 1000, 1),
    }


async def overload(seconds: float) -> dict[str, Any]:
    """Ten times as many requests a second as the engine can answer."""
    capacity = _SLOW_ITEMS * 1000 / _SLOW_MS
    folder = Path(tempfile.mkdtemp(prefix="llm-judge-policy-"))
    words = ("-p", str(write_policy(folder)), "--engine-items", str(_SLOW_ITEMS))
    async with service(_SLOW_MS, *words, "--store", "records.sqlite3") as run:
        await asked(run, "warm", 50)
        traffic = Traffic(run.port, "storm", deadline_ms=_DEADLINE_MS, explain="never")
        began = time.monotonic()
        await traffic.storm(10 * capacity, seconds)
        lasted = time.monotonic() - began
        kept, _ = kept_in(str(run.folder / "records.sqlite3"))
    shutil.rmtree(folder)
    found = tally(traffic.sent, kept)
    return {
        "title": "Ten times too much",
        "what": (
            f"The engine answers at most {capacity:g} items a second ({_SLOW_ITEMS} in {_SLOW_MS:g} ms, and "
            f"twice that where rules are asked); {10 * capacity:g} requests a second come for {seconds:g} s, "
            f"whether or not answers do, each with a deadline of {_DEADLINE_MS:,} ms."
        ),
        "figures": {
            "requests": found.sent,
            "decided": found.decided,
            "decided a second": round(found.decided / lasted, 1),
            **_times(traffic.sent),
            "answered with": [f"{count:,} {code}" for code, count in found.errors.items()],
            "without an answer, wrong-typed": [found.unanswered, found.wrong_typed],
        },
    }


def _times(sent: Sequence[Sent]) -> dict[str, Any]:
    answers = [each.answer for each in sent if each.answer is not None]
    decided = [each.seconds for each in answers if each.status == 200]
    refused = [each for each in answers if each.status == 503]
    times = [each.seconds for each in refused]
    return {
        "time of decisions, p50, p99 and longest, ms": milliseconds(decided, 0.5, 0.99, 1)
        if decided
        else None,
        "time to a 503, p50, p99 and longest, ms": milliseconds(times, 0.5, 0.99, 1) if times else None,
        "503 with Retry-After": [sum("retry-after" in each.headers for each in refused), len(refused)],
    }


async def soak(requests: int) -> dict[str, Any]:
    """Very many requests, to see whether memory and files grow."""
    folder = Path(tempfile.mkdtemp(prefix="llm-judge-policy-"))
    words = ("-p", str(write_policy(folder)), "--store", "records.sqlite3", "--log-level", "error")
    memory: list[float] = []
    codes: Counter[str] = Counter()
    async with service(0, *words) as run:
        await asked(run, "warm", min(2000, requests // 10))
        files, began, pieces = run.open_files(), time.monotonic(), 10
        memory.append(run.resident_mib())
        for piece in range(pieces):
            traffic = await asked(run, f"soak{'abcdefghij'[piece]}", requests // pieces)
            memory.append(run.resident_mib())
            statuses = (each.answer.status if each.answer else "no answer" for each in traffic.sent)
            codes.update(str(status) for status in statuses)
        lasted = time.monotonic() - began
        files = run.open_files() - files
        kept, whole = kept_in(str(run.folder / "records.sqlite3"))
    shutil.rmtree(folder)
    return {
        "title": "Many requests",
        "what": f"{_CLIENTS} clients, an engine that takes no time, 2 rules, records kept.",
        "figures": {
            "requests": sum(codes.values()),
            "answers": [f"{count:,} {status}" for status, count in codes.items()],
            "requests a second": round(sum(codes.values()) / lasted),
            "memory at the start, half way and at the end, MiB": [
                round(memory[at], 1) for at in (0, pieces // 2, pieces)
            ],
            "more files open at the end": files,
            "records kept, those of warming up among them": len(kept),
            "chain whole": whole,
        },
    }


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ("overhead", "overload", "soak")
    parser.add_argument("--only", nargs="*", default=[], choices=parts, help="these, and keep no figures")
    parser.add_argument("--requests", type=int, default=50_000, help="of the soak; overhead takes a tenth")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the overload")
    parser.add_argument("--small", action="store_true", help="leave the shipped guidelines out")
    parser.add_argument("--file", type=Path, default=Path("docs/reliability.json"), help="where figures go")
    options = parser.parse_args(words)
    machine = figures_file.machine()
    results = []
    try:
        for name in options.only or parts:
            parts_by_name: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
                "overhead": lambda: overhead(max(100, options.requests // 10), options.small),
                "overload": lambda: overload(options.seconds),
                "soak": lambda: soak(options.requests),
            }
            results.append(asyncio.run(parts_by_name[name]()))
            print(results[-1]["title"], *(f"  {k}: {v}" for k, v in results[-1]["figures"].items()), sep="\n")
        if not options.only:
            command = f"make load LOAD='{' '.join(words or sys.argv[1:])}'".replace(" LOAD=''", "")
            figures = {"command": command, "machine": machine, "results": results}
            print(f"written: {figures_file.keep(options.file, 'load', figures)}")
    except JudgeError as error:
        print(
            f"error: {error.message}" + (f"\n  = help: {error.hint}" if error.hint else ""), file=sys.stderr
        )
        return error.exit_code
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
