"""Gaps that `policy new` leaves for a person to fill in: how they are written, and which are still there."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from llm_judge.policy.check import MOST_PROBLEMS
from llm_judge.policy.codes import report
from llm_judge.source import Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Diagnostic

_GAP = re.compile(r"\s*\[write [^\[\]]{1,200}\]\s*")


def gap(what: str) -> str:
    """Return the text that stands for what a person must write."""
    return f"[write {what}]"


def is_gap(text: str) -> bool:
    """Return whether a text is such a gap and nothing else."""
    return _GAP.fullmatch(text) is not None


def unfinished(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Yield P125 for every text of a policy or cases file that is still a gap."""
    for node in islice((node for node in _nodes(tree) if is_gap(node.text)), MOST_PROBLEMS):
        message = f"{quoted(node.text.strip())} is still to be written"
        yield report(source, "P125", node.span, message, "replace it; in a case, delete `todo` too")


def _nodes(tree: SourceNode) -> Iterator[SourceNode]:
    yield tree
    for node in (*tree.items, *(value for _, value in tree.entries)):
        yield from _nodes(node)
