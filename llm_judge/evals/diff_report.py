"""What changed between two versions, and what that does to items → blocks of a report, or plain data.

Computes nothing. Knows nothing about how reports are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.evals.document import Block, Bullets, Grid, Heading, Line, Paragraph, Words, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.impact import Impact, ItemImpact
    from llm_judge.evals.paired import PairTally
    from llm_judge.policy.diff import Change, PolicyDiff

_MAX_FLIPS = 50  # items listed; all are in the JSON
_MAX_QUOTE = 80


def diff_blocks(old: str, new: str, diffs: Sequence[PolicyDiff]) -> list[Block]:
    """The structural changes, grouped by policy."""
    blocks: list[Block] = [Heading(f"Policy changes: {old} → {new}", 1)]
    layout = [diff.policy for diff in diffs if diff.state == "layout"]
    if not any(diff.meaning for diff in diffs):
        blocks.append(Paragraph((Words("No change of meaning.", "strong"),)))
    for diff in diffs:
        if diff.state != "layout":
            blocks += [Heading(diff.policy), Bullets(tuple(_change(change) for change in diff.changes))]
    if layout:
        blocks.append(Paragraph(plain(f"Only layout or comments changed: {', '.join(layout)}.")))
    return blocks


def impact_blocks(impact: Impact) -> list[Block]:
    """What the changes do to the items."""
    engine = impact.engine
    adapter = engine.adapter_digest[:12] if engine.adapter_digest else "none"
    blocks: list[Block] = [
        Heading("Impact"),
        Paragraph(
            plain(
                f"{impact.overall.items} items judged by both versions of {', '.join(impact.policies)} with "
                f"{engine.engine}:{engine.model}, model {engine.model_digest[:12]}, adapter {adapter}."
            )
        ),
        Bullets(tuple(plain(line) for line in _summary(impact))),
    ]
    moved = {
        name: tally for name, tally in impact.rules.items() if tally.flips or tally.broken or tally.mended
    }
    if moved:
        rows = tuple(_tally_row(_short(name, impact), tally) for name, tally in moved.items())
        blocks.append(Grid(_HEADER, rows, _NUMBERS))
    if impact.flipped and len(impact.languages) > 1:
        rows = tuple(_tally_row(name, tally) for name, tally in impact.languages.items())
        blocks.append(Grid(("language", "items", "decision flips", *_HEADER[3:]), rows, _NUMBERS))
    flipped = impact.flipped
    if flipped:
        blocks.append(Heading("Items that flip"))
        rows = tuple(row for item in flipped[:_MAX_FLIPS] for row in _flip_rows(item, impact))
        blocks.append(Grid(("item", "what", "before", "after", "expected", "content"), rows))
    if len(flipped) > _MAX_FLIPS:
        blocks.append(Paragraph(plain(f"and {len(flipped) - _MAX_FLIPS} more items (JSON lists all)")))
    blocks.append(Paragraph((Words(_METHOD, "dim"),)))
    return blocks


def diff_json(old: str, new: str, diffs: Sequence[PolicyDiff], impact: Impact | None) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "old": old,
        "new": new,
        "meaning_changed": any(diff.meaning for diff in diffs),
        "policies": [
            {
                "policy": diff.policy,
                "state": diff.state,
                "renamed_rules": dict(diff.renamed),
                "changes": [_change_json(change) for change in diff.changes],
            }
            for diff in diffs
        ],
        "impact": None if impact is None else impact.as_json(),
    }


_HEADER = ("rule", "items", "verdict flips", "95 % interval", "how", "right → wrong", "wrong → right", "p")
_NUMBERS = frozenset({1, 2, 5, 6, 7})
_METHOD = (
    "An item flips where its verdict (or its action) differs between the versions. Right means that verdict, "
    "rule and exemption are as expected; could not tell is not right. Intervals: Wilson score, 95 %. "
    "p: McNemar's exact test on the pairs that are right in one version only."
)


def _change(change: Change) -> Line:
    head = f"{change.rule}: {change.text}" if change.rule else change.text
    note = "" if change.meaning else " (does not change what is judged)"
    line: list[Words] = [Words(head, "strong" if change.meaning else "plain"), Words(note, "dim")]
    if change.words:
        styles = {"same": "plain", "removed": "removed", "added": "added"}
        line += [Words(": "), *(Words(words.text, styles[words.kind]) for words in change.words)]
    return tuple(line)


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "rule": change.rule,
        "text": change.text,
        "meaning": change.meaning,
        "before": "".join(w.text for w in change.words if w.kind != "added") or None,
        "after": "".join(w.text for w in change.words if w.kind != "removed") or None,
    }


def _summary(impact: Impact) -> list[str]:
    overall = impact.overall
    lines = [
        f"decisions that flip: {overall.share}",
        f"items with a verdict that flips: {impact.verdict_share}",
    ]
    if overall.expected:
        p = "n/a" if overall.p is None else f"{overall.p:.3g}"
        lines.append(
            f"of {overall.expected} items with an expected answer, {overall.right_before} were right before "
            f"and {overall.right_after} are right after: {overall.broken} broken, "
            f"{overall.mended} mended, p {p}"
        )
    if impact.failed:
        lines.append(f"{impact.failed} items could not be judged and are left out")
    return lines


def _tally_row(name: str, tally: PairTally) -> tuple[str, ...]:
    share = tally.share
    ends = "n/a" if share.low is None or share.high is None else f"{share.low:.2f}–{share.high:.2f}"
    how = ", ".join(f"{how} ×{times}" for how, times in tally.how.most_common())
    p = "n/a" if tally.p is None else f"{tally.p:.3g}"
    return (name, str(tally.items), str(tally.flips), ends, how, str(tally.broken), str(tally.mended), p)


def _short(name: str, impact: Impact) -> str:
    """Return the name of a rule or case without its policy, where only one is in play."""
    if len(impact.policies) > 1:
        return name
    policy = impact.policies[0]
    return name.removeprefix(f"{policy}#").removeprefix(f"{policy}/")


def _flip_rows(item: ItemImpact, impact: Impact) -> list[tuple[str, ...]]:
    quote = " ".join(item.shown.split())
    quote = quote if len(quote) <= _MAX_QUOTE else quote[: _MAX_QUOTE - 1] + "…"
    quote = f"[{item.lang}] {quote}" if item.lang else quote
    expected = str(item.expected) if item.expected else ""
    what = [(_short(flip.rule, impact), flip.before, flip.after) for flip in item.verdict_flips]
    if item.action_before is not item.action_after:
        what.append(("decision", item.action_before.value, item.action_after.value))
    first, *rest = what
    return [
        (_short(item.id, impact), *first, expected, quote),
        *(("", *each, "", "") for each in rest),
    ]
