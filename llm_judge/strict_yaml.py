"""Strict YAML with a place for everything: text in, a tree of nodes with spans out.

YAML has many ways to mean something other than what was written. This reader keeps the plain core
(blocks, lists, text, numbers, ``true`` and ``false``) and reports the rest: anchors, aliases, tags,
merge keys, repeated keys, several documents, and words that YAML may read as another type (``no``,
``012``, dates). It goes on after every problem but a broken syntax, so one pass shows them all.

Knows nothing about policies: which keys exist and which values are right is decided elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from llm_judge.diagnostics import Diagnostic
from llm_judge.source import MAX_BYTES, Kind, Source, SourceNode, quoted, too_large

MAX_DEPTH = 12
MAX_NODES = 10_000
_MAX_DIGITS = 15  # a double holds 15 decimal digits without loss

# What PyYAML cannot read, and three line breaks that editors do not count as lines.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_HALF_CHARACTER = re.compile("[\0\ud800-\udfff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
# Numbers by YAML 1.2 that PyYAML (1.1) takes for text, or the other way round.
_NUMBER_LIKE = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+")
_TRUTH = "true or false"
_TRUTH_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false"})
_GLUED_COMMENT = re.compile(r"[ \t]+#[^\s#]")
_TAG_MEANINGS = {"null": "nothing", "timestamp": "a date", "int": "a number", "float": "a number"}


def parse(text: str, file: str) -> tuple[SourceNode | None, list[Diagnostic]]:
    """Read one YAML document.

    Args:
        text: the file's text.
        file: the name to show in diagnostics.

    Returns:
        The root node, or None where there is no usable root, and every problem in file order.
        Never raises for what the text holds.
    """
    if len(text) > MAX_BYTES:
        return None, [too_large(file)]
    source = Source(file, text)
    if bad := _FORBIDDEN.search(text):
        span = source.span(bad.start(), bad.end())
        message = f"character U+{ord(bad.group()):04X} is not allowed in a file"
        return None, [
            source.error("P000", span, message, 'delete it, or write it as an escape in "double quotes"')
        ]
    composer = _Composer(source, yaml.SafeLoader(text))
    root = composer.document()
    return root, sorted(composer.found, key=lambda found: found.span)


class _Stop(Exception):
    """Reading cannot go on; the reason is already among the diagnostics."""


@dataclass
class _Composer:
    """Builds nodes from PyYAML's events; ``found`` collects the diagnostics."""

    source: Source
    loader: Any  # yaml.SafeLoader, whose events are untyped
    found: list[Diagnostic] = field(default_factory=list)
    _count: int = 0

    def document(self) -> SourceNode | None:
        try:
            return self._document()
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            broken = _syntax_error(self.source, error)
            # What stands on the broken line was misread: only the syntax is worth a message.
            self.found = [each for each in self.found if each.span.line != broken.span.line] + [broken]
        except (ValueError, OverflowError):  # an escape such as \UFFFFFFFF
            at = self.loader.get_mark().index
            self._report("P000", at, at + 1, "this escape is not a character", "write the character itself")
        return None

    def _document(self) -> SourceNode | None:
        self.loader.get_event()  # the start of the stream
        start = self.loader.get_event()
        if isinstance(start, yaml.StreamEndEvent):
            return self._stop(0, 0, "the file is empty", "start with `schema: 1`")
        if start.version or start.tags:
            mark = start.start_mark.index
            self._report("P000", mark, mark + 1, "directives are not allowed", "delete the line")
        event = self.loader.get_event()
        if _is_empty(event):
            return self._stop(0, 0, "the file is empty", "start with `schema: 1`")
        root = self._node(event, 1, None)
        self.loader.get_event()  # the end of the document
        after = self.loader.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            mark = after.start_mark.index
            self._report(
                "P000", mark, mark + 3, "a second document starts here", "keep one document in a file"
            )
        return root

    def _node(self, event: Any, depth: int, owner: SourceNode | None) -> SourceNode:
        start, end = event.start_mark.index, event.end_mark.index
        self._count += 1
        if self._count > MAX_NODES:
            self._stop(start, end, f"the file holds more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            self._stop(start, start + 1, f"blocks are nested more than {MAX_DEPTH} deep")
        sound = self._check_properties(event)
        if isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        elif isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, owner)
        else:
            node = SourceNode(Kind.BROKEN, self.source.span(start, end))
        return node if sound else SourceNode(Kind.BROKEN, node.span)

    def _check_properties(self, event: Any) -> bool:
        """Report an alias, anchor or tag; return whether there was none."""
        start, end = event.start_mark.index, event.end_mark.index
        name = event.anchor
        if isinstance(event, yaml.AliasEvent):
            self._report("P000", start, end, f"alias {quoted('*' + name)} is not allowed", "write it out")
            return False
        if name is not None:
            message = f"anchor {quoted('&' + name)} is not allowed"
            self._report(
                "P000", start, start + len(name) + 1, message, "write the value out where it is used"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._report(
                "P000", start, start + len(shown), f"tag {quoted(shown)} is not allowed", "delete it"
            )
        return tag is None

    def _mapping(self, event: Any, depth: int) -> SourceNode:
        span = self.source.span(event.start_mark.index, event.start_mark.index + 1)
        entries: dict[str, tuple[SourceNode, SourceNode]] = {}
        kind = Kind.MAPPING
        while not isinstance(next_event := self.loader.get_event(), yaml.MappingEndEvent):
            key = self._key(next_event, depth)
            value = self._node(self.loader.get_event(), depth + 1, key)
            if key.raw == "<<":
                kind = Kind.BROKEN  # keys may be missing here: say nothing more about this block
            elif key.text in entries:
                first = entries[key.text][0].span.line
                message = f"key {quoted(key.text)} is already used in this block"
                self.found.append(self.source.error("P004", key.span, message, f"first used at line {first}"))
            elif key.kind is Kind.STRING:
                entries[key.text] = (key, value)
        if entries:
            span = next(iter(entries.values()))[0].span
        return SourceNode(kind, span, entries=tuple(entries.values()))

    def _key(self, event: Any, depth: int) -> SourceNode:
        node = self._node(event, depth + 1, None)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.style is None:
            help_line = "write the keys out"
            self.found.append(
                self.source.error("P000", node.span, "merge key `<<` is not allowed", help_line)
            )
        elif node.kind in (Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN):
            message = f"key {quoted(node.raw)} would be read as {node.kind}"
            self.found.append(self.source.error("P005", node.span, message, f'quote it: "{node.raw}"'))
        elif node.kind in (Kind.MAPPING, Kind.SEQUENCE):
            help_line = "quote a key that starts with `{`, `[` or `?`"
            self.found.append(self.source.error("P000", node.span, "a key must be a single word", help_line))
        return node

    def _sequence(self, event: Any, depth: int) -> SourceNode:
        items = []
        while not isinstance(next_event := self.loader.get_event(), yaml.SequenceEndEvent):
            items.append(self._node(next_event, depth + 1, None))
        span = self.source.span(event.start_mark.index, event.end_mark.index)
        return SourceNode(Kind.SEQUENCE, span, items=tuple(items))

    def _scalar(self, event: Any, owner: SourceNode | None) -> SourceNode:
        start, end, value = event.start_mark.index, event.end_mark.index, event.value
        span = self.source.span(start, end)
        last = self.source.span(max(end - 1, start), end).line
        if _HALF_CHARACTER.search(value):
            self._report(
                "P000", start, end, "an escape here is not a character", "write the character itself"
            )
            return SourceNode(Kind.BROKEN, span)
        if event.style is not None or event.tag is not None:
            return SourceNode(Kind.STRING, span, value, end_line=last)
        if value == "":
            span = owner.span if owner else span
            message = f"{quoted(owner.raw or owner.text)} has no value" if owner else "this item has no value"
            self.found.append(self.source.error("P005", span, message, "write a value, or delete the key"))
            return SourceNode(Kind.BROKEN, span)
        if _GLUED_COMMENT.match(self.source.text, end):
            mark = self.source.text.index("#", end)
            message = "the text is cut here: ` #` starts a comment"
            self._report("P005", mark, mark + 1, message, "quote the whole text, or put a space after `#`")
            return SourceNode(Kind.BROKEN, span)
        kind, plain = _plain(value)
        if kind is Kind.STRING and (meaning := self._other_meaning(value)):
            self.found.append(self.source.error("P005", span, *_ambiguous(value, meaning)))
            return SourceNode(Kind.BROKEN, span, raw=value)
        return SourceNode(kind, span, plain, raw=value, end_line=last)

    def _other_meaning(self, value: str) -> str | None:
        """Return what some YAML reader takes this plain text for, or None if it is only text."""
        if value.lower() in _TRUTH_WORDS:
            return _TRUTH
        if _NUMBER_LIKE.fullmatch(value):
            return "a number"
        tag: str = self.loader.resolve(yaml.ScalarNode, value, (True, False))
        return _TAG_MEANINGS.get(tag.rpartition(":")[2])

    def _report(self, code: str, start: int, end: int, message: str, help_line: str | None = None) -> None:
        self.found.append(self.source.error(code, self.source.span(start, end), message, help_line))

    def _stop(self, start: int, end: int, message: str, help_line: str | None = None) -> NoReturn:
        self._report("P000", start, end, message, help_line)
        raise _Stop


def _is_empty(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "" and event.style is None and not event.tag


def _plain(value: str) -> tuple[Kind, str | int | float]:
    """Return kind and value of an unquoted scalar, by the few forms that every reader agrees on."""
    if value in ("true", "false"):
        return Kind.BOOLEAN, value == "true"
    if len(value) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(value):
            return Kind.INTEGER, int(value)
        if _DECIMAL.fullmatch(value):
            return Kind.DECIMAL, float(value)
    return Kind.STRING, value


def _ambiguous(value: str, meaning: str) -> tuple[str, str]:
    help_line = f'quote it: "{value}"' if len(value) <= 40 else "quote it"
    if meaning == _TRUTH:
        help_line += " (or write `true` or `false`)"
    return f"{quoted(value)} would be read as {meaning}", help_line


class _Syntax(NamedTuple):
    """A complaint of PyYAML, what we say instead, how to mend it, and whether it began earlier."""

    pattern: str
    message: str
    help_line: str
    earlier: bool = False


_QUOTE_ALL = "quote the whole text"
_INDENT = "mend the indentation"
_ESCAPE = "write `\\\\`, or use 'single quotes'"
_BRACKET = "add it, or quote a text that starts with `[` or `{`"
_SYNTAX = (  # the first match counts
    _Syntax(r"character '\\t'", "a tab is used for indentation", "indent with spaces"),
    _Syntax(r"unknown escape character '(.)'", "unknown escape `\\{0}`", _ESCAPE),
    _Syntax(r"expected escape sequence", "an unfinished escape", _ESCAPE),
    _Syntax(r"character '(.)' that cannot", "a value cannot start with `{0}`", _QUOTE_ALL),
    _Syntax(r"mapping values", "`:` is not expected here", f'quote a text that holds ": ", or {_INDENT}'),
    _Syntax(
        r"not find expected ':'", "a key without `:`", "write `key: value`, or indent a longer text", True
    ),
    _Syntax(r"quoted.*(stream|separator)", "this quote is never closed", "add the closing quote", True),
    _Syntax(r"expected ',' or '(.)'", "`,` or `{0}` is missing for this bracket", _BRACKET, True),
    _Syntax(r"(?:anchor|alias).*alphabetic", "a value cannot start with `*` or `&`", _QUOTE_ALL, True),
    _Syntax(r"expected <block end>, but", "this does not fit the block it stands in", _INDENT),
    _Syntax(r"expected '<document start>'", "this does not fit the block above", _INDENT),
    _Syntax(
        r"block scalar", "text cannot follow `|` or `>` here", "go on in the next line, or quote the text"
    ),
    _Syntax(r"directive", "a line cannot start with `%`", "quote the text, or delete the line"),
    _Syntax(r"expected the node content", "a value is missing here", _QUOTE_ALL),
    _Syntax(r"", "this is not valid YAML", "compare with a policy that loads"),
)


def _syntax_error(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    said = f"{error.context or ''} {error.problem or ''}"
    known, match = next((s, m) for s in _SYNTAX if (m := re.search(s.pattern, said)))
    marks = (error.context_mark, error.problem_mark)
    mark = (marks[0] or marks[1]) if known.earlier else (marks[1] or marks[0])
    at: int = getattr(mark, "index", 0)
    span = source.span(at, at + 1)
    help_line = known.help_line
    before = source.lines[span.line - 1][: span.column - 1]
    if help_line == _INDENT and re.search(r"(^|[:-])\s+[{\[\"']", before):
        help_line = f"{_QUOTE_ALL}: it starts with a bracket or a quote"
    return source.error("P000", span, known.message.format(*match.groups()), help_line)
