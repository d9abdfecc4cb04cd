"""A tree of source nodes and a model in, an instance or our own diagnostics out.

Pydantic decides what is right; this module decides what people read: every one of its errors becomes
a ``Diagnostic`` with a code, a place and a way to mend it, and a misspelt key is read as the key that
was meant, so that one mistake is one message. Knows no policy by name and nothing about files.
"""

from __future__ import annotations

import json
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError

from llm_judge.policy.model import Node
from llm_judge.source import Kind, Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from llm_judge.diagnostics import Diagnostic, Span

N = TypeVar("N", bound=Node)

SIMILAR = 0.7  # difflib ratio from which a word is offered as "did you mean"
# Comparing takes about 5 µs a name: a file made of wrong names must not take minutes.
_MOST_COMPARED = 200
_MOST_LISTED = 40

# What each pattern of the models means to a reader; a test keeps this complete.
PATTERNS = {
    r"^[A-Za-z][A-Za-z0-9_-]{0,39}$": "a letter, then at most 39 letters, digits, `_` or `-`",
    r"^[a-z0-9_]+(/[a-z0-9_]+)+$": "lower-case words joined by `/`, such as `safety/hate`",
    r"^\d+\.\d+\.\d+$": "three numbers joined by dots, such as `1.2.0`",
    r"^calibrated\.[a-z][a-z0-9_]{0,39}$": "`calibrated.` and a name, such as `calibrated.recall_90`",
    r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$": "a language code, such as `en` or `pt-BR`",
}
_VERSION_FORM = PATTERNS[r"^\d+\.\d+\.\d+$"]
_THRESHOLD_FORM = "a number from 0 to 1, or `calibrated.` and a name, such as `calibrated.recall_90`"
_WANTED = {
    "string_type": Kind.STRING,
    "int_type": Kind.INTEGER,
    "float_type": Kind.DECIMAL,
    "bool_type": Kind.BOOLEAN,
    "tuple_type": Kind.SEQUENCE,
    "dict_type": Kind.MAPPING,
    "model_type": Kind.MAPPING,
}
_QUOTABLE = (Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN)
_SCALARS = (Kind.STRING, *_QUOTABLE)


def shape(root: SourceNode, model: type[N], source: Source) -> tuple[SourceNode, N | None, list[Diagnostic]]:
    """Check a tree against a model.

    Returns:
        The tree with misspelt keys renamed and unknown ones left out, the instance (None where
        anything is wrong), and every problem in file order.
    """
    found: list[Diagnostic] = []
    tree = _align(root, model, source, found)
    found += (_blank(node, source) for node in _texts(tree) if not node.text.strip())
    instance: N | None = None
    try:
        instance = model.model_validate_json(json.dumps(_to_data(tree)))
    except ValidationError as error:
        found += _translate(error, tree, source)
    found.sort(key=lambda diagnostic: diagnostic.span)
    return tree, None if found else instance, found


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to ``word``, or None where none is similar."""
    folded = {name.casefold(): name for name in known}
    if len(word) > 80 or len(folded) > _MOST_COMPARED:  # comparing is quadratic, and no name is that long
        return folded.get(word.casefold())
    close = get_close_matches(word.casefold(), folded, n=1, cutoff=SIMILAR)
    return folded[close[0]] if close else None


def suggestion(word: str, known: Sequence[str], label: str = "known") -> str:
    """Return a help line: the closest known word, or all of them."""
    close = did_you_mean(word, known)
    return f"did you mean `{close}`?" if close else _listed(label, known)


def _listed(label: str, known: Iterable[str]) -> str:
    names = [f"`{name}`" for name in known]
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{label}: {', '.join(names[:_MOST_LISTED]) or 'none'}{more}"


def _align(node: SourceNode, model: type[Node], source: Source, found: list[Diagnostic]) -> SourceNode:
    """Rename misspelt keys, drop unknown ones, and report both; a model under a key stands in a list."""
    if node.kind is not Kind.MAPPING:
        return node
    allowed = keys(model)
    free = [name for name in allowed if node.get(name) is None]
    entries = []
    for given, value in node.entries:
        key, kept = given, value
        if key.text not in allowed:
            meant = did_you_mean(key.text, free)
            help_line = f"did you mean `{meant}`?" if meant else _listed("allowed keys", allowed)
            found.append(source.error("P002", key.span, f"unknown key {quoted(key.text)}", help_line))
            if meant is None:
                continue
            free.remove(meant)
            key = replace(key, value=meant)
        if child := allowed[key.text]:
            kept = replace(value, items=tuple(_align(item, child, source, found) for item in value.items))
        entries.append((key, kept))
    return replace(node, entries=tuple(entries))


def keys(model: type[Node]) -> dict[str, type[Node] | None]:
    """Return the keys people may write, each with the model of its value or items."""
    return {
        info.alias or name: _model_in(info.annotation)
        for name, info in model.model_fields.items()
        if not info.exclude
    }


def _model_in(annotation: Any) -> type[Node] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Node) else None
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _to_data(node: SourceNode, placed: bool = True) -> Any:
    """Return plain data; a block that stands in a list or at the top also says where it is."""
    if node.kind is Kind.SEQUENCE:
        return [_to_data(item) for item in node.items]
    if node.kind is not Kind.MAPPING:
        return node.value
    data = {key.text: _to_data(value, placed=False) for key, value in node.entries}
    if placed:
        name = node.get("id") or node.get("policy") or node
        data["at"] = _span_data(name.span)
        data["places"] = [[key, _span_data(span)] for key, span in _places(node)]
    return data


def _span_data(span: Span) -> dict[str, str | int]:
    return {"file": span.file, "line": span.line, "column": span.column, "length": span.length}


def _places(node: SourceNode) -> list[tuple[str, Span]]:
    """Return where each key stands, and each name in the plain blocks under the keys."""
    inner = [
        (f"{key.text}.{name.text}", name.span)
        for key, value in node.entries
        if value.kind is Kind.MAPPING
        for name, _ in value.entries
    ]
    return [*((key.text, key.span) for key, _ in node.entries), *inner]


def _texts(node: SourceNode) -> list[SourceNode]:
    """Return every text value of a tree, in file order."""
    if node.kind is Kind.STRING:
        return [node]
    children = (*node.items, *(value for _, value in node.entries))
    return [text for child in children for text in _texts(child)]


def _blank(node: SourceNode, source: Source) -> Diagnostic:
    return source.error("P006", node.span, "this text is blank", "write something, or delete the key")


def _translate(error: ValidationError, tree: SourceNode, source: Source) -> list[Diagnostic]:
    """Return one diagnostic for each place where something is wrong."""
    found: dict[tuple[int | str, ...], Diagnostic] = {}
    missing: dict[Span, tuple[_Place, list[str]]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        place = _Place(tree, detail["loc"])
        # A list whose items all fail is also called too short.
        follows = detail["type"] == "too_short" and place.node.items
        if place.reported or follows:
            continue
        if detail["type"] == "missing":
            missing.setdefault(place.node.span, (place, []))[1].append(str(place.rest[-1]))
        elif place.path not in found:
            found[place.path] = _explain(place, detail, source)
    return [*found.values(), *(_missing(place.node, names, source) for place, names in missing.values())]


class _Place:
    """The node that a pydantic location points at.

    Attributes:
        node: the deepest node on the way.
        path: the part of the location that names nodes.
        rest: what is left: a missing key, ``[key]``, or the branch of a union.
        label: the node in words.
        reported: whether an earlier diagnostic covers it.
    """

    def __init__(self, tree: SourceNode, loc: tuple[int | str, ...]) -> None:
        self.node, self.key = tree, tree
        self.reported = tree.kind is Kind.BROKEN
        depth, name = 0, ""
        for part in loc:
            step = self._step(part)
            if step is None:
                break
            self.key, self.node = step
            self.reported = self.reported or self.node.kind is Kind.BROKEN
            name = f"`{part}`" if isinstance(part, str) else f"an item of {name}"
            depth += 1
        self.rest = loc[depth:]
        self.path = loc[:depth] + (self.rest if self.rest == ("[key]",) else ())
        self.label = name or "the file"
        self.reported = self.reported or (self.node.kind is Kind.STRING and not self.node.text.strip())

    def _step(self, part: int | str) -> tuple[SourceNode, SourceNode] | None:
        if isinstance(part, int):
            in_range = part < len(self.node.items)
            return (self.node.items[part],) * 2 if in_range else None
        return next((entry for entry in self.node.entries if entry[0].value == part), None)


def _explain(place: _Place, detail: ErrorDetails, source: Source) -> Diagnostic:
    """Return our words for one pydantic error."""
    kind, context, node = detail["type"], detail.get("ctx", {}), place.node
    if place.rest == ("[key]",):
        message = f"{quoted(place.key.text)} is not a usable name"
        return source.error("P006", place.key.span, message, f"write {_form(context)}")
    if kind in ("enum", "literal_error"):
        return source.error("P003", node.span, *_unknown_value(place, str(context["expected"])))
    if kind in _WANTED and not _is_form(place):
        return source.error("P005", node.span, *_wrong_type(place, _WANTED[kind]))
    return source.error("P006", node.span, *_out_of_bounds(place, kind, context))


def _is_form(place: _Place) -> bool:
    """Whether the type is not the point: ``version: 1.10``, or a value with two forms (a union)."""
    return (place.node.kind in _QUOTABLE and place.label == "`version`") or _in_union(place)


def _in_union(place: _Place) -> bool:
    return bool(place.rest) and place.node.kind in _SCALARS


def _missing(node: SourceNode, names: list[str], source: Source) -> Diagnostic:
    inside = node.get("id") or node.get("policy")
    where = f" in {quoted(inside.text)}" if inside and inside.text else ""
    span = inside.span if inside else node.span
    shown = ", ".join(f"`{name}`" for name in names)
    one = len(names) == 1
    message = f"missing {'key' if one else 'keys'} {shown}{where}"
    return source.error("P001", span, message, f"add `{names[0]}: …`" if one else "add a line for each")


def _wrong_type(place: _Place, wanted: Kind) -> tuple[str, str | None]:
    node = place.node
    message = f"{place.label} must be {wanted.value}, not {node.kind.value}"
    if wanted is Kind.STRING and node.kind in _QUOTABLE:
        return f"{quoted(node.raw)} would be read as {node.kind.value}", f'quote it: "{node.raw}"'
    if wanted is Kind.SEQUENCE and node.kind in _SCALARS and len(node.raw) <= 40 and node.raw:
        return message, f"write `[{node.raw}]`"
    if wanted is Kind.MAPPING:
        return message, "write `key: value` lines"
    if wanted is Kind.SEQUENCE:
        return message, "start each item with `- `"
    if wanted in _QUOTABLE and node.kind is Kind.STRING and not node.raw:
        return message, "write it without quotes"
    return message, None


def _unknown_value(place: _Place, expected: str) -> tuple[str, str]:
    given = str(place.node.value)
    known = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    if given in known:  # the right digits as text
        return f'{place.label} cannot be the text `"{given}"`', "write it without quotes"
    return f"{place.label} cannot be {_shown(place.node)}", suggestion(given, known, "one of")


def _out_of_bounds(place: _Place, kind: str, context: Mapping[str, Any]) -> tuple[str, str | None]:
    node = place.node
    if _in_union(place):
        return f"{place.label} cannot be {_shown(node)}", f"write {_THRESHOLD_FORM}"
    if kind == "string_type":
        return f"{_shown(node)} is not a three-part version", f"write {_VERSION_FORM}"
    if kind == "string_too_long":
        most = context["max_length"]
        return (
            f"{place.label} is {len(node.text):,} characters long, at most {most:,} are allowed",
            "shorten it",
        )
    if kind == "too_short":
        return f"{place.label} is empty", f"write at least {context['min_length']} item"
    if kind == "string_pattern_mismatch":
        return f"{place.label} cannot be {_shown(node)}", f"write {_form(context)}"
    bounds = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
    name, words = bounds.get(kind, ("", ""))
    limit = f"{place.label} must be {words} {context[name]}" if name in context else None
    return f"{place.label} cannot be {_shown(node)}", limit


def _form(context: Mapping[str, Any]) -> str:
    return PATTERNS.get(str(context.get("pattern")), "another form")


def _shown(node: SourceNode) -> str:
    return quoted(node.raw or str(node.value)) if node.kind in _SCALARS else node.kind.value
