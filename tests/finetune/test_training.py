"""Whole runs of tiny random models: they learn, look at dev, stop, survive a kill, and ship two files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
import torch
from tiny_models import BAD, GOOD, data_folder, tiny_llama, tiny_qwen_vl, write_recipe

from llm_judge.errors import UsageError
from llm_judge.finetune.training import Training
from llm_judge.finetune.training_recipe import load_training_recipe

SHIPPED = {"adapter_config.json", "adapter_model.safetensors", "training.json"}
pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data and an adapter that `sft` made."""
    folder = tmp_path_factory.mktemp("place")
    tiny_llama(folder / "model")
    data_folder(folder / "data", folder / "model")
    run(
        folder,
        "sft",
        "sft",
        batch=16,
        epochs=8.0,
        evaluate_every=32,
        watch="loss",
        weights={"explanation": 0.25},
    )
    return folder


def training(place: Path, stage: str, **settings: Any) -> Training:
    folders = {"model": str(place / "model"), "data": str(place / "data")}
    path = write_recipe(place / f"{stage}.yaml", stage, **folders, **settings)
    return Training(load_training_recipe(path, stage), lambda _line: None)


def run(place: Path, stage: str, out: str, resume: bool = False, **settings: Any) -> dict[str, Any]:
    return training(place, stage, **settings).run(place / out, resume)


def test_sft_learns_and_ships_an_adapter_and_a_record(place: Path) -> None:
    from safetensors.torch import load_file

    assert {path.name for path in (place / "sft").iterdir()} == SHIPPED
    record = json.loads((place / "sft" / "training.json").read_text())
    assert record["finished"]
    assert record["dev_after"]["auroc"] > 0.9 > record["dev_before"]["auroc"]
    assert record["dev_after"]["label_mass"] > 0.9
    assert record["dev_after"]["loss"] < record["dev_before"]["loss"] / 2
    assert record["learnt"]
    tensors = load_file(place / "sft" / "adapter_model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.bfloat16"}
    assert len(tensors) == 2 * 7 * 2


def test_no_file_of_a_run_holds_a_row(place: Path) -> None:
    said = b"".join(path.read_bytes() for path in (place / "sft").iterdir())
    assert not any(word.encode() in said for word in (*BAD, *GOOD))
    assert str(place).encode() not in said


def test_the_judge_serves_what_was_trained(place: Path) -> None:
    """What the in-process engine reads with the adapter is what dev was answered with in training."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from llm_judge.engines.weights import load_model

    merged = load_model(place / "model", place / "sft", "float32")
    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(place / "model"), place / "sft")
    row = training(place, "sft").dev.dataset[0]["input_ids"]
    with torch.no_grad():
        one, other = (model(torch.tensor([row])).logits[0, -1] for model in (merged, beside.eval()))
    assert torch.allclose(one, other, atol=1e-3)


def test_dpo_prefers_the_right_answer_to_the_reference_it_starts_from(place: Path) -> None:
    settings = {"batch": 8, "max_steps": 12, "evaluate_every": 6, "learning_rate": 0.005, "dev_rows": 24}
    record = run(place, "dpo", "dpo", start_from=str(place / "sft"), **settings)
    assert record["dev_before"]["preference"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: it is the reference
    assert record["dev_after"]["preference"] < 0.6
    assert record["dev_after"]["preference_accuracy"] > 0.7
    assert {path.name for path in (place / "dpo").iterdir()} == SHIPPED


def test_grpo_moves_towards_what_labels_reward(place: Path) -> None:
    run(place, "sft", "short", batch=16, max_steps=6, evaluate_every=6, watch="loss")
    settings = {"batch": 16, "generations": 8, "answer_tokens": 3, "max_steps": 12, "evaluate_every": 12}
    settings |= {
        "kinds": ["rule", "area", "exemption"],
        "learning_rate": 0.005,
        "watch": "loss",
        "dev_rows": 24,
    }
    record = run(place, "grpo", "grpo", start_from=str(place / "short"), **settings)
    assert record["learnt"]
    assert record["dev_after"]["label_mass"] > record["dev_before"]["label_mass"]
    assert {path.name for path in (place / "grpo").iterdir()} == SHIPPED


def test_a_run_that_learns_nothing_says_so(place: Path) -> None:
    """Every answer of a random model is unreadable, so all are worth the same."""
    settings = {"batch": 8, "generations": 8, "answer_tokens": 2, "max_steps": 2, "evaluate_every": 2}
    record = run(place, "grpo", "nothing", watch="loss", kinds=["rule"], dev_rows=8, **settings)
    assert not record["learnt"]


def test_a_run_stops_where_nothing_gets_better(place: Path) -> None:
    settings = {"batch": 16, "epochs": 50.0, "evaluate_every": 2, "patience": 2, "learning_rate": 0.5}
    record = run(place, "sft", "stopped", start_from=str(place / "sft"), dev_rows=8, watch="loss", **settings)
    assert record["steps"] <= 20 < record["recipe"]["epochs"] * 6


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_killed_run_goes_on_to_the_same_curve_and_the_same_adapter(place: Path, stage: str) -> None:
    """Killed in the second epoch, where the order of rows and the dropout are not those of the first."""
    folders = {"model": str(place / "model"), "data": str(place / "data"), "dropout": 0.1}
    watch = {"sft": "loss", "dpo": "preference"}[stage]
    settings = {"batch": 16, "epochs": 3.0, "evaluate_every": 4, "dev_rows": 8, "watch": watch}
    recipe = write_recipe(place / f"kill-{stage}.yaml", stage, **folders, **settings)
    whole = Training(load_training_recipe(recipe, stage), lambda _line: None)
    expected = whole.run(place / f"{stage}-whole", False)
    out = place / f"{stage}-killed"
    command = [sys.executable, "-m", "llm_judge", "finetune", stage, str(recipe), "--out", str(out)]
    # Sums depend on how many threads share them; an earlier test may have set the number in this process.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while not any((out / "checkpoints").glob("checkpoint-[89]/whole")) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert not (out / "adapter_model.safetensors").exists()
    with pytest.raises(UsageError, match="was not finished"):
        whole.run(out, False)
    found = Training(load_training_recipe(recipe, stage), lambda _line: None).run(out, True)
    assert found["seconds_are_since_step"] in (8, 12, 16)
    assert found["curve"] == expected["curve"]
    assert found["adapter"] == expected["adapter"]
    with pytest.raises(UsageError, match="holds a finished run"):
        whole.run(out, True)


def test_a_run_is_not_gone_on_with_by_another_recipe(place: Path) -> None:
    from llm_judge.finetune.training_folder import RunFolder

    RunFolder(place / "begun", {"recipe": "a", "data": "b"}).claim(False)
    with pytest.raises(UsageError, match="another run: data changed"):
        RunFolder(place / "begun", {"recipe": "a", "data": "c"}).claim(True)
    RunFolder(place / "begun", {"recipe": "a", "data": "b"}).claim(True)


def test_too_few_held_out_rows_for_the_figure_are_said(place: Path) -> None:
    with pytest.raises(UsageError, match="give no auroc"):
        run(place, "sft", "few", dev_rows=6, watch="auroc")


def test_two_processes_train_one_adapter(place: Path) -> None:
    settings = {"batch": 8, "max_steps": 6, "evaluate_every": 6, "watch": "loss", "dev_rows": 12}
    folders = {"model": str(place / "model"), "data": str(place / "data")}
    recipe = write_recipe(place / "two.yaml", "sft", **folders, **settings)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "llm_judge", "finetune", "sft", str(recipe), "--out", str(place / "two")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((place / "two" / "training.json").read_text())
    assert record["hardware"]["processes"] == 2
    assert done.stderr.count("dev at step 6") == 1
    # Two processes of eight rows are one of sixteen: the same rows in the same steps, and the same loss.
    one = run(place, "sft", "one", **(settings | {"batch": 16}))
    losses = [[loss for _, loss in each["curve"]["loss"]] for each in (one, record)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def picture_file(folder: Path, number: int, seed: int) -> Path:
    """Red pictures break the rule, blue ones do not."""
    import random

    from PIL import Image

    draw = random.Random(seed)
    folder.mkdir()
    lines = []
    for count in range(number):
        high, low, other = draw.randint(170, 255), draw.randint(0, 80), draw.randint(0, 80)
        colour = (high, low, other) if count % 2 else (low, other, high)
        Image.new("RGB", (56, 56), colour).save(folder / f"{count}.png")
        prompt = [{"role": "system", "content": "Judge."}, {"role": "user", "content": "Red: yes or no?"}]
        answer = [{"role": "assistant", "content": "yes" if count % 2 else "no"}]
        lines.append(json.dumps({"prompt": prompt, "completion": answer, "images": [f"{count}.png"]}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "rows.jsonl"


def test_a_vision_model_learns_two_colours_with_its_language_layers_alone(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = tiny_qwen_vl(tmp_path / "model")
    sets = (("data", 48, 1), ("dev", 40, 2))
    files = {name: str(picture_file(tmp_path / name, number, seed)) for name, number, seed in sets}
    settings = {"batch": 12, "epochs": 15.0, "evaluate_every": 20, "watch": "loss", "learning_rate": 0.005}
    recipe = write_recipe(tmp_path / "vlm.yaml", "sft", model=str(model), **files, **settings)
    run = Training(load_training_recipe(recipe, "sft"), lambda _line: None)
    record = run.run(tmp_path / "out", False)
    assert record["dev_after"]["auroc"] == 1.0
    names = set(load_file(tmp_path / "out" / "adapter_model.safetensors"))
    assert names
    assert all(".language_model.layers." in name for name in names)
    assert right_answers(tmp_path, run) == 40


def right_answers(folder: Path, run: Training) -> int:
    """Held-out pictures whose likeliest next token is the right answer, with the shipped adapter."""
    import torch
    from peft import PeftModel
    from transformers import Qwen2_5_VLForConditionalGeneration
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from llm_judge.finetune.answer_loss import answer_log_probs
    from llm_judge.finetune.picture_processor import load_processor

    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "model")
    warnings.simplefilter("error")  # PEFT only warns about keys that are missing
    model = PeftModel.from_pretrained(base, folder / "out").eval()
    collate = DataCollatorForVisionLanguageModeling(load_processor(run.base), completion_only_loss=True)
    batch = dict(collate([{k: v for k, v in dict(row).items() if k != "weight"} for row in run.dev.dataset]))
    with torch.no_grad():
        log_probs, targets, rows = answer_log_probs(model, batch)
    first = [int((rows == row).nonzero()[0]) for row in range(40)]
    return int((log_probs.argmax(-1) == targets)[first].sum())
