"""A policy in, its YAML out line by line, each line with the place it was written at.

Shows what is in force once overlays are merged: the text loads again as the merged policy, and every
line says which file and line it comes from. Knows nothing about terminals or how policies are merged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from llm_judge.policy.model import ActionStep, Node, Policy
from llm_judge.policy.scalar import plain_or_quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a policy and where it was written; None for a line that nobody wrote."""

    text: str
    origin: Span | None


def policy_lines(policy: Policy) -> tuple[Line, ...]:
    """Return a policy as YAML in the order of the model, without keys that only hold a default.

    The lines, joined by line breaks, load as the same policy.
    """
    return tuple(_block(policy, "", policy.at))


def _block(node: Node, indent: str, inherited: Span | None) -> Iterator[Line]:
    for name, info in type(node).model_fields.items():
        if info.exclude:
            continue
        key, value = info.alias or name, getattr(node, name)
        origin = node.place(key)
        if origin is None and value == info.get_default(call_default_factory=True):
            continue
        yield from _entry(node, key, value, indent, origin or inherited)


def _entry(node: Node, key: str, value: Any, indent: str, origin: Span | None) -> Iterator[Line]:
    if isinstance(value, dict):
        yield Line(f"{indent}{key}:" if value else f"{indent}{key}: {{}}", origin)
        for name, inner in value.items():
            text = f"{indent}  {_scalar(name)}: {_value(inner)}"
            yield Line(text, node.place(f"{key}.{name}") or origin)
    elif value and isinstance(value, tuple) and isinstance(value[0], Node):
        yield Line(f"{indent}{key}:", origin)
        for item in value:
            yield from _item(item, indent + "  ", item.at or origin)
    else:
        yield Line(f"{indent}{key}: {_value(value)}", origin)


def _item(item: Node, indent: str, origin: Span | None) -> Iterator[Line]:
    if isinstance(item, ActionStep):
        written = item.model_dump(mode="json", exclude_none=True)
        inside = ", ".join(f"{key}: {_value(value)}" for key, value in written.items())
        yield Line(f"{indent}- {{{inside}}}", origin)
        return
    first, *rest = _block(item, indent + "  ", origin)
    yield Line(f"{indent}- {first.text.lstrip()}", first.origin)
    yield from rest


def _value(value: Any) -> str:
    """Return a scalar, or a list of scalars on one line."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_scalar(item, flow=True) for item in value)}]"
    return _scalar(value)


def _scalar(value: Any, *, flow: bool = False) -> str:
    if isinstance(value, Enum):
        value = value.value
    return plain_or_quoted(value, flow=flow) if isinstance(value, str) else json.dumps(value)
