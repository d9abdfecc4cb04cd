"""One fault on one running service: calm, broken, mended, calm again, and then everything is counted."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm_judge.reliability.known import write_policy, write_script
from llm_judge.reliability.service_process import ServiceProcess, metric
from llm_judge.reliability.tally import Tally, kept_in, tally
from llm_judge.reliability.traffic import Sent, Traffic

_CALM_ANSWERS = 30  # decisions before a fault and after it
_RECOVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers the service's questions.

    Attributes:
        spec: for ``--engine``.
        kill: ends its server at once, where it has one.
        start: starts that again.
    """

    spec: str
    kill: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None


def scripted(folder: Path, delay_ms: float) -> Engine:
    """An engine inside the service, which does not fail."""
    return Engine(f"scripted:{write_script(folder, delay_ms=delay_ms)}")


@dataclass(slots=True)
class Scene:
    """What a fault can lay hands on.

    Attributes:
        folder: of its own, removed at the end.
        service: running.
        traffic: clients that ask all the time.
        store: where the service keeps decisions.
        engine: behind it.
        started_s: how long the service took to answer.
        hold_s: how long a fault lasts.
        others: requests of other clients, counted too.
        restarted: whether the service was started again, so that its counters began anew.
        notes: figures of this fault alone, for the page.
    """

    folder: Path
    service: ServiceProcess
    traffic: Traffic
    store: str
    engine: Engine
    started_s: float
    hold_s: float
    others: list[Traffic] = field(default_factory=list)
    restarted: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    def clients(self, name: str, **options: Any) -> Traffic:
        """Other clients of the same service, which are counted."""
        found = Traffic(self.service.port, name, **options)
        self.others.append(found)
        return found

    def sent(self) -> list[Sent]:
        """Every request of every client."""
        return [sent for traffic in (self.traffic, *self.others) for sent in traffic.sent]


Breaking = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break things.

    Attributes:
        name: one word for the command line.
        what: one line for the page: what is done.
        breaking: breaks when it is entered and mends when it is left.
        hold_s: how long the fault lasts.
        delay_ms: how long each call of the engine takes.
        clients: that ask all the time.
        words: further options of ``llm-judge serve``.
        store: gives the address of an empty record store, and what takes it away again.
        engine: makes the engine, whose server is killed at the end.
        module: what is run in place of ``llm_judge``.
    """

    name: str
    what: str
    breaking: Breaking
    hold_s: float = 3.0
    delay_ms: float = 20.0
    clients: int = 8
    words: tuple[str, ...] = ()
    store: Callable[[Path], tuple[str, Callable[[], None]]] = lambda folder: (
        str(folder / "records.sqlite3"),
        lambda: None,
    )
    engine: Callable[[Path, float], Engine] = scripted
    module: str = "llm_judge"


@dataclass(slots=True)
class Result:
    """What came of one fault.

    Attributes:
        name, what: as the fault's.
        tally: of every request.
        fail_modes_counted: by the service's own counter; None where it was started again in between.
        recovered_s: from the end of the fault to the first decision that was asked for after it.
        exit_code: of the service on SIGTERM.
        chain_whole: whether the store's chain verifies.
        tracebacks: in the log of the service.
        notes: figures of this fault alone.
    """

    name: str
    what: str
    tally: Tally
    fail_modes_counted: int | None
    recovered_s: float | None
    exit_code: int | None
    chain_whole: bool
    tracebacks: int
    seconds: float
    notes: Mapping[str, Any]

    @property
    def good(self) -> bool:
        """Whether nothing was lost, duplicated or wrong, and the service came back and ended well."""
        ended_well = self.exit_code == 0 and self.chain_whole and not self.tracebacks
        return self.tally.good and self.recovered_s is not None and ended_well

    def as_json(self) -> dict[str, Any]:
        """Plain data for the file beside the page."""
        return {**asdict(self), "good": self.good}


async def play(fault: Fault, *, share: float = 1.0) -> Result:
    """Do it to a service started for it, with SQLite or PostgreSQL behind it.

    Args:
        fault: which.
        share: of the time the fault lasts.

    Raises:
        EngineUnavailable: the service did not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="llm-judge-fault-"))
    store, take_away = fault.store(folder)
    engine = fault.engine(folder, fault.delay_ms)
    try:
        return await _play(fault, folder, store, engine, share)
    finally:
        engine.kill()
        take_away()
        shutil.rmtree(folder, ignore_errors=True)


async def _play(fault: Fault, folder: Path, store: str, engine: Engine, share: float) -> Result:
    began = time.monotonic()
    words = ["-p", str(write_policy(folder)), "-e", engine.spec, "--store", store, *fault.words]
    service = ServiceProcess(folder, words, module=fault.module)
    started_s = await service.start()
    traffic = Traffic(service.port, clients=fault.clients)
    scene = Scene(folder, service, traffic, store, engine, started_s, fault.hold_s * share)
    try:
        async with scene.traffic as traffic:
            await traffic.until_decided(_CALM_ANSWERS)
            async with fault.breaking(scene):
                await asyncio.sleep(scene.hold_s)
            recovered = await traffic.until_decided(1, _RECOVERY_S)
            await traffic.until_decided(_CALM_ANSWERS)
        counted = None if scene.restarted else await metric(service.port, "judge_fail_mode_total")
    finally:
        code = await service.stop()
    kept, whole = kept_in(store)
    return Result(
        name=fault.name,
        what=fault.what,
        tally=tally(scene.sent(), kept),
        fail_modes_counted=None if counted is None else round(counted),
        recovered_s=None if recovered is None else round(recovered, 2),
        exit_code=code,
        chain_whole=whole,
        tracebacks=service.tracebacks(),
        seconds=round(time.monotonic() - began, 1),
        notes=scene.notes,
    )
