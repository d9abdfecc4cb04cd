"""A service in this process: policies, overlays, engines and a server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from samples import make_policy, make_rule, opened

from llm_judge.engines.protocol import Reading, ReadRequest
from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.policy.model import ActionStep
from llm_judge.service.app import create_app
from llm_judge.service.guidelines import Guidelines, made
from llm_judge.service.header_timeout import PatientProtocol
from llm_judge.service.judges import Judges
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.state import Service, build

FIRES_ON = "Please drown it."
UNSURE_ON = "Perhaps water it."
FAILS_ON = "It is unplugged."
TEENS = """\
schema: 1
overlay: teens
version: 1.0.0
title: People from 13 to 17
owner: garden-team
applies_to: {min_age: 13, max_age: 17}
changes:
  - policy: garden/plants
    because: Young plants need more care.
    rules:
      - rule: R1
        raise_severity_to: 5
"""


def guidelines(**changes: Any) -> Guidelines:
    """Two areas; R1 of plants leads to removal, an overlay for teens makes it more severe."""
    remove = (ActionStep.model_validate({"do": "remove"}, strict=False),)
    plants = make_policy(
        "garden/plants",
        (make_rule("R1"), make_rule("R2")),
        actions=remove,
        maps_to={"openai": ("hate",)},
        **changes,
    )
    return made((plants, make_policy("market/sales", (make_rule("S1"),))), {"teens": TEENS})


def scripted(**changes: Any) -> ScriptedEngine:
    """R1 fires on "drown", cannot be told on "Perhaps", and the engine fails on "unplugged"."""
    return opened(
        ("R1", "drown", {"yes": 0.95, "no": 0.05}),
        ("R1", "Perhaps", {"yes": 0.4, "no": 0.6}),
        **{"failures": [("unplugged", "the engine was unplugged at db.internal:5432")], **changes},
    )


class HeldEngine(ScriptedEngine):
    """Waits before every read until ``go`` is set; ``entered`` says that it waits.

    Attributes:
        sizes: contents in each call so far.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.go = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        self.sizes.append(len(requests))
        self.entered.set()
        assert self.go.wait(30)
        return super().read(requests)


def service_with(
    engine: ScriptedEngine,
    records: Any = None,
    keys: Any = None,
    candidate: Any = None,
    plan: Any = None,
    **limits: Any,
) -> Service:
    """A started service; close it."""
    judges = Judges(guidelines(), engine)
    settings = ServiceSettings(**limits)
    return build(judges, settings, records, keys=keys, candidate=candidate, plan=plan)


@contextmanager
def running(service: Service, http: Any = PatientProtocol) -> Iterator[str]:
    """Answer on a free port while the block lasts; gives the address."""
    config = uvicorn.Config(create_app(service), port=0, http=http, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def until(condition: Any, seconds: float = 60) -> None:
    """Wait for something that must come true."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)
