"""An adapter of the registry → its model card, with every figure it has and none it has not.

The head is written by huggingface_hub, so that a hub reads base model, licence and results out of it. Knows
nothing about where cards go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.adapters.manifest import AdapterManifest, GatesPassed, MeasuredMetric

_LIMITS = """\
## Limits

- An adapter judges by the policies it is given, and only as well as the figures above say: for areas and
  languages that are not in them nothing is known.
- Figures of suites that were looked at while training or choosing are no test figures.
- A probability is not a decision: thresholds come from a calibration made for this adapter, these policies
  and this prompt, and no other.
- It reads text: what is written in pictures, spoken in sound, or measured. It sees no pixels.
- Not for decisions about people without a person who can overrule it.
"""


def model_card(
    manifest: AdapterManifest, name: str, gates: GatesPassed | None, licence: str | None = None
) -> str:
    """Return the card as Markdown with its YAML head.

    Args:
        manifest: what the registry knows.
        name: what to call the adapter.
        gates: which gates it passed, None for none.
        licence: SPDX name, or None where nobody said.

    Raises:
        UsageError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import EvalResult, ModelCard, ModelCardData
    except ImportError:
        raise UsageError("a card needs `huggingface_hub`", "pip install 'llm-judge[local]'") from None
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=each.suite,
            dataset_name=f"{each.suite}, {each.kind} {each.key}",
            metric_type=each.metric,
            metric_value=each.value,
        )
        for each in manifest.metrics
    ]
    data = ModelCardData(
        base_model=manifest.base.name if manifest.base else None,
        library_name="peft",
        license=licence.lower() if licence else None,
        model_name=name,
        tags=["lora", "content-moderation", "llm-judge"],
        eval_results=results or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_body(manifest, name, gates)), True))


def _body(manifest: AdapterManifest, name: str, gates: GatesPassed | None) -> Iterator[str]:
    base = f"{manifest.base.name} (SHA-256 {manifest.base.digest})" if manifest.base else "not said"
    yield f"# {name}\n"
    yield "A LoRA adapter of llm-judge: it says whether content breaks a rule of the policy in its prompt.\n"
    yield "| | |\n|---|---|"
    yield f"| adapter | {manifest.digest} |"
    yield f"| base model | {base} |"
    yield f"| rank, alpha | {manifest.rank}, {manifest.alpha:g} |"
    yield f"| modules | {', '.join(manifest.targets)} |"
    for label, digest in (
        ("policies it was measured with", manifest.policy_digest),
        ("prompt it was measured with", manifest.prompt_digest),
        ("training data (SHA-256 of the manifest)", manifest.data_digest),
        ("calibration", manifest.calibration_digest),
    ):
        yield f"| {label} | {digest or 'not said'} |"
    yield f"| liveness gate | {_passed(gates.liveness if gates else None)} |"
    yield f"| promotion gate | {_passed(gates.promotion if gates else None)} |\n"
    yield "## Figures\n"
    yield from _figures(manifest.metrics)
    yield _LIMITS


def _figures(metrics: tuple[MeasuredMetric, ...]) -> Iterator[str]:
    if not metrics:
        yield "None: no eval run was given when it was added to the registry.\n"
        return
    yield "| suite | question | metric | value | 95 % interval | n |\n|---|---|---|---|---|---|"
    for each in metrics:
        ends = "n/a" if each.low is None or each.high is None else f"{each.low:.3f} to {each.high:.3f}"
        value = "n/a" if each.value is None else f"{each.value:.3f}"
        yield f"| {each.suite} | {each.kind} {each.key} | {each.metric} | {value} | {ends} | {each.items} |"
    yield ""


def _passed(at: str | None) -> str:
    return f"passed {at}" if at else "not passed"
