"""The schemas of editors accept what we accept, and explain every key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llm_judge.policy.file_kind import FileKind, kind_of
from llm_judge.policy.key_help import ANSWER_HELP, KEY_HELP, VALUE_HELP
from llm_judge.policy.model import Example, Node
from llm_judge.policy.schema import file_schema, schema_text
from llm_judge.policy.shape import keys
from llm_judge.resources import content_folder
from llm_judge.source import Kind, SourceNode
from llm_judge.strict_yaml import parse

POLICIES = content_folder("policies")
BAD = Path(__file__).parent.parent / "bad_policies"
SHIPPED = sorted(path for path in POLICIES.rglob("*.yaml"))
# What a schema cannot say: ids that repeat, names that lead nowhere, and comments.
READ_AS_YAML = [
    path
    for path in sorted(BAD.glob("*.yaml"))
    if "error[P0" in (text := path.with_suffix(".txt").read_text(encoding="utf-8")) and "[P000]" not in text
]


def data(node: SourceNode) -> Any:
    if node.kind is Kind.MAPPING:
        return {key.text: data(value) for key, value in node.entries}
    return [data(item) for item in node.items] if node.kind is Kind.SEQUENCE else node.value


def complaints(path: Path) -> list[str]:
    root, _ = parse(path.read_text(encoding="utf-8"), path.name)
    assert root is not None
    validator = Draft202012Validator(file_schema(kind_of(path, root)))
    return [error.message for error in validator.iter_errors(data(root))]


@pytest.mark.parametrize("kind", FileKind)
def test_the_schema_files_are_valid_and_not_stale(kind):
    Draft202012Validator.check_schema(file_schema(kind))
    written = (POLICIES / "schema" / kind.schema_name).read_text(encoding="utf-8")
    assert written == schema_text(kind), "run `llm-judge policy schema`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_fit(path):
    assert complaints(path) == []


def test_most_wrong_shapes_are_found():
    passed = [path.name for path in READ_AS_YAML if not complaints(path)]
    assert len(READ_AS_YAML) > 20
    assert len(passed) <= len(READ_AS_YAML) // 5, passed


def reachable(model: type[Node]) -> set[type[Node]]:
    below = [each for each in keys(model).values() if each is not None]
    return {model}.union(*(reachable(each) for each in below))


def test_every_key_and_value_is_explained_and_nothing_else():
    models = set().union(*(reachable(kind.model) for kind in FileKind))
    assert {model: set(texts) for model, texts in KEY_HELP.items()} == {m: set(keys(m)) for m in models}
    assert all(list(texts) == [each.value for each in enum] for enum, texts in VALUE_HELP.items())
    assert str(tuple(ANSWER_HELP)) in str(Example.model_fields["verdict"].annotation).replace(
        "[", "("
    ).replace("]", ")")


def test_examples_of_keys_are_right():
    for kind in FileKind:
        schema = file_schema(kind)
        for block in (schema, *schema["$defs"].values()):
            for name, described in block.get("properties", {}).items():
                whole = {"$schema": schema["$schema"], "$defs": schema["$defs"], **described}
                for example in described.get("examples", []):
                    assert Draft202012Validator(whole).is_valid(example), (kind, name, example)


def test_only_keys_that_people_write_are_offered():
    text = "".join(schema_text(kind) for kind in FileKind)
    assert '"at"' not in text
    assert '"places"' not in text
    assert "null" not in text
