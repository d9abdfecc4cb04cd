"""`llm-judge serve`: the judge endpoint."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli import serve_keys
from llm_judge.cli.extras import require_extra
from llm_judge.cli.options import BundleFolder, CalibrationFile, EngineSpec, Only, Policies
from llm_judge.cli.records_options import Store, open_store, require_store
from llm_judge.cli.serve_rollout import (
    Candidate,
    CandidateSalt,
    CandidateShare,
    DriftReference,
    DriftWindow,
    RollbackAt,
    RolloutState,
    ShadowBundle,
    ShadowCalibration,
    ShadowEngine,
    ShadowLog,
    ShadowPolicies,
    open_revisions,
)
from llm_judge.cli.serve_vllm import ModelFolder, VllmPython, opened_engine
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_judge.engines.protocol import Engine
    from llm_judge.service.rollout.source import Source
    from llm_judge.service.settings import ServiceSettings
    from llm_judge.service.spans import Spans
    from llm_judge.service.state import Service
    from llm_judge.store.decision_store import DecisionStore

app = typer.Typer(
    help="Answer judge requests over HTTP.", invoke_without_command=True, rich_markup_mode="rich"
)

app.add_typer(serve_keys.app, name="keys")

_NEEDED = ("fastapi", "httpcore", "prometheus_client", "python_multipart", "uvicorn")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_STORE_WAIT_S = 2.0  # a client waits for it: longer, and its deadline says less than a 503 does


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    policies: Policies = None,
    only: Only = None,
    bundle: BundleFolder = None,
    engine: EngineSpec = "local",
    model: ModelFolder = None,
    vllm_python: VllmPython = None,
    calibration: CalibrationFile = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="API keys, made by `serve keys create`; without it anybody may call."
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Answer without API keys on other addresses than loopback too.")
    ] = False,
    store: Store = None,
    store_content: Annotated[
        bool,
        typer.Option("--store-content", help="Keep content, quotes and rationales in --store too."),
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain in PEM; serves HTTPS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key in PEM.")] = None,
    canary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Texts with their known action, as JSONL: `{"text": …, "action": …}`. The service is ready '
            "only while they come out right; a harmless text that must not be removed if left out.",
        ),
    ] = None,
    queue: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Items in hand at once; more get a 503.")
    ] = 128,
    engine_items: Annotated[
        int, typer.Option(min=1, max=1024, metavar="N", help="Items the engine judges together.")
    ] = 8,
    deadline_ms: Annotated[
        int, typer.Option(min=1, max=600_000, metavar="MS", help="For requests that name none.")
    ] = 30_000,
    max_body_mib: Annotated[
        int, typer.Option(min=1, max=1024, metavar="MIB", help="Longest request body.")
    ] = 32,
    max_text_bytes: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="Longest text that is judged.")
    ] = 65_536,
    drain_seconds: Annotated[
        int, typer.Option(min=0, max=3600, metavar="S", help="For requests in hand after SIGTERM.")
    ] = 30,
    fetch_media: Annotated[
        bool,
        typer.Option(
            "--fetch-media", help="Fetch media from https URLs in requests, from public addresses only."
        ),
    ] = False,
    fetch_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Fetch from this host only, or with `.example.com` from all below it; may be given again.",
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send traces to this OpenTelemetry collector, by OTLP over HTTP."),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Send traces to where OTEL_EXPORTER_OTLP_ENDPOINT says.")
    ] = False,
    shadow_policies: ShadowPolicies = None,
    shadow_bundle: ShadowBundle = None,
    shadow_engine: ShadowEngine = None,
    shadow_calibration: ShadowCalibration = None,
    shadow_log: ShadowLog = None,
    candidate_share: CandidateShare = 0,
    candidate_salt: CandidateSalt = None,
    rollout_state: RolloutState = None,
    rollback_at: RollbackAt = None,
    drift_reference: DriftReference = None,
    drift_window: DriftWindow = 5000,
) -> None:
    """Answer judge requests over HTTP; needs `pip install 'llm-judge[serve]'`.

    The engine is loaded and the canary judged before anything is answered. SIGTERM stops it after the
    requests in hand; SIGHUP loads guidelines and adapters anew. `--engine vllm` starts a vLLM server too,
    watches it, and stops it in the end.

      llm-judge serve

      llm-judge serve --engine vllm --vllm-python vllm-env/bin/python

      llm-judge serve --store decisions.sqlite3

      llm-judge serve --keys keys.json --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
    """
    if context.invoked_subcommand is not None:
        return
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together", "give both, or neither")
    if log_level not in ("debug", "info", "warning", "error"):
        raise UsageError(f"unknown --log-level `{log_level}`", "choose debug, info, warning or error")
    if fetch_host and not fetch_media:
        raise UsageError("--fetch-host needs --fetch-media", "give both, or neither")
    require_extra("serving", "serve", _NEEDED)
    if host not in _LOOPBACK and keys is None and not no_auth:
        hint = "give --keys FILE; or say --no-auth to do without, or listen on 127.0.0.1"
        raise UsageError(f"anybody could reach {host} without an API key", hint)
    from llm_judge.content.limits import Limits
    from llm_judge.service.settings import ServiceSettings

    mib = 1024 * 1024
    settings = ServiceSettings(
        body_bytes=max_body_mib * mib,
        bodies_bytes=max(ServiceSettings().bodies_bytes, 4 * max_body_mib * mib),
        batch_items=min(ServiceSettings().batch_items, queue),
        queue_items=queue,
        engine_items=engine_items,
        deadline_ms=deadline_ms,
        drain_seconds=drain_seconds,
        drift_items=drift_window,
        open_admin=host in _LOOPBACK,
        limits=Limits(text_bytes=max_text_bytes),
        fetch_media=fetch_media,
        fetch_hosts=tuple(host.lower() for host in fetch_host or ()),
    )
    spans = _spans(otlp_endpoint) if trace or otlp_endpoint is not None else None
    source = _source(policies, only, bundle, engine, calibration)
    candidate = Candidate(
        shadow_policies,
        shadow_bundle,
        shadow_engine,
        shadow_calibration,
        shadow_log,
        candidate_share,
        candidate_salt,
        rollout_state,
        rollback_at,
    )
    from llm_judge.service.server import serve as run

    with _records(store, store_content) as records, ExitStack() as stack:

        def start(spec: str) -> Engine:
            return opened_engine(stack, spec, model if spec == engine else None, vllm_python)

        service = _build(source, candidate, start, settings, canary, keys, records, drift_reference, spans)
        run(service, host, port, tls_cert=tls_cert, tls_key=tls_key, log_level=log_level, say=_say_ready)


def _records(store: str | None, store_content: bool) -> AbstractContextManager[DecisionStore | None]:
    """The store that is asked for, made if need be, or nothing."""
    if store is not None:
        require_store()
        opened = open_store(store, _STORE_WAIT_S, create=True, store_content=store_content)
        typer.echo(f"every decision is kept in {opened.database.name}", err=True)
        return opened
    if store_content:
        raise UsageError("--store-content needs --store", "name the store to keep it in")
    return nullcontext()


def _source(policies: Any, only: Any, bundle: Path | None, engine: str, calibration: Path | None) -> Source:
    from llm_judge.service.rollout.source import Source

    if policies and bundle is not None:
        raise UsageError("--bundle does not go with --policies", "a bundle brings its own policies")
    return Source(policies, only, bundle, engine, calibration)


def _build(
    source: Source,
    candidate: Candidate,
    start: Callable[[str], Engine],
    settings: ServiceSettings,
    canary: Path | None,
    keys: Path | None,
    records: DecisionStore | None,
    drift_reference: Path | None,
    spans: Spans | None,
) -> Service:
    from llm_judge.drift.reference import read_reference
    from llm_judge.service.health import PLAIN_CANARY, read_canaries
    from llm_judge.service.keys import KeyRing
    from llm_judge.service.state import build

    ring = None if keys is None else KeyRing(keys)  # first, as the other files: loading a model takes long
    canaries = read_canaries(canary) if canary else (PLAIN_CANARY,)
    reference = None if drift_reference is None else read_reference(drift_reference)
    judges, tried, plan = open_revisions(source, candidate, start)
    return build(judges, settings, records, canaries, ring, tried, plan, reference, spans)


def _spans(endpoint: str | None) -> Spans:
    """Where traces go."""
    require_extra("tracing", "otel", ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    from llm_judge.service.tracing import sending_to

    return sending_to(endpoint)


def _say_ready(url: str) -> None:
    """One line with the address, and one to copy."""
    typer.echo(f"answering on {url} (OpenAPI: {url}/openapi.json)", err=True)
    body = '{"text": "Pay a small fee to claim your prize."}'
    typer.echo(f"  curl {url}/v1/judge -H 'Content-Type: application/json' -d '{body}'", err=True)
