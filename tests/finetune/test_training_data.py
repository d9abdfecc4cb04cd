"""Labelled sets and a recipe in, files for TRL and a manifest that accounts for every row out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from labelled_sets import many, write

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind
from llm_judge.evals.run_folder import OUTCOMES, write_outcomes
from llm_judge.finetune.data_page import statistics_page
from llm_judge.finetune.data_recipe import DataRecipe, default_recipe, load_data_recipe
from llm_judge.finetune.labelled import training_policies
from llm_judge.finetune.rows import LabelledRow
from llm_judge.finetune.training_data import MANIFEST, PAGE, Reader, compile_data
from llm_judge.packaged import file_sha256

LEAK = "The gardener next door waters every single tomato plant before the sun is up, and sings to them."
POLICIES = training_policies()
CORRECTED = "Nobody at all has sung to the tomatoes on the balcony since the end of last week."


@contextmanager
def silent(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    train = [*many("davidson", 12), *many("mlma", 6, "hate.other"), *many("mlma", 6, lang="fr", start=50)]
    train += [{**many("davidson", 1)[0], "id": "leak", "text": f" {LEAK.lower()} "}]
    write(folder, *train)
    return write(
        folder, {**many("told_br", 1)[0], "text": LEAK}, *many("told_br", 4, "hate.other"), split="dev"
    )


@pytest.fixture(scope="module")
def recipe() -> DataRecipe:
    shipped = load_data_recipe(default_recipe(), [policy.policy for policy in POLICIES])
    return shipped.model_copy(update={"own_rows": 60, "deals": 2, "whole_policy": 0.0})


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An eval run on two training rows and one that is none, with a wrong answer each."""
    folder = tmp_path_factory.mktemp("run")
    texts = [row["text"] for row in (*many("mlma", 2, "hate.other"), *many("told_br", 1))]
    answer = Answer(Kind.AREA, "safety/hate", True, 0.1, 0.0, 1.0, "clear")
    write_outcomes(
        [
            ItemOutcome(
                text,
                LabelledRow(text, "en", "s", {}).digest,
                "s",
                "s",
                "text",
                "en",
                (),
                text,
                (answer,),
                "allow",
            )
            for text in texts
        ],
        folder / OUTCOMES,
    )
    return folder


@pytest.fixture(scope="module")
def made(data: Path, recipe: DataRecipe, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    lines = [
        {"decision": "d1", "text": text, "rule": "safety/hate#HS1", "verdict": "violates"}
        for text in (CORRECTED, LEAK)
    ]
    overrides = out.parent / "overrides.jsonl"
    overrides.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    compile_data(recipe, default_recipe(), POLICIES, data, out, silent, runs=[run], overrides=overrides)
    return out


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return found


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    return found


def test_reads_are_prompt_completion_rows(made: Path) -> None:
    found = rows(made, "reads")
    assert {row["source"] for row in found} >= {"own", "davidson", "mlma"}
    for row in found:
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        (answer,) = row["completion"]
        assert (answer["role"], answer["content"] in ("yes", "no", "except")) == ("assistant", True)
        assert row["weight"] == 1
        assert 0 < row["tokens"] < 8192
    for row in rows(made, "explanations"):
        assert next(iter(json.loads(row["completion"][0]["content"]))) == "evidence"
        assert row["kind"] == "explanation"


def test_tokens_are_those_of_the_whole_chat(made: Path) -> None:
    reader = Reader.of("smollm2-135m-instruct")
    for row in rows(made, "reads")[:20]:
        system, user = (message["content"] for message in row["prompt"])
        whole = f"{reader.frame.head}{system}{reader.frame.mid}{user}{reader.frame.tail}"
        assert (
            row["tokens"] == len(reader.tokens.encode_template(whole)) + 2
        )  # the answer, the end of the turn


def test_pairs_hold_misses_and_corrections(made: Path) -> None:
    found = rows(made, "pairs")
    assert all(row["chosen"] != row["rejected"] for row in found)
    told = [(r["contrast"], r["key"], r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in found]
    assert told.count(("miss", "safety/hate", "yes", "no")) == 2
    assert told.count(("override", "safety/hate#HS1", "yes", "no")) == 1
    assert list(manifest(made)["left_out"]["item of a run that is no training row"].values()) == [1]


def test_what_is_scored_is_in_no_training_file(made: Path) -> None:
    digest = LabelledRow(f" {LEAK.lower()} ", "en", "s", {}).digest
    for name in ("reads", "explanations", "pairs"):
        for row in rows(made, name):
            assert row["row"] != digest
            assert "sings to them" not in row["prompt"][1]["content"].lower()
    assert manifest(made)["left_out"]["equals a held-out text"] == {"davidson": 1, "review": 1}
    train, dev = ({row["row"] for row in rows(made, name)} for name in ("reads", "dev_reads"))
    assert not train & dev
    assert {row["source"] for row in rows(made, "dev_reads")} == {"own", "told_br"}


def test_the_manifest_accounts_for_every_file(made: Path) -> None:
    about = manifest(made)
    for name, output in about["outputs"].items():
        assert output["sha256"] == file_sha256(made / name)
        assert output["rows"] == len(rows(made, name.removesuffix(".parquet")))
        assert all(sum(counts.values()) == output["rows"] for counts in output["counts"].values())
    assert about["inputs"]["recipe"] == file_sha256(default_recipe())
    assert about["seed"] == 1


def test_the_page_shows_counts_and_no_words(made: Path) -> None:
    page = (made / PAGE).read_text("utf-8")
    assert page == statistics_page(manifest(made))
    assert "exemption_<wbr>toggled" in page
    assert "equals a held-out text" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "waters" not in page


def test_the_same_inputs_give_the_same_bytes(
    made: Path, data: Path, recipe: DataRecipe, run: Path, tmp_path: Path
) -> None:
    overrides = made.parent / "overrides.jsonl"
    compile_data(recipe, default_recipe(), POLICIES, data, tmp_path, silent, runs=[run], overrides=overrides)
    names = sorted(path.name for path in made.iterdir())
    assert [file_sha256(tmp_path / name) for name in names] == [file_sha256(made / name) for name in names]


def test_areas_left_out_are_never_shown(data: Path, recipe: DataRecipe, tmp_path: Path) -> None:
    held = recipe.model_copy(update={"own_rows": 5, "leave_out_policies": ("safety/hate",)})
    compile_data(held, default_recipe(), POLICIES, data, tmp_path, silent)
    title = next(p.title for p in POLICIES if p.policy == "safety/hate")
    assert all(title not in row["prompt"][0]["content"] for row in rows(tmp_path, "reads"))


def test_only_the_named_languages_are_shown(data: Path, recipe: DataRecipe, tmp_path: Path) -> None:
    french = recipe.model_copy(update={"languages": ("fr",)})
    compile_data(french, default_recipe(), POLICIES, data, tmp_path / "out", silent)
    assert {row["lang"] for row in rows(tmp_path / "out", "reads")} == {"fr"}
    assert manifest(tmp_path / "out")["left_out"]["another language"]["davidson"] == 13


def test_data_is_not_written_over(made: Path, data: Path, recipe: DataRecipe) -> None:
    with pytest.raises(UsageError, match="already holds training data"):
        compile_data(recipe, default_recipe(), POLICIES, data, made, silent)


def test_a_model_is_packaged_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model `gpt`"):
        Reader.of("gpt")
