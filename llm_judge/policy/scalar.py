"""How one text is written in YAML: plain where that is safe, otherwise quoted, or as a block of lines.

Knows nothing about policies or comments.
"""

from __future__ import annotations

import re

from llm_judge.source import Kind
from llm_judge.strict_yaml import parse

_NOT_PLAIN = re.compile(r":(?:\s|$)|\s#|^\s|\s$|[\n\r\t]")
FLOW_MARKS = re.compile(r"[,?\[\]{}]")  # what ends a plain text in brackets
# Words that some YAML reader takes for a truth value or for nothing.
_OTHER_MEANINGS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# What may not stand in a file as itself, as ``strict_yaml`` says.
_HIDDEN = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def plain_or_quoted(text: str, *, flow: bool) -> str:
    """Return a text on one line, quoted only where it must be.

    Args:
        text: what it says.
        flow: whether it stands in brackets, where commas and brackets are marks.
    """
    return text if is_plain(text, flow=flow) else double_quoted(text)


def is_plain(text: str, *, flow: bool) -> bool:
    """Whether a text can stand without quotes and still be read as this text by every YAML reader."""
    if not text or _NOT_PLAIN.search(text) or _HIDDEN.search(text) or text.lower() in _OTHER_MEANINGS:
        return False
    if flow and FLOW_MARKS.search(text):
        return False
    if text[0].isalpha():
        return True
    if text[0].isascii() and not (text[0].isdigit() or text[0] in "($/_."):  # marks, here or in some reader
        return False
    root, found = parse(f"[{text}]" if flow else f"- {text}", "")
    if root is None or found or len(root.items) != 1:
        return False
    return root.items[0].kind is Kind.STRING and root.items[0].value == text


def double_quoted(text: str) -> str:
    """Return a text in double quotes on one line."""
    escaped = re.sub(r'[\\"\n\t\r]', lambda match: _ESCAPES[match.group()], text)
    return '"' + _HIDDEN.sub(lambda match: _escape(match.group()), escaped) + '"'


def block_lines(text: str) -> list[str] | None:
    """Return a text of several lines as ``|`` and its lines, without indentation.

    Returns:
        None where the text holds no line break, or a block would not keep it exactly.
    """
    body = text.removesuffix("\n")
    lines = body.split("\n")
    if "\n" not in text or any(_HIDDEN.search(line) or line != line.rstrip(" ") for line in lines):
        return None
    if not lines[0] or lines[0].startswith(" ") or not lines[-1]:
        return None
    return ["|" if text.endswith("\n") else "|-", *lines]


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
