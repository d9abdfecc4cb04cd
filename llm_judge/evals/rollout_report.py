"""Counts over contents that two revisions judged → a report: agreement with its interval, and what flips.

Knows nothing about services or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge.evals.document import Block, Grid, Heading, Paragraph, plain
from llm_judge.evals.statistics import share

_SHOWN = 12  # digits of a digest
_NAMES = ("policy_digest", "prompt_digest", "calibration_digest", "model_digest", "adapter_digest")


def report_json(
    stable: Mapping[str, Any], candidate: Mapping[str, Any], tally: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is known about one pair of revisions as plain data.

    Args:
        stable, candidate: identities, with every digest whole.
        tally: counts, as ``Tally.as_json`` gives them.

    Returns:
        The same, with the agreement on actions and what each revision left undecided as shares with Wilson
        intervals (95 %).
    """
    total = int(tally["compared"])
    undecided = {arm: share(int(count), total).as_json() for arm, count in tally["undecided"].items()}
    return {
        "stable": dict(stable),
        "candidate": dict(candidate),
        "compared": total,
        "agreement": share(int(tally["same"]), total).as_json(),
        "undecided": undecided,
        "flips": [dict(each) for each in tally["flips"]],
        "policies": [dict(each) for each in tally["policies"]],
    }


def report_blocks(
    stable: Mapping[str, Any], candidate: Mapping[str, Any], tally: Mapping[str, Any]
) -> list[Block]:
    """Return the same for people."""
    total = int(tally["compared"])
    blocks: list[Block] = [Heading("Candidate against stable"), _revisions(stable, candidate)]
    said = f"Same action: {share(int(tally['same']), total)}. Undecided: "
    said += ", ".join(f"{arm} {share(int(n), total)}" for arm, n in tally["undecided"].items())
    blocks.append(Paragraph(plain(f"{said}.")))
    blocks += _table("Other actions", ("stable", "candidate"), tally["flips"], total)
    blocks += _table("Policies in another state", ("policy", "stable", "candidate"), tally["policies"], total)
    return blocks


def _revisions(stable: Mapping[str, Any], candidate: Mapping[str, Any]) -> Grid:
    rows = []
    for name in ("revision", "engine", "model", *_NAMES):
        cells = [str(each[name] or "none") for each in (stable, candidate)]
        if name in _NAMES:
            cells = [cell[:_SHOWN] for cell in cells]
        rows.append((name.replace("_", " "), *cells, "" if cells[0] == cells[1] else "differs"))
    return Grid(("", "stable", "candidate", ""), tuple(rows))


def _table(title: str, names: Sequence[str], counts: Sequence[Mapping[str, Any]], total: int) -> list[Block]:
    if not counts:
        return []
    rows = tuple(
        (*(str(each[name]) for name in names), str(share(int(each["count"]), total))) for each in counts
    )
    return [Heading(title, 3), Grid((*names, "contents (95 %)"), rows, frozenset({len(names)}))]
