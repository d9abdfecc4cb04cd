"""JSON Schema (2020-12) of policy, cases and overlay files, for editors that complete and explain keys.

Made from the models, with the texts of ``key_help``. It says what a file looks like; ``policy check`` also
knows what a file means. Writes no files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llm_judge.policy.cases import Case
from llm_judge.policy.file_kind import FileKind
from llm_judge.policy.key_help import ANSWER_HELP, KEY_HELP, VALUE_HELP
from llm_judge.policy.model import Example

if TYPE_CHECKING:
    from llm_judge.policy.model import Node

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NOT_BLANK = r"\S"


def file_schema(kind: FileKind) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file, as plain data."""
    raw = kind.model.model_json_schema(by_alias=True)
    blocks = {model.__name__: model for model in KEY_HELP}
    values = {enum.__name__: texts for enum, texts in VALUE_HELP.items()}
    defs: dict[str, Any] = {}
    for name, schema in sorted(raw.pop("$defs").items()):
        if name in blocks:
            defs[name] = _block(schema, blocks[name])
        elif name in values:
            defs[name] = _choice(values[name])
    root = _block(raw, kind.model)
    return {"$schema": _DIALECT, "title": kind.value.capitalize(), **root, "$defs": defs}


def schema_text(kind: FileKind) -> str:
    """Return the JSON Schema of one kind of file as the text of its file."""
    return json.dumps(file_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _block(schema: dict[str, Any], model: type[Node]) -> dict[str, Any]:
    """Return the schema of a block of keys: only keys that people write, each with its text."""
    written = {info.alias or name for name, info in model.model_fields.items() if not info.exclude}
    properties = {
        name: _described(_tidy(value), model, name)
        for name, value in schema["properties"].items()
        if name in written
    }
    block = {"type": "object", "additionalProperties": False, "properties": properties}
    if required := schema.get("required"):
        block["required"] = required
    return block | _dependencies(model)


def _described(schema: dict[str, Any], model: type[Node], name: str) -> dict[str, Any]:
    text, examples = KEY_HELP[model][name]
    if schema.get("enum") == list(ANSWER_HELP):
        schema |= _choice(ANSWER_HELP)
    shown = {"description": text}
    if "`" in text:  # editors show backticks of a plain description as they are
        shown["markdownDescription"] = text
    return {**shown, **schema, **({"examples": list(examples)} if examples else {})}


def _choice(texts: dict[str, str]) -> dict[str, Any]:
    """Return an enum; ``enumDescriptions`` is for editors, other readers pass over it."""
    return {"type": "string", "enum": list(texts), "enumDescriptions": list(texts.values())}


def _dependencies(model: type[Node]) -> dict[str, Any]:
    """Return what JSON Schema says of keys that need one another."""
    exempt = {"required": ["exemption"]}
    if model is Example:
        return {"if": _is("verdict", "exempt"), "then": exempt}
    if model is Case:
        fires = {"if": _is("expect", "violates", "exempt"), "then": {"required": ["rule"]}}
        subject = {"oneOf": [{"required": ["content"]}, {"required": ["file"]}]}
        return {"allOf": [{"if": _is("expect", "exempt"), "then": exempt}, fires, subject]}
    return {}


def _is(name: str, *values: str) -> dict[str, Any]:
    return {"properties": {name: {"enum": list(values)}}, "required": [name]}


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema as people write files: no ``null``, no blank text, no titles made from names."""
    schema = {key: value for key, value in schema.items() if key != "title"}
    if choices := [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]:
        schema = {**schema, **choices[0]} if len(choices) == 1 else {**schema, "anyOf": choices}
    if schema.get("default") in (None, [], {}):
        schema.pop("default", None)
    if "minLength" in schema and "pattern" not in schema:
        schema["pattern"] = _NOT_BLANK
    return {key: _tidy_value(key, value) for key, value in schema.items()}


def _tidy_value(key: str, value: Any) -> Any:
    if key in ("items", "additionalProperties", "propertyNames") and isinstance(value, dict):
        return _tidy(value)
    if key == "patternProperties":
        return {name: _tidy(each) for name, each in value.items()}
    if key == "anyOf":
        return [_tidy(each) for each in value]
    return value
