"""Runs, training data and a calibration of an adapter → what the registry keeps about it.

Everything must belong to the very adapter: a figure of another one is refused, not copied. Knows nothing
about where adapters are kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.manifest import AdapterFacts, BaseModelReference, MeasuredMetric
from llm_judge.calibration import read_calibration
from llm_judge.errors import UsageError
from llm_judge.evals.cells import Dimension
from llm_judge.evals.metrics import measure
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.run_folder import read_manifest, read_outcomes
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

KEPT_METRICS = ("auroc", "auprc")


def judge_of(run: Path) -> dict[str, Any]:
    """Return what an eval run says judged it: model, adapter, policy and prompt digests.

    Raises:
        UsageError: it is no run, or one of a baseline that is no model.
    """
    judge = read_manifest(run).get("judge")
    if not isinstance(judge, dict):
        raise UsageError(
            f"`{run}` is a run of a baseline, not of a model", "give one of `llm-judge eval run`"
        )
    return judge


def check_run_of(run: Path, digest: str) -> dict[str, Any]:
    """Return what judged a run, which must be the adapter with this digest; raises ``UsageError``."""
    judge = judge_of(run)
    found = judge.get("adapter_digest")
    if found != digest:
        shown = f"the adapter `{str(found)[:12]}`" if found else "no adapter"
        raise UsageError(
            f"`{run}` was judged by {shown}, not by `{digest[:12]}`",
            "run `llm-judge eval run` with this adapter as --engine local:NAME",
        )
    return judge


def adapter_facts(
    digest: str,
    *,
    runs: Sequence[Path] = (),
    data: Path | None = None,
    calibration: Path | None = None,
    base: Path | None = None,
    draws: int = 1000,
) -> AdapterFacts:
    """Collect what is known about an adapter.

    Args:
        digest: of the adapter; see ``adapters.lora_folder``.
        runs: finished eval runs judged by it.
        data: folder of its training data, or the manifest in it.
        calibration: file made for it.
        base: folder of the model it was trained on; else the runs say which.
        draws: resamples behind the intervals.

    Raises:
        UsageError: something belongs to another adapter, or cannot be read.
    """
    judges = [check_run_of(run, digest) for run in runs]
    for name in ("model_digest", "policy_digest", "prompt_digest"):
        if len({judge[name] for judge in judges}) > 1:
            raise UsageError(f"the runs differ in their {name.replace('_', ' ')}", "give runs of one set-up")
    judge = judges[0] if judges else {}
    return AdapterFacts(
        base=_base(base, judge),
        policy_digest=judge.get("policy_digest"),
        prompt_digest=judge.get("prompt_digest"),
        data_digest=_data_digest(data),
        metrics=tuple(metric for run in runs for metric in _metrics(run, draws)),
        calibration_digest=_calibration_digest(calibration, digest),
    )


def _base(folder: Path | None, judge: Mapping[str, Any]) -> BaseModelReference | None:
    if folder is None:
        return BaseModelReference(name=judge["model"], digest=judge["model_digest"]) if judge else None
    try:
        digest = file_sha256(folder / "model.safetensors")
    except OSError as error:
        raise UsageError(
            f"`{folder}` is no model in one safetensors file: {(error.strerror or '').lower()}",
            "give the folder with config.json and model.safetensors",
        ) from None
    if judge and judge["model_digest"] != digest:
        raise UsageError(f"the runs were judged by another model than `{folder}`", "leave out --base")
    return BaseModelReference(name=folder.resolve().name, digest=digest)


def _data_digest(data: Path | None) -> str | None:
    if data is None:
        return None
    path = data / "manifest.json" if data.is_dir() else data
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read: {(error.strerror or '').lower()}",
            "give a folder made by `llm-judge finetune data`",
        ) from None


def _calibration_digest(path: Path | None, digest: str) -> str | None:
    if path is None:
        return None
    calibration = read_calibration(path)
    if calibration.identity.adapter != digest:
        raise UsageError(
            f"`{path}` was made for another adapter than `{digest[:12]}`",
            "make one with `llm-judge eval calibrate` from a run of this adapter",
        )
    return calibration.digest


def _metrics(run: Path, draws: int) -> Iterator[MeasuredMetric]:
    outcomes = read_outcomes(run)
    for cell in measure(outcomes, [Dimension.OVERALL], draws=draws):
        if cell.at.kind is not Kind.AREA:
            continue
        for name in KEPT_METRICS:
            found = cell.metrics[name]
            if found.value is not None:
                yield MeasuredMetric(
                    suite=", ".join(sorted({outcome.suite for outcome in outcomes}))[:400],
                    kind=cell.at.kind.value,
                    key=cell.at.key,
                    metric=name,
                    value=round(found.value, 4),
                    low=None if found.low is None else round(found.low, 4),
                    high=None if found.high is None else round(found.high, 4),
                    items=cell.counts.n,
                )
