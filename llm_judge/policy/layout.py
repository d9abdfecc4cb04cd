"""The values of a YAML file together with the comments that belong to each.

Text in, a tree of ``Piece`` out. A comment beside a value belongs to that value; one on its own line
belongs to what follows it, or to the end of the block it is indented with. So every comment can move
with what it speaks of. Reads only what ``strict_yaml`` accepts: no anchors, aliases or tags. Knows
nothing about policies, or about how a file is written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT = re.compile(r"#[^\r\n]*")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*[ \t]+(?=#)")
_LINE_END = re.compile(r"\r\n|\n|\r")


class Comment(NamedTuple):
    """One comment: its place in the text, its column from 0, its words and what stands around it."""

    start: int
    column: int
    text: str
    own_line: bool  # nothing but blanks before it
    gap_before: bool  # the line before it is blank
    gap_after: bool  # the line after it is blank


@dataclass(slots=True, eq=False)
class Piece:
    """A value with its key and comments.

    Attributes:
        node: the value; for a collection, ``children`` hold its entries or items.
        key: the key, or None for an item of a list and for the whole file.
        parent: the piece that holds it, None for the whole file.
        above: comments on the lines before it.
        beside: the comment behind it on its line.
        below: comments after the last child, at the children's indentation.
        gap: a blank line stands before it and its comments.
    """

    node: yaml.Node
    key: yaml.ScalarNode | None
    parent: Piece | None
    children: list[Piece] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    beside: str | None = None
    below: list[str] = field(default_factory=list)
    gap: bool = False

    @property
    def name(self) -> str:
        """The key as text; empty where there is none."""
        return str(self.key.value) if self.key else ""

    @property
    def start(self) -> int:
        """Offset of its first character."""
        return int((self.key or self.node).start_mark.index)

    @property
    def flow(self) -> bool:
        """Whether it is written in brackets."""
        return bool(getattr(self.node, "flow_style", False))

    @property
    def column(self) -> int:
        """The column that the children of a block start at."""
        return int(self.node.start_mark.column)

    @property
    def commented(self) -> bool:
        """Whether a comment stands inside it."""
        return bool(self.below) or any(c.above or c.beside or c.commented for c in self.children)


class Layout(NamedTuple):
    """A whole file: the comments that stand apart at its top, its values, and the words of all comments."""

    header: list[str]
    root: Piece
    comments: list[str]


def read_layout(text: str) -> Layout:
    """Return the layout of a text that ``strict_yaml`` read without finding anything wrong.

    Raises:
        ValueError: there is no document in it.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        raise ValueError("no document")
    root = _piece(node, None, None)
    pieces = list(_descendants(root))
    for piece in pieces:
        piece.gap = _blank_before(text, piece.start)
    header: list[str] = []
    comments = list(find_comments(text))
    first = pieces[0].start if pieces else len(text)
    apart = max((i for i, c in enumerate(comments) if c.start < first and c.gap_after), default=-1)
    header += [comment.text for comment in comments[: apart + 1]]
    starts = [piece.start for piece in pieces]
    for comment in comments[apart + 1 :]:
        at = bisect_right(starts, comment.start)
        before = pieces[at - 1] if at else None
        after = pieces[at] if at < len(pieces) else None
        _attach(comment, before, after, root, text)
    return Layout(header, root, [comment.text for comment in comments])


def find_comments(text: str) -> Iterator[Comment]:
    """Yield every comment, in file order."""
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        start = token.start_mark.index
        yield from _between(text, end, start)
        if getattr(token, "style", None) in ("|", ">") and (head := _BLOCK_HEADER.match(text, start)):
            line_end = _LINE_END.search(text, start)
            yield from _between(text, head.end(), line_end.start() if line_end else len(text))
        end = max(end, token.end_mark.index)
    yield from _between(text, end, len(text))


def _between(text: str, start: int, end: int) -> Iterator[Comment]:
    for match in _COMMENT.finditer(text, start, end):
        line = max(text.rfind("\n", 0, match.start()), text.rfind("\r", 0, match.start())) + 1
        before = text[line : match.start()]
        yield Comment(
            match.start(),
            match.start() - line,
            _spaced(match.group()),
            not before.strip(" \t"),
            _blank_before(text, line),
            _blank_after(text, match.end()),
        )


def _spaced(comment: str) -> str:
    """Return a comment with a blank after its marks: glued to a word, it is a mistake after plain text."""
    return re.sub(r"^(#+)(?=[^\s#])", r"\1 ", comment.rstrip())


def _piece(node: yaml.Node, key: yaml.ScalarNode | None, parent: Piece | None) -> Piece:
    piece = Piece(node, key, parent)
    if isinstance(node, yaml.MappingNode):
        piece.children = [_piece(value, name, piece) for name, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        piece.children = [_piece(item, None, piece) for item in node.value]
    return piece


def _descendants(piece: Piece) -> Iterator[Piece]:
    for child in piece.children:
        yield child
        yield from _descendants(child)


def _attach(comment: Comment, before: Piece | None, after: Piece | None, root: Piece, text: str) -> None:
    if before is None:
        (after.above if after else root.below).append(comment.text)
        return
    if not comment.own_line and (owner := _beside(comment, before, text)):
        if owner.beside is None:
            owner.beside = comment.text
        else:
            owner.above.append(comment.text)
        return
    block = _block_that_ends(comment, before, after)
    if block is not None:
        block.below.append(comment.text)
    elif after is not None:
        if not after.above:
            after.gap = comment.gap_before
        after.above.append(comment.text)
    else:
        root.below.append(comment.text)


def _beside(comment: Comment, piece: Piece, text: str) -> Piece | None:
    """Return what ends on the comment's line: a value, or the outermost bracket closed there."""
    while (parent := piece.parent) and parent.flow and parent.node.end_mark.index <= comment.start:
        piece = parent
    ends = [piece.node.end_mark.index] if not piece.children or piece.flow else []
    if piece.key:
        ends.append(piece.key.end_mark.index)
    same_line = any(end <= comment.start and not _LINE_END.search(text, end, comment.start) for end in ends)
    # The header of a block text stands before its end.
    inside = getattr(piece.node, "style", None) in ("|", ">") and comment.start < piece.node.end_mark.index
    return piece if same_line or inside else None


def _block_that_ends(comment: Comment, before: Piece, after: Piece | None) -> Piece | None:
    """Return the collection at whose end the comment stands, or None where it leads what follows."""
    if before.children and after is not None and after.parent is before:
        return None
    ended = []
    piece: Piece | None = before if before.children or before.flow else before.parent
    while piece is not None and (after is None or piece is not after.parent):
        if not (piece.flow and piece.node.end_mark.index <= comment.start):
            ended.append(piece)
        piece = piece.parent
    for piece in ended:
        if piece.flow and piece.start < comment.start < piece.node.end_mark.index:
            return piece
    blocks = [piece for piece in ended if not piece.flow]
    if after is not None and after.parent and (after.parent.flow or comment.column <= after.parent.column):
        return None
    fitting = [piece for piece in blocks if piece.column <= comment.column]
    return fitting[0] if fitting else blocks[-1] if blocks else None


def _blank_before(text: str, start: int) -> bool:
    """Whether the line before the one that holds ``start`` is blank."""
    lines = _LINE_END.split(text[max(0, start - 2000) : start])
    return len(lines) > 2 and not lines[-2].strip(" \t")


def _blank_after(text: str, end: int) -> bool:
    lines = _LINE_END.split(text[end : end + 400])
    return len(lines) > 2 and not lines[1].strip(" \t")
