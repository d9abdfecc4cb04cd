"""The built wheel works from an empty folder: content folders travel inside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built and unpacked the way pip lays it out, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return folder / "site"


def run(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", "from llm_judge.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_and_not_the_checkout_is_imported(site: Path, tmp_path: Path) -> None:
    code = "import llm_judge.resources as r; print(r.__file__); print(r.content_folder('policies'))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(line.startswith(str(site)) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "name", ["policies/safety/hate.yaml", "prompts/compact/rule.j2", "evals/demo/items.jsonl"]
)
def test_content_folders_are_inside(site: Path, name: str) -> None:
    assert (site / "llm_judge" / "_data" / name).is_file()


def test_it_compiles_the_shipped_policies_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "show", "prompt", "A quiet day at the lake.", "--question", "safety/hate#HS1")
    assert done.returncode == 0, done.stderr
    assert "Dehumanising comparison" in done.stdout
    assert "[1] A quiet day at the lake." in done.stdout


def test_it_makes_a_record_store_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("alembic")
    (tmp_path / "none.jsonl").touch()
    made = run(site, tmp_path, "records", "import", "none.jsonl", "--store", "decisions.sqlite3")
    assert made.returncode == 0, made.stderr
    assert run(site, tmp_path, "records", "verify", "--store", "decisions.sqlite3").returncode == 0


@pytest.mark.model
def test_it_judges_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "judge", "A quiet day at the lake.", "--json", "--explain", "never")
    assert done.returncode in (0, 1, 3), done.stderr
    assert '"decision_id"' in done.stdout


def test_the_wheel_holds_no_labelled_data(site: Path) -> None:
    assert not list(site.rglob("*.parquet"))
    assert not [p for p in site.rglob("*") if zipfile.is_zipfile(p) and p.suffix not in (".npz",)]


def test_inspect_finds_the_tasks(site: Path) -> None:
    """It looks for them under the name of the package, and loads the module that is named there."""
    (listed,) = site.glob("llm_judge-*.dist-info/entry_points.txt")
    points = ConfigParser()
    points.read(listed)
    module = points["inspect_ai"]["llm_judge"]
    assert (site / module.replace(".", "/")).with_suffix(".py").is_file()
