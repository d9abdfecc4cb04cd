"""The one way a policy, cases or overlay file is written: text in, the same meaning in canonical form out.

Keys stand in the order of the models, rules as blocks, action steps and cases on one line each, texts
quoted only where they must be, one blank line between rules. Comments stay with what they speak of.
What comes out is read again: where its meaning or a comment would have changed, nothing is returned.

The writer is our own, not a round trip through a YAML library: those tie a comment to the value before
it, so that a key which moves takes the comment on the next rule along. Writes no files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from llm_judge.errors import PolicyError
from llm_judge.policy.cases import Case
from llm_judge.policy.file_kind import FileKind, kind_of
from llm_judge.policy.layout import Layout, Piece, find_comments, read_layout
from llm_judge.policy.model import ActionStep, Node
from llm_judge.policy.scalar import FLOW_MARKS, block_lines, double_quoted, plain_or_quoted
from llm_judge.policy.shape import keys, shape
from llm_judge.source import Source
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.source import SourceNode

_ONE_LINE = (ActionStep, Case)  # models written in brackets, one a line
# In brackets half of these texts would need quotes, so all of them get some.
_PROSE: dict[type[Node], frozenset[str]] = {Case: frozenset({"content", "note"})}
_SECTIONS = frozenset({"definitions", "rules", "actions", "changes"})  # a blank line before each
_SPACED_ITEMS = frozenset({"rules", "changes"})  # at the top: a blank line between their items
_EDITOR_LINE = re.compile(r"#\s*yaml-language-server:\s*\$schema=(\S+)\s*")


def format_text(text: str, path: Path) -> tuple[str | None, list[Diagnostic]]:
    """Return a file in canonical form.

    Args:
        text: the YAML.
        path: its file; tells what kind of file it is and which JSON Schema the first line leads to. It
            need not exist.

    Returns:
        The text, or None where the syntax or shape is wrong, and every problem in file order.

    Raises:
        PolicyError: the result would not mean the same; a fault of ours.
    """
    root, found = parse(text, str(path))
    if root is None or found:
        return None, found
    source, kind = Source(str(path), text), kind_of(path, root)
    before, found = _meaning(root, source, kind.model)
    if before is None:
        return None, found
    layout = read_layout(text)
    written = _write(layout, kind.model, editor_schema(path, kind))
    again, _ = parse(written, str(path))
    after = _meaning(again, Source(str(path), written), kind.model)[0] if again else None
    comments = [comment.text for comment in find_comments(written)]
    if after != before or _own(comments) != _own(layout.comments):
        raise PolicyError(
            f"`{path}` is left alone: formatting it would change its meaning or lose a comment",
            hint="this is a fault of llm-judge; please report it with the file",
        )
    return written, []


def editor_schema(path: Path, kind: FileKind) -> str | None:
    """Return the path of the JSON Schema as the first line of a file names it, relative to the file.

    The nearest folder above the file counts that holds ``schema/`` or ``policies/schema/`` with the schema
    of this kind of file; None where there is none.
    """
    steps = ""
    for folder in path.absolute().parents:
        for inside in ("schema", "policies/schema"):
            if (folder / inside / kind.schema_name).is_file():
                return f"{steps}{inside}/{kind.schema_name}"
        steps += "../"
    return None


def _meaning(root: SourceNode, source: Source, model: type[Node]) -> tuple[str | None, list[Diagnostic]]:
    """Return what a file says, order of names included, or None and what is wrong with its shape."""
    _, instance, wrong = shape(root, model, source)
    return (instance.model_dump_json(exclude_unset=True) if instance else None), wrong


def _own(comments: list[str]) -> list[str]:
    """Return the comments of people, sorted: a comment may move with its key."""
    return sorted(comment for comment in comments if not _EDITOR_LINE.fullmatch(comment))


def _write(layout: Layout, model: type[Node], schema: str | None) -> str:
    header, root, _ = layout
    named: list[str] = []
    for comments in (header, *(piece.above for piece in root.children)):
        found = [(line, match) for line in comments if (match := _EDITOR_LINE.fullmatch(line))]
        named += [match.group(1) for _, match in found]
        comments[:] = [line for line in comments if line not in [given for given, _ in found]]
    if named and (schema is None or "://" in named[0]):  # an address was chosen on purpose
        schema = named[0]
    lines = [f"# yaml-language-server: $schema={schema}"] if schema else []
    lines += [*header, ""] if header else []
    return "\n".join([*lines, *_block(root, model, 0)]) + "\n"


def _block(piece: Piece, model: type[Node] | None, indent: int) -> list[str]:
    """Return the lines of a collection not in brackets; ``model`` is its own, or that of its items."""
    pad, lines = " " * indent, []
    for number, child in enumerate(_ordered(piece, model)):
        below = keys(model)[child.name] if model and child.key else model
        written = _entry(child, below, indent)
        if number and _stands_apart(child, one_line=len(written) == 1):
            lines.append("")
        lines += [pad + comment for comment in child.above]
        lines += written
    return lines + [pad + comment for comment in piece.below]


def _ordered(piece: Piece, model: type[Node] | None) -> list[Piece]:
    """Return the children in the order of the model; names that people choose keep their order."""
    if model is None or not isinstance(piece.node, yaml.MappingNode):
        return piece.children
    order = list(keys(model))
    return sorted(piece.children, key=lambda child: order.index(child.name))


def _stands_apart(piece: Piece, *, one_line: bool) -> bool:
    owner = piece.parent
    if owner is None or owner.parent is None:
        return piece.name in _SECTIONS and not one_line
    at_top = owner.parent.parent is None
    return at_top and (owner.name in _SPACED_ITEMS or (owner.name == "cases" and piece.gap))


def _entry(piece: Piece, model: type[Node] | None, indent: int) -> list[str]:
    """Return the lines of an entry or item, and move comments that have no place in them above it."""
    pad = " " * indent
    head = pad + (f"{plain_or_quoted(piece.name, flow=False)}:" if piece.key else "-")
    block_in_list = piece.key is None and bool(piece.children) and isinstance(piece.node, yaml.MappingNode)
    if block_in_list:
        first = _ordered(piece, model)[0]
        piece.above, first.above = [*piece.above, *first.above], []
    inline = _inline(piece, model, flow=False)
    if inline is None and block_in_list:
        piece.above += [piece.beside] if piece.beside else []
        lines = _block(piece, model, indent + 2)
        return [f"{pad}- {lines[0].lstrip(' ')}", *lines[1:]]
    beside = f" {piece.beside}" if piece.beside else ""
    if inline is not None:
        return [f"{head} {inline}{beside}"]
    if isinstance(piece.node, yaml.ScalarNode):
        mark, *texts = block_lines(piece.node.value) or []
        return [f"{head} {mark}{beside}", *(f"{pad}  {text}" if text else "" for text in texts)]
    return [head + beside, *_block(piece, model, indent + 2)]


def _inline(piece: Piece, model: type[Node] | None, *, flow: bool) -> str | None:
    """Return a value on one line, or None where it takes several."""
    node = piece.node
    if isinstance(node, yaml.ScalarNode):
        several = not flow and "\n" in node.value and block_lines(node.value)
        return None if several else _scalar(node, flow=flow)
    if not piece.children:
        return "[]" if isinstance(node, yaml.SequenceNode) else "{}"
    if piece.commented or not (flow or _fits_one_line(piece, model)):
        return None
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_inline(child, model, flow=True) or '' for child in piece.children)}]"
    return f"{{{', '.join(_pair(child, model) for child in _ordered(piece, model))}}}"


def _fits_one_line(piece: Piece, model: type[Node] | None) -> bool:
    if isinstance(piece.node, yaml.SequenceNode):
        return all(isinstance(child.node, yaml.ScalarNode) for child in piece.children)
    return model in _ONE_LINE and piece.key is None


def _pair(piece: Piece, owner: type[Node] | None) -> str:
    name = plain_or_quoted(piece.name, flow=True)
    if owner is not None and piece.name in _PROSE.get(owner, ()):
        return f"{name}: {double_quoted(str(piece.node.value))}"
    below = keys(owner)[piece.name] if owner else None
    return f"{name}: {_inline(piece, below, flow=True)}"


def _scalar(node: yaml.ScalarNode, *, flow: bool) -> str:
    text = str(node.value)
    # Numbers and truth values are plain, and stay so; text was plain only where it could be.
    unquoted = node.style is None and "\n" not in text
    if unquoted and not (flow and FLOW_MARKS.search(text)):
        return text
    return plain_or_quoted(text, flow=flow)
