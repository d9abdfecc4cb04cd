"""Merged folders: the same answers, exact position encoding, and nothing left behind by a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.errors import EngineError, UsageError
from llm_judge.finetune.liveness_probes import read_probes
from llm_judge.finetune.merge import ParityMissed, merge_to

pytest.importorskip("peft")

if TYPE_CHECKING:
    from conftest import Tiny


def test_a_merged_folder_answers_like_base_and_adapter(tiny: Tiny, tmp_path: Path) -> None:
    import numpy as np

    from llm_judge.engines.local import LocalEngine

    parity = merge_to(tiny.base, tiny.follows, tmp_path / "m" / "merged", tiny.probes, dtype="float32")
    assert parity.reads > 0
    assert parity.largest < 1e-3
    served = LocalEngine(tmp_path / "m" / "merged", None, "float32")
    beside = LocalEngine(tiny.base, tiny.follows, "float32")
    one, other = (read_probes(engine, tiny.probes).logprobs for engine in (served, beside))
    assert np.abs(one - other).max() < 1e-3
    about = json.loads((tmp_path / "m" / "merged" / "merged.json").read_text())
    assert about["adapter"] == adapter_digest(tiny.follows)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["merged"]


def test_rounding_is_done_once_and_spares_the_position_encoding(tiny: Tiny, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    out = tmp_path / "merged"
    parity = merge_to(tiny.base, tiny.follows, out, tiny.probes)
    assert parity.largest > 0
    merged = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    base = AutoModelForCausalLM.from_pretrained(tiny.base, dtype=torch.float32)
    assert {weight.dtype for weight in merged.parameters()} == {torch.bfloat16}
    assert merged.model.rotary_emb.inv_freq.equal(base.model.rotary_emb.inv_freq)
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "llm_judge" not in (out / "config.json").read_text()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (tiny.base / name).read_bytes()
    assert not list(out.glob("*.bin"))


def test_too_large_a_difference_writes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ParityMissed, match="nats from its adapter") as refused:
        merge_to(tiny.base, tiny.follows, tmp_path / "merged", tiny.probes, at_most=1e-9)
    assert refused.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        merge_to(tiny.base, tiny.follows, tmp_path, tiny.probes)
    with pytest.raises(UsageError, match="unknown dtype"):
        merge_to(tiny.base, tiny.follows, tmp_path / "merged", tiny.probes, dtype="float16")
    with pytest.raises(EngineError, match="has no adapter_config"):
        merge_to(tiny.base, tiny.base, tmp_path / "merged", tiny.probes)
    assert list(tmp_path.iterdir()) == []
