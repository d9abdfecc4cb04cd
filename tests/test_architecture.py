"""The shape of the package: data flows one way, modules say what they are, heavy libraries wait."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import llm_judge
from llm_judge import errors
from llm_judge.resources import content_folder

PACKAGE = Path(llm_judge.__file__).parent
# Each may import the ones before it, none after it.
FLOW = """
    errors durable resources pip_download packaged diagnostics diagnostics_formats source json_file
    strict_yaml content policy compile prompt adapters engines calibration verdict decision record judge
    report store batch drift service client admin_client reliability evals finetune cli __main__
""".split()  # noqa: SIM905  # a list of twenty quoted words reads worse
HEAVY = {"torch", "transformers", "vllm", "numpy", "av", "PIL", "onnxruntime", "faster_whisper", "rapidocr"}
HEAVY |= {"fastapi", "starlette", "uvicorn", "prometheus_client", "httpx", "httpcore", "python_multipart"}
HEAVY |= {"trl", "peft", "datasets", "accelerate"}
HEAVY |= {"scipy", "sklearn", "krippendorff", "matplotlib", "pyarrow", "inspect_ai"}
HEAVY |= {"sqlalchemy", "alembic", "psycopg", "opentelemetry"}
# Modules that Inspect loads to register what they hold: they need its extra, and nothing imports them early.
FOR_INSPECT = {"llm_judge.evals.inspect_score", "llm_judge.evals.inspect_task"}
# Programs: nothing but each other imports them, and they are nothing without arrays.
PROGRAMS = {f"llm_judge.finetune.{name}" for name in ("measure", "tree_training")}
# Classes of torch and TRL: imported where a model is trained, and nowhere earlier.
TRAINERS = "answer_loss dev_figures dev_looks dpo grpo sft training_watch".split()  # noqa: SIM905
PROGRAMS |= {f"llm_judge.finetune.{name}" for name in TRAINERS}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py")) if "_data" not in path.parts}
# The application itself: it needs the extra `serve`, and only `llm-judge serve` loads it.
# What the client of the service and the command line share with it is light.
APPLICATION = {name for name in MODULES if name.startswith("llm_judge.service.")}
APPLICATION -= {f"llm_judge.service.{name}" for name in ("problems", "settings", "wire")}


def imported(module: str) -> Iterator[str]:
    """Every module of ours that this one imports anywhere: in functions and for types too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: write the whole name"
            names = [
                whole if (whole := f"{node.module}.{alias.name}") in MODULES else str(node.module)
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == "llm_judge")


GRAPH = {module: set(imported(module)) - {"llm_judge"} for module in MODULES}


def stage(module: str) -> str:
    return module.split(".")[1]


def test_every_module_has_a_place_in_the_flow() -> None:
    assert {stage(module) for module in MODULES if module != "llm_judge"} <= set(FLOW)
    assert {name for names in GRAPH.values() for name in names} <= set(MODULES)


def test_nothing_imports_backward() -> None:
    backward = [
        f"{module} imports {name}"
        for module, names in GRAPH.items()
        for name in names
        if module != "llm_judge" and FLOW.index(stage(name)) > FLOW.index(stage(module))
    ]
    assert backward == []


def test_no_ring() -> None:
    tuple(TopologicalSorter(GRAPH).static_order())  # raises CycleError with the ring


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is_and_stays_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 400
    assert not BANNED_NAMES & set(module.split("."))


def heavy_after(code: str) -> list[str]:
    """Heavy libraries that a fresh interpreter has loaded after running ``code``."""
    tail = f"\nimport json, sys\nprint(json.dumps(sorted({HEAVY!r} & set(sys.modules))), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, timeout=60, check=True
    )
    return list(json.loads(done.stderr.splitlines()[-1]))


def needs_database(module: str) -> bool:
    """The record store is nothing without SQLAlchemy: commands import it when they run."""
    return module.startswith("llm_judge.store.")


def test_importing_loads_no_heavy_library() -> None:
    special = PROGRAMS | FOR_INSPECT | APPLICATION
    light = [module for module in MODULES if module not in special and not needs_database(module)]
    assert heavy_after("\n".join(f"import {module}" for module in light)) == []


def test_help_loads_no_heavy_library() -> None:
    code = """
import sys
from llm_judge.cli.main import main
sys.argv = ["llm-judge", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert heavy_after(code) == []


def test_public_names_resolve_and_others_do_not() -> None:
    assert all(getattr(llm_judge, name) for name in llm_judge.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = llm_judge.no_such_name


def test_the_error_tree_on_the_first_page_is_complete() -> None:
    def rows(kind: type, depth: int) -> Iterator[tuple[int, str]]:
        yield depth, kind.__name__
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                yield from rows(child, depth + 2)

    lines = [line for line in inspect.getdoc(errors).splitlines() if line.lstrip().startswith("* ")]
    written = [(len(line) - len(line.lstrip()), line.split()[1]) for line in lines]
    assert sorted(written) == sorted(rows(errors.JudgeError, 0))


@pytest.mark.parametrize("name", ["policies", "prompts", "evals", "finetune"])
def test_content_folders_are_found(name: str) -> None:
    assert content_folder(name).is_dir()


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_folder"):
        content_folder("no_such_folder")
