"""Model cards: every figure with its interval, and a head that a hub can read."""

from __future__ import annotations

import pytest

from llm_judge.adapters.manifest import AdapterManifest, BaseModelReference, GatesPassed, MeasuredMetric
from llm_judge.finetune.card import model_card

huggingface_hub = pytest.importorskip("huggingface_hub")

FIGURE = MeasuredMetric(
    suite="core-text",
    kind="area",
    key="safety/hate",
    metric="auroc",
    value=0.81,
    low=0.75,
    high=0.86,
    items=412,
)
MANIFEST = AdapterManifest(
    digest="a" * 64,
    rank=16,
    alpha=32,
    targets=("q_proj", "v_proj"),
    added="2026-01-01T00:00:00+00:00",
    project_version="0.1.0",
    files={},
    base=BaseModelReference(name="tiny", digest="4" * 64),
    data_digest="d" * 64,
    metrics=(FIGURE,),
)


def test_the_head_reads_back_and_the_body_shows_the_interval() -> None:
    text = model_card(MANIFEST, "mine", GatesPassed(liveness="2026-01-02"), "Apache-2.0")
    card = huggingface_hub.ModelCard(text)
    assert (card.data.base_model, card.data.license, card.data.library_name) == ("tiny", "apache-2.0", "peft")
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "core-text, area safety/hate",
        "auroc",
        0.81,
    )
    assert "| core-text | area safety/hate | auroc | 0.810 | 0.750 to 0.860 | 412 |" in text
    assert "d" * 64 in text
    assert "| liveness gate | passed 2026-01-02 |" in text
    assert "| promotion gate | not passed |" in text
    assert "## Limits" in text


def test_what_nobody_said_is_not_made_up() -> None:
    bare = MANIFEST.model_copy(update={"base": None, "metrics": (), "data_digest": None})
    text = model_card(bare, "mine", None)
    assert "None: no eval run was given" in text
    assert text.count("not said") == 5
    assert "eval" not in str(huggingface_hub.ModelCard(text).data.to_dict())
