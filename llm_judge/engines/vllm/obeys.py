"""Whether a JSON text obeys a response schema, checked again on our side of the wire.

Covers what response schemas are made of: objects without further properties, arrays, enums, constants,
strings, whole numbers and booleans. Knows nothing about servers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def obeys(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether ``text`` is JSON that the schema allows."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return _allows(schema, value)


def _allows(schema: Mapping[str, Any], value: Any) -> bool:
    constant = "const" not in schema or _same(schema["const"], value)
    listed = "enum" not in schema or any(_same(one, value) for one in schema["enum"])
    return constant and listed and ("type" not in schema or _is_of_type(schema, value))


def _is_of_type(schema: Mapping[str, Any], value: Any) -> bool:
    kind = schema["type"]
    # `type` and not `isinstance`: true is no number.
    if type(value) not in _TYPES.get(kind, ()):
        return False
    if kind == "object":
        return _allows_object(schema, value)
    if kind == "array":
        items = schema.get("items", {})
        return _in_bounds(schema, len(value), "Items") and all(_allows(items, item) for item in value)
    if kind == "string":
        return _in_bounds(schema, len(value), "Length")
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _allows_object(schema: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    properties = schema.get("properties", {})
    if any(name not in value for name in schema.get("required", ())):
        return False
    if schema.get("additionalProperties", True) is False and any(name not in properties for name in value):
        return False
    return all(_allows(properties[name], part) for name, part in value.items() if name in properties)


def _in_bounds(schema: Mapping[str, Any], size: int, what: str) -> bool:
    return bool(schema.get(f"min{what}", 0) <= size <= schema.get(f"max{what}", size))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
