"""Where a judge was wrong → what it should have said: misses of an eval run, and corrections by reviewers.

Both are pairs of a right and a wrong answer about one rule or area of one text. A miss counts only where its
text is one that may be trained on. Knows nothing about prompts.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.run_folder import read_outcomes
from llm_judge.finetune.rows import REVIEW, LabelledRow
from llm_judge.finetune.training_rows import Contrast
from llm_judge.policy.shape import suggestion
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from llm_judge.evals.outcomes import Answer

_LABELS = {"violates": YES, "clear": NO, "exempt": EXCEPT}
_FIELDS = ("decision", "text", "sha256", "rule", "verdict", "exemption", "said", "lang")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What a judge said of one text, and what is right.

    Attributes:
        row: the text.
        key: policy, or ``policy#rule``.
        right, said: labels.
        contrast: whether a data set or a reviewer says so.
    """

    row: LabelledRow
    key: str
    right: str
    said: str
    contrast: Contrast


def misses(run: Path, rows: Mapping[str, LabelledRow]) -> tuple[list[Disagreement], int]:
    """Wrong answers of a finished eval run.

    Args:
        run: its folder.
        rows: texts that may be trained on, by SHA-256.

    Returns:
        The misses, and how many items of the run are not among ``rows``.

    Raises:
        UsageError: the run is not finished or damaged, or none of its items may be trained on.
    """
    found: list[Disagreement] = []
    unknown = 0
    outcomes = read_outcomes(run)
    for outcome in outcomes:
        row = rows.get(outcome.sha256)
        if row is None:
            unknown += 1
            continue
        for answer in outcome.answers:
            right, said = _right(answer, row), _said(answer)
            if right and said and right != said:
                found.append(Disagreement(row, answer.key, right, said, Contrast.MISS))
    if unknown == len(outcomes):
        raise UsageError(
            f"no item of the run in `{run}` is a training row, and nothing else is trained on",
            "run a suite whose `split` is `train`",
        )
    return found, unknown


def _right(answer: Answer, row: LabelledRow) -> str | None:
    if answer.kind is Kind.AREA and answer.key in row.areas:
        return YES if row.areas[answer.key] else NO
    return row.rules.get(answer.key) if answer.kind is Kind.RULE and answer.asked else None


def _said(answer: Answer) -> str | None:
    """The likeliest label, whatever the thresholds made of it."""
    if answer.probability is None:
        return None
    shares = {YES: answer.probability, EXCEPT: answer.exempt_probability}
    shares[NO] = 1 - sum(shares.values())
    return max(shares, key=lambda label: shares[label])


def read_overrides(
    path: Path, rows: Mapping[str, LabelledRow], rules: Mapping[str, tuple[str, ...]]
) -> tuple[list[Disagreement], Counter[tuple[str, str]]]:
    """Corrections by reviewers, one JSON object a line.

    ``decision`` names the record, ``text`` holds what was judged or ``sha256`` its digest, ``rule`` is
    ``policy#rule`` and ``verdict`` is ``violates``, ``clear`` or ``exempt`` (then with ``exemption``).
    ``said``, the verdict that was corrected, and ``lang`` may be left out.

    Args:
        path: the file.
        rows: texts that may be trained on, by SHA-256.
        rules: ``policy#rule`` → ids of its exemptions.

    Returns:
        The corrections, and how many lines name a text that is not among ``rows``.

    Raises:
        UsageError: the file cannot be read, or a line is wrong; names the line.
    """
    found: list[Disagreement] = []
    left_out: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):  # RecursionError: nested too deeply
            raise UsageError(f"`{path}` line {number} is not JSON", "write one object a line") from None
        if problem := next(_problems(data, rules), None):
            raise UsageError(f"`{path}` line {number}: {problem[0]}", problem[1])
        row = _row(data) if "text" in data else rows.get(str(data["sha256"]).lower())
        if row is None:
            left_out["text not known", REVIEW] += 1
            continue
        right = _LABELS[data["verdict"]]
        said = _LABELS[data["said"]] if "said" in data else NO if right == YES else YES
        found.append(Disagreement(row, data["rule"], right, said, Contrast.OVERRIDE))
    return found, left_out


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read `{path}`: {str(reason).lower()}", "give a JSONL file") from None


def _problems(data: Any, rules: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """What is wrong with one line, and how to mend it; only the first is sure to make sense."""
    if not isinstance(data, dict):
        yield "this is not an object", '{"decision": "…", "text": "…", "rule": "…", "verdict": "…"}'
        return
    for name, value in data.items():
        if name not in _FIELDS:
            yield f"unknown key {quoted(name)}", suggestion(name, list(_FIELDS), "keys")
        elif not isinstance(value, str) or not value.strip():
            yield f"`{name}` must be a text", 'write it in "quotes"'
    missing = [f"`{name}`" for name in ("decision", "rule", "verdict") if name not in data]
    if ("text" in data) == ("sha256" in data):
        missing.append("`text` or `sha256`, one of them")
    if missing:
        yield f"it needs {missing[0]}", "keys: decision, text or sha256, rule, verdict"
    for name in ("verdict", "said"):
        if name in data and data[name] not in _LABELS:
            yield f"`{name}` cannot be {quoted(data[name])}", suggestion(data[name], list(_LABELS), "one of")
    if data.get("said") == data.get("verdict"):
        yield "`said` and `verdict` are the same", "leave out decisions that were right"
    exemptions = rules.get(data.get("rule", ""))
    if exemptions is None:
        yield f"there is no rule {quoted(data['rule'])}", suggestion(data["rule"], list(rules), "rules")
    elif (data["verdict"] == "exempt") != (data.get("exemption") in exemptions):
        known = ", ".join(f"`{each}`" for each in exemptions) or "none"
        yield f"`exemption` does not fit `{data['verdict']}`", f"exemptions of this rule: {known}"


def _row(data: Mapping[str, str]) -> LabelledRow:
    """A text that only the reviewer's line holds: one rule of it is known."""
    label = _LABELS[data["verdict"]]
    return LabelledRow(
        text=data["text"],
        lang=data.get("lang", "und"),
        source=REVIEW,
        areas={},
        rules={data["rule"]: label},
        exemption=data.get("exemption"),
        about=data["rule"],
        id=f"{REVIEW}:{data['decision']}",
    )
