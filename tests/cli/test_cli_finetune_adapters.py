"""`llm-judge finetune adapters`, `export`, `card`, and wrong words to `gate` and `merge`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Run

from llm_judge.resources import content_folder

for needed in ("sklearn", "pyarrow", "safetensors"):
    pytest.importorskip(needed)

SHIPPED = content_folder("finetune") / "adapters" / "default"
Command = Callable[..., Run]


@pytest.fixture
def adapters(folder: Path, llm_judge: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`llm-judge finetune adapters …` on a registry with the shipped adapter under the name `first`."""
    monkeypatch.setenv("LLM_JUDGE_ADAPTERS", str(folder / "registry"))
    assert llm_judge("finetune", "adapters", "add", SHIPPED, "--name", "first").code == 0
    return lambda *words: llm_judge("finetune", "adapters", *words)


def second(folder: Path) -> Path:
    """The same weights under another scale: another adapter."""
    other = folder / "second"
    other.mkdir()
    (other / "adapter_model.safetensors").write_bytes((SHIPPED / "adapter_model.safetensors").read_bytes())
    config = json.loads((SHIPPED / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 16}))
    return other


def test_from_adding_to_rolling_back(folder: Path, adapters: Command) -> None:
    assert adapters("add", second(folder), "--name", "second").code == 0
    for name in ("first", "second"):
        assert adapters("promote", name, "--ungated", "a test").code == 0
    rows = {row["names"][0]: row for row in json.loads(adapters("list", "--json").out)}
    assert [rows[name]["current"] for name in ("first", "second")] == [False, True]
    assert rows["first"]["rank"] == 16
    back = adapters("rollback")
    assert back.out == f"current: {rows['first']['digest']}\n"
    shown = adapters("show", "current")
    assert f"adapter {rows['first']['digest']}" in shown.out
    assert json.loads(adapters("show", "first", "--json").out)["manifest"]["targets"][0] == "down_proj"
    assert "first" in adapters("list").out


def test_verify_says_which_adapter_was_changed(folder: Path, adapters: Command) -> None:
    assert adapters("verify").code == 0
    (weights,) = (folder / "registry").rglob("adapter_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    done = adapters("verify", "first")
    assert done.code == 1
    assert "was changed" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("adapters", "add", SHIPPED, "--name", "Current!"), "cannot be the name of an adapter"),
        (("adapters", "add", SHIPPED, "--name", "current"), "`current` is reserved"),
        (("adapters", "add", "nowhere", "--name", "x"), "has no adapter_config.json"),
        (("adapters", "add", SHIPPED, "--name", "x", "--run", "nowhere"), "is no eval run"),
        (("adapters", "add", SHIPPED, "--name", "x", "--data", "nowhere"), "cannot be read: no such file"),
        (("adapters", "add", SHIPPED, "--name", "x", "--calibration", "nowhere"), "cannot be read"),
        (("adapters", "add", SHIPPED, "--name", "x", "--base", "nowhere"), "is no model in one safetensors"),
        (
            ("adapters", "add", SHIPPED, "--name", "x", "--recipe", "nowhere"),
            "`nowhere` is refused: no such file",
        ),
        (("adapters", "show", "second"), "the registry has no adapter `second`"),
        (("adapters", "show", "../first"), "the registry has no adapter `../first`"),
        (("adapters", "show", "current"), "no adapter is current"),
        (("adapters", "promote", "first"), "has not passed the liveness gate"),
        (("adapters", "rollback"), "no earlier adapter"),
        (("export", "first", "--out", "sales.yaml"), "`sales.yaml` exists already"),
        (("merge", "second", "--out", "merged"), "there is no adapter `second`"),
        (("merge", "first", "--out", "sales.yaml", "--base", "."), "`sales.yaml` exists already"),
        (("gate", "second"), "there is no adapter `second`"),
        (("gate", "first", "--candidate", "run"), "--candidate and --current go together"),
        (("gate", "first", "--floors", "sales.yaml"), "--floors needs runs"),
        (("gate", "first", "--limits", "sales.yaml"), "sales.yaml:"),
        (("gate", "first", "--probes", "."), "`demo/sales` must have one rule"),
        (("gate", "first", "--candidate", ".", "--current", "."), "`.` is no eval run"),
    ],
)
def test_wrong_words_are_one_clear_line(
    folder: Path, adapters: Command, llm_judge: Command, words: tuple[str | Path, ...], message: str
) -> None:
    if "--probes" in words:
        (folder / "demo").mkdir()
        (folder / "sales.yaml").rename(folder / "demo" / "sales.yaml")
    done = llm_judge("finetune", *words)
    assert done.code == 2
    assert message in done.err


def test_export_and_card(folder: Path, adapters: Command, llm_judge: Command) -> None:
    done = llm_judge("finetune", "export", "first", "--out", "first.tar")
    assert done.code == 0
    assert "--max-lora-rank 16" in done.out
    assert (folder / "first.tar").stat().st_size > 9_000_000
    assert llm_judge("finetune", "card", "first", "--out", "card.md").code == 0
    assert "# first" in (folder / "card.md").read_text()


def test_an_engine_is_opened_by_name(
    folder: Path, adapters: Command, llm_judge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_judge.engines.open import find_adapter
    from llm_judge.errors import EngineError

    digest = json.loads(adapters("list", "--json").out)[0]["digest"]
    stored = folder / "registry" / "adapters" / digest
    assert find_adapter("first") == find_adapter(digest[:10]) == stored
    assert find_adapter("base") is None
    assert find_adapter("") == SHIPPED
    (folder / "first").mkdir()  # a folder of the same name does not stand in for it
    assert find_adapter("first") == stored
    assert find_adapter("./first") == Path("first")
    (stored / "adapter_config.json").write_text("{}")
    with pytest.raises(EngineError, match="is damaged"):
        find_adapter("first")
    done = llm_judge("judge", "Fine.", "-p", "sales.yaml", "-e", "local:current")
    assert (done.code, "no adapter is current" in done.err) == (2, True)
