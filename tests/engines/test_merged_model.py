"""What a model folder says it holds, and what is believed of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from llm_judge.engines.merged_model import MERGED, digests_of


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_merged_folder_is_believed_while_its_weights_are_what_they_were(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    assert digests_of(tmp_path) == (sha256(b"weights"), None)
    about = {"base": "b" * 64, "adapter": "a" * 64, "files": {weights.name: sha256(b"weights")}}
    (tmp_path / MERGED).write_text(json.dumps(about))
    assert digests_of(tmp_path) == ("b" * 64, "a" * 64)
    weights.write_bytes(b"others!")
    assert digests_of(tmp_path) == (sha256(b"others!"), None)


def test_all_files_of_the_weights_count(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        (tmp_path / f"model-{number}.safetensors").write_bytes(b"%d" % number)
        found.append(digests_of(tmp_path)[0])
    (tmp_path / "model-0.safetensors").write_bytes(b"changed")
    assert len({*found, digests_of(tmp_path)[0]}) == 3
