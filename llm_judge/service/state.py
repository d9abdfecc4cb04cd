"""Everything one running service holds, joined in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from llm_judge.drift.reference import Reference
from llm_judge.engines.protocol import Engine
from llm_judge.errors import JudgeError
from llm_judge.service.admission import Admission
from llm_judge.service.arms import Arms, ArmsInForce
from llm_judge.service.body import Bodies
from llm_judge.service.drift import DriftWatch
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
from llm_judge.service.revision import Revision, RunningEngine
from llm_judge.service.rollout.metrics import RolloutMetrics
from llm_judge.service.rollout.reload import Reloader
from llm_judge.service.rollout.rollout import Rollout, RolloutPlan
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.spans import Spans
from llm_judge.service.store_health import StoreHealth

_IN_PROCESS = ("local",)  # engines that take the cores from each other


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one service; made by ``build``.

    Without ``keys`` anybody may call; without ``records`` nothing is kept, and no decision can be asked for.
    """

    settings: ServiceSettings
    arms: ArmsInForce
    queue: Admission
    judging: Judging
    metrics: Metrics
    health: Health
    bodies: Bodies
    keys: KeyRing | None
    records: Records | None
    rollout: Rollout
    spans: Spans
    fetcher: MediaFetcher | None
    store: StoreHealth
    quotas: Quotas = field(default_factory=Quotas)
    answers: Answers = field(default_factory=Answers)

    @property
    def judges(self) -> Judges:
        """Those of the stable revision that is in force now; to judge, use ``arms.in_hand``."""
        return self.arms.now.stable.judges

    @property
    def on_error(self) -> str:
        """What to do with content that gets no decision."""
        return self.judges.on_error.value

    def close(self) -> None:
        """Answer what waits and end the threads; engine and store are left to whoever opened them."""
        self.arms.close(self.settings.drain_seconds)
        self.judging.close()
        self.rollout.close()
        if self.fetcher is not None:
            self.fetcher.close()
        self.spans.close()


class _Engines:
    """Starts the queues of engines, and says what they have in common."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics, spans: Spans) -> None:
        self._settings = settings
        self._metrics = metrics
        self._spans = spans
        self.arms: ArmsInForce | None = None
        self.health: Health | None = None
        self.admission = Admission(settings.queue_items, self._seconds, self.depth, self._on_error)

    def start(self, engine: Engine) -> RunningEngine:
        """Start the queue of an engine."""
        queue = EngineQueue(
            self._settings.engine_items,
            lambda error: self._answered(engine, error),
            lambda: self._may_spare(engine),
            self._seconds(),
            self._spans,
        )
        queue.start()
        return RunningEngine(engine, queue)

    def depth(self) -> int:
        """How many items wait for an engine that is in force."""
        return sum(queue.depth() for queue in self._queues())

    def _seconds(self) -> float:
        return max((queue.seconds_an_item for queue in self._queues()), default=0.0)

    def _queues(self) -> list[EngineQueue]:
        now = None if self.arms is None else self.arms.now
        revisions = [] if now is None else [each for each in (now.stable, now.candidate) if each is not None]
        return list({id(each.queue): each.queue for each in revisions}.values())

    def _on_error(self) -> str:
        return "review" if self.arms is None else self.arms.now.stable.judges.on_error.value

    def _answered(self, engine: Engine, error: JudgeError | None) -> None:
        if error is not None:
            self._metrics.engine_failed(type(error).__name__)
        if self.health is not None:
            self.health.engine_answered(engine, error)

    def _may_spare(self, engine: Engine) -> bool:
        """Whether an engine has time to spare: nothing is in hand, or it is one that takes none from it."""
        if self.admission.idle():
            return True
        stable = None if self.arms is None else self.arms.now.stable.judges.engine
        return engine is not stable and engine.info.engine not in _IN_PROCESS


def build(
    judges: Judges,
    settings: ServiceSettings | None = None,
    records: Records | None = None,
    canaries: Sequence[Canary] = (PLAIN_CANARY,),
    keys: KeyRing | None = None,
    candidate: Judges | None = None,
    plan: RolloutPlan | None = None,
    reference: Reference | None = None,
    spans: Spans | None = None,
    fetching: Callable[[ServiceSettings, Bodies, Metrics], MediaFetcher] = MediaFetcher,
) -> Service:
    """Join the parts and start the engines' threads.

    Args:
        judges: made in the calling thread; not to be used there any more.
        settings: limits.
        records: keeps every record before its answer is given.
        canaries: must come out right for the service to be ready.
        keys: who may call; None lets anybody.
        candidate: a revision on trial; of the same engine, or of one of its own.
        plan: how it is tried, and where revisions come from.
        reference: what the drift of answers is measured against; None does not measure it.
        spans: told of every step; None tells nobody.
        fetching: makes what fetches media, where the settings say that any are fetched.
    """
    settings, plan = settings or ServiceSettings(), plan or RolloutPlan()
    metrics = Metrics()
    spans = spans or Spans()
    engines = _Engines(settings, metrics, spans)
    metrics.waiting(engines.depth)
    arms = engines.arms = ArmsInForce(_arms(engines, judges, candidate, plan))
    health = engines.health = Health(arms, canaries)

    def in_force() -> None:
        metrics.in_force(arms.now.stable.guidelines.policies)

    drift = None if reference is None else DriftWatch(reference, metrics.registry, settings.drift_items)

    def changed() -> None:
        in_force()
        health.reloaded()
        if drift is not None:
            drift.start_again()

    in_force()
    rollout = Rollout(arms, plan, RolloutMetrics(metrics.registry), settings.shadow_items, changed)
    rollout.reload_with(lambda done: Reloader(arms, plan.sources, engines.start, canaries, done))
    watchers = (*rollout.watchers(), *(() if drift is None else (drift,)))
    bodies = Bodies(settings)
    fetcher = fetching(settings, bodies, metrics) if settings.fetch_media else None
    judging = Judging(engines.admission, settings, metrics, records, watchers, spans, fetcher)
    return Service(
        settings,
        arms,
        engines.admission,
        judging,
        metrics,
        health,
        bodies,
        keys,
        records,
        rollout,
        spans,
        fetcher,
        StoreHealth(records),
    )


def _arms(engines: _Engines, judges: Judges, candidate: Judges | None, plan: RolloutPlan) -> Arms:
    stable = Revision(judges, engines.start(judges.engine))
    if candidate is None:
        return Arms(stable)
    shared = candidate.engine is judges.engine
    running = stable.running if shared else engines.start(candidate.engine)
    return Arms(stable, Revision(candidate, running), plan.share, plan.salt)


def service_of(request: Request) -> Service:
    """Return the service that a request was sent to."""
    service = request.app.state.service
    assert isinstance(service, Service)  # noqa: S101  # `create_app` put it there
    return service
