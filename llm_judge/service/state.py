"""Everything one running service holds, joined in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from starlette.requests import Request

from llm_judge.engines.protocol import limits_for
from llm_judge.errors import JudgeError
from llm_judge.service.body import Bodies
from llm_judge.service.engine_queue import EngineQueue
from llm_judge.service.health import PLAIN_CANARY, Canary, Health
from llm_judge.service.idempotency import Answers
from llm_judge.service.judges import Judges
from llm_judge.service.judging import Judging
from llm_judge.service.keeping import Records
from llm_judge.service.keys import KeyRing
from llm_judge.service.media_fetch import MediaFetcher
from llm_judge.service.metrics import Metrics
from llm_judge.service.quotas import Quotas
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.spans import Spans
from llm_judge.service.store_health import StoreHealth


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one service; made by ``build``.

    Without ``keys`` anybody may call; without ``records`` nothing is kept, and no decision can be asked for.
    """

    settings: ServiceSettings
    judges: Judges
    queue: EngineQueue
    judging: Judging
    metrics: Metrics
    health: Health
    bodies: Bodies
    keys: KeyRing | None
    records: Records | None
    spans: Spans
    fetcher: MediaFetcher | None
    store: StoreHealth
    quotas: Quotas = field(default_factory=Quotas)
    answers: Answers = field(default_factory=Answers)

    @property
    def on_error(self) -> str:
        """What to do with content that gets no decision."""
        return self.judges.on_error.value

    def close(self) -> None:
        """Answer what waits and end the threads; engine and store are left to whoever opened them."""
        self.queue.stop(self.settings.drain_seconds)
        self.judging.close()
        if self.fetcher is not None:
            self.fetcher.close()
        self.spans.close()


def build(
    judges: Judges,
    settings: ServiceSettings | None = None,
    records: Records | None = None,
    canaries: Sequence[Canary] = (PLAIN_CANARY,),
    keys: KeyRing | None = None,
    spans: Spans | None = None,
    fetching: Callable[[ServiceSettings, Bodies, Metrics], MediaFetcher] = MediaFetcher,
) -> Service:
    """Join the parts and start the engine's thread.

    Args:
        judges: made in the calling thread; not to be used there any more.
        settings: limits.
        records: keeps every record before its answer is given.
        canaries: must come out right for the service to be ready.
        keys: who may call; None lets anybody.
        spans: told of every step; None tells nobody.
        fetching: makes what fetches media, where the settings say that any are fetched.
    """
    settings = settings or ServiceSettings()
    settings = replace(settings, limits=limits_for(judges.engine, settings.limits))
    spans = spans or Spans()
    parts: list[Health] = []

    def engine_answered(error: JudgeError | None) -> None:
        if error is not None:
            metrics.engine_failed(type(error).__name__)
        for health in parts:
            health.engine_answered(error)

    queue = EngineQueue(judges, settings.queue_items, settings.engine_items, engine_answered, spans)
    metrics = Metrics(queue.depth)
    metrics.in_force(judges.guidelines.policies)
    parts.append(Health(queue, canaries))
    bodies = Bodies(settings)
    fetcher = fetching(settings, bodies, metrics) if settings.fetch_media else None
    judging = Judging(judges, queue, settings, metrics, records, spans, fetcher)
    queue.start()
    return Service(
        settings,
        judges,
        queue,
        judging,
        metrics,
        parts[0],
        bodies,
        keys,
        records,
        spans,
        fetcher,
        StoreHealth(records),
    )


def service_of(request: Request) -> Service:
    """Return the service that a request was sent to."""
    service = request.app.state.service
    assert isinstance(service, Service)  # noqa: S101  # `create_app` put it there
    return service
