"""`llm-judge finetune gate`: is an adapter alive, and is it better than the one in use?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.finetune_adapters import RegistryFolder, opened_registry
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.finetune.adapter_gate import LivenessResult
    from llm_judge.finetune.gate_check import Check
    from llm_judge.finetune.gate_limits import GateLimits
    from llm_judge.finetune.promotion import PromotionResult

AdapterArgument = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER",
        help="A name of the registry, `current`, the beginning of a digest, or a folder (`./FOLDER`).",
    ),
]
BaseFolder = Annotated[
    Path | None,
    typer.Option("--base", metavar="FOLDER", help="Model it belongs to; the packaged one if left out."),
]
LimitsFile = Annotated[
    Path | None,
    typer.Option("--limits", metavar="FILE", help="Limits; finetune/gate.yaml of the project if left out."),
]


def gate(
    adapter: AdapterArgument,
    candidate: Annotated[
        list[Path] | None,
        typer.Option("--candidate", metavar="RUN", help="Finished eval run of it; one for each named suite."),
    ] = None,
    current: Annotated[
        list[Path] | None,
        typer.Option("--current", metavar="RUN", help="Run of what is in use, on the same suite and items."),
    ] = None,
    floors: Annotated[
        Path | None,
        typer.Option(
            "--floors", metavar="FILE", help="Further demands, as a gate file of `eval compare` holds them."
        ),
    ] = None,
    limits: LimitsFile = None,
    probes: Annotated[
        Path | None,
        typer.Option("--probes", metavar="FOLDER", help="Probe policies and contents instead of our own."),
    ] = None,
    base: BaseFolder = None,
    registry: RegistryFolder = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the report here, as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Refuse an adapter that does nothing, ignores content or policy, or is no better: exit code 1.

    Without runs only liveness is checked: about a minute of one core. Each check prints its figure and its
    limit. What an adapter of the registry passes is kept there, for `finetune adapters promote`.

      llm-judge finetune gate hate-2

      llm-judge finetune gate hate-2 --candidate runs/hate-2/core-text --current runs/now/core-text
    """
    from llm_judge.cli.report_file import check_writable, write_text
    from llm_judge.evals.gate import load_gate
    from llm_judge.finetune.gate_limits import default_limits, load_limits

    if bool(candidate) != bool(current):
        raise UsageError("--candidate and --current go together", "give a run of each for every suite")
    if floors is not None and not candidate:
        raise UsageError("--floors needs runs to hold against it", "give --candidate and --current")
    if out is not None:
        check_writable(out)
    demands = load_gate(floors) if floors is not None else None
    wanted = load_limits(limits or default_limits())
    folder, digest, known = located(adapter, registry)
    better = None
    if candidate and current:
        from llm_judge.finetune.promotion import promotion, read_suites

        suites, against = read_suites(digest, candidate, current)
        better = promotion(suites, wanted, demands, against)
    alive = _alive(folder, base, probes, wanted)
    passed = alive.passed and (better is None or better.passed)
    report = _report(digest, wanted, alive, better, passed)
    if known:
        _remember(digest, registry, alive, better)
    if out is not None:
        write_text(out, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        _show(digest, alive, better, passed)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.FOUND)


def located(adapter: str, registry: Path | None) -> tuple[Path, str, bool]:
    """Return an adapter's folder and digest, and whether the registry holds it.

    Raises:
        UsageError: there is no such adapter.
        EngineError: it is damaged, or no LoRA adapter.
    """
    from llm_judge.adapters.lora_folder import adapter_digest

    opened = opened_registry(registry)
    a_name = "/" not in adapter and not adapter.startswith(("~", "."))
    if a_name and (adapter == "current" or opened.resolve(adapter) is not None):
        folder, manifest = opened.open(adapter)
        return folder, manifest.digest, True
    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        raise UsageError(f"there is no adapter `{adapter}`", "see `llm-judge finetune adapters list`")
    digest = adapter_digest(folder)
    return folder, digest, digest in opened.state().manifests


def base_model(folder: Path | None) -> tuple[Path, str | None]:
    """Return the model a command was given, or the packaged one, and what records call it."""
    if folder is not None:
        return folder, None
    from llm_judge.engines.convert import converted_model, model_sha256

    return converted_model(), model_sha256()


def _alive(folder: Path, base: Path | None, probes: Path | None, limits: GateLimits) -> LivenessResult:
    from llm_judge.finetune.adapter_gate import liveness
    from llm_judge.finetune.liveness_probes import load_probes, probe_folder

    asked = load_probes(probes or probe_folder())
    model, digest = base_model(base)
    return liveness(folder, model, digest, asked, limits)


def _remember(
    digest: str, registry: Path | None, alive: LivenessResult, better: PromotionResult | None
) -> None:
    from llm_judge.adapters.manifest import GatesPassed
    from llm_judge.adapters.registry import now

    passed = GatesPassed(
        liveness=now() if alive.passed else None,
        promotion=now() if better is not None and better.passed else None,
        against=better.against if better is not None else None,
    )
    if passed.liveness or passed.promotion:
        opened_registry(registry).passed(digest, passed)


def _report(
    digest: str, limits: GateLimits, alive: LivenessResult, better: PromotionResult | None, passed: bool
) -> dict[str, Any]:
    return {
        "schema": 1,
        "adapter": digest,
        "passed": passed,
        "limits": limits.model_dump(mode="json", by_alias=True),
        "liveness": alive.as_json(),
        "promotion": better.as_json() if better is not None else None,
    }


def _show(digest: str, alive: LivenessResult, better: PromotionResult | None, passed: bool) -> None:
    _table("liveness", alive.checks)
    if better is not None:
        _table(f"promotion, on {', '.join(better.suites)}", better.checks)
        for name, change in better.areas.items():
            typer.echo(f"{name}: {change}")
    missed = [] if alive.passed else [f"not alive: {alive.diagnosis}"]
    if better is not None:
        missed += [f"not promoted: {check.why}" for check in better.checks if not check.passed]
    for line in missed:
        typer.echo(line)
    typer.echo(f"adapter {digest[:12]}: {'passed' if passed else 'refused'}")


def _table(title: str, checks: Sequence[Check]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "check", "figure", "limit", "what is checked", title=title)
    for check in checks:
        table.add_row("✓" if check.passed else "✗", check.name, check.figure, check.limit, check.asks)
    Console(highlight=False).print(table)
    for check in checks:
        if not check.passed:
            typer.echo(f"{check.name}: {check.why}\n  = help: {check.hint}")
