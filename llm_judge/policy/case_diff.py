"""Two versions of a cases file → how many cases changed, in one line.

Knows nothing about files, git or what cases are judged by.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_judge.policy.cases import CaseFile
from llm_judge.policy.diff import Change, PolicyDiff
from llm_judge.policy.shape import shape
from llm_judge.source import Source
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def with_cases(
    diffs: Sequence[PolicyDiff], old: Mapping[str, str], new: Mapping[str, str]
) -> list[PolicyDiff]:
    """Return the diffs with a note for each policy whose cases changed.

    Args:
        diffs: sorted by policy id.
        old, new: policy id → the text of its cases file; compared where both are there.
    """
    found = {diff.policy: diff for diff in diffs}
    for name in sorted(set(old) & set(new)):
        line = case_change(old[name], new[name])
        diff = found.get(name, PolicyDiff(name, "layout", ()))
        if line is not None and diff.state in ("changed", "layout"):
            note = Change(None, line, meaning=False)
            found[name] = replace(diff, state="changed", changes=(*diff.changes, note))
    return [found[name] for name in sorted(found)]


def case_change(old: str, new: str) -> str | None:
    """Return ``cases: 1 changed, 2 added, 0 removed``, or None for no change or a file that is wrong."""
    before, after = _cases(old), _cases(new)
    if before is None or after is None or before == after:
        return None
    went, came = before - after, after - before
    again = Counter(name for name, _ in went) & Counter(name for name, _ in came)
    changed = again.total()
    added, removed = came.total() - changed, went.total() - changed
    return f"cases: {changed} changed, {added} added, {removed} removed"


def _cases(text: str) -> Counter[tuple[str, str]] | None:
    """Count the cases by their name, which is the id or else the content, and all they say."""
    root, _ = parse(text, "cases")
    read = shape(root, CaseFile, Source("cases", text))[1] if root else None
    if read is None:
        return None
    return Counter(
        (each.id or each.content or each.file or "", each.model_dump_json()) for each in read.cases
    )
