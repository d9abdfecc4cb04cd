"""DecisionRecord → what people and machines read. Prints what records hold and decides nothing.

Content is hostile: control characters are escaped and nothing is read as markup.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_judge.compile import CompiledPolicy
from llm_judge.decision import Effect, Gap
from llm_judge.errors import ExitCode
from llm_judge.policy.model import Action
from llm_judge.record import DecisionRecord
from llm_judge.verdict import Evidence, Outcome, Verdict

_STYLE = {
    Action.ALLOW: "green",
    Action.LABEL: "cyan",
    Action.AGE_RESTRICT: "cyan",
    Action.REDUCE: "yellow",
    Action.REVIEW: "yellow",
    Action.REMOVE: "bold red",
}
_MAX_QUOTE = 160
_MOST_POLICIES = 4  # named in one warning
_MOST_UNEXPLAINED = 3  # rules shown without an explanation, where fewer than this have one


@dataclass(slots=True)
class Tally:
    """Counts over a run, and the exit code they mean."""

    actions: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    undecided: int = 0
    skipped: int = 0
    milliseconds: float = 0.0
    uncalibrated: bool = False
    in_part: bool = False  # a calibration was given, with gaps

    def add(self, record: DecisionRecord) -> None:
        """Count one record."""
        self.actions[record.action.value] += 1
        self.milliseconds += sum(record.timings_ms.values())
        if record.decision is None:
            self.failed += 1
            return
        self.undecided += record.decision.undecided
        self.uncalibrated |= not record.decision.calibrated
        self.in_part |= record.run.calibration_digest is not None

    def exit_code(self) -> ExitCode:
        """3 if any item has no decision of its own, else 1 if anything is not allowed, else 0."""
        if self.failed or self.undecided:
            return ExitCode.UNDECIDED
        return ExitCode.OK if set(self.actions) <= {Action.ALLOW.value} else ExitCode.FOUND

    def line(self) -> str:
        """One line for people: how many, which actions, what could not be decided, how long."""
        total = sum(self.actions.values())
        parts = [f"{self.actions[a.value]} {a.value}" for a in reversed(Action) if self.actions[a.value]]
        line = f"{total} judged" + (f": {', '.join(parts)}" if parts else "")
        if self.failed:
            line += f"; {self.failed} could not be judged"
        if self.undecided:
            line += f"; {self.undecided} undecided (sent to on_error)"
        if self.skipped:
            line += f"; {self.skipped} already done"
        if total:
            line += f"; {self.milliseconds / total:.0f} ms an item"
        if self.uncalibrated:
            line += f"; {'some ' if self.in_part else ''}thresholds are not calibrated"
        return line


class RecordPrinter:
    """Prints records as tables, a batch at a time, or as JSON lines at once."""

    def __init__(
        self,
        console: Console,
        compiled: CompiledPolicy,
        *,
        as_json: bool,
        quiet: bool = False,
        batch: int = 32,
    ) -> None:
        self._console = console
        self._titles = {rule.key: rule.rule.title for rule in compiled.rules}
        self._as_json = as_json
        self._quiet = quiet
        self._batch = batch
        self._waiting: list[tuple[DecisionRecord, str]] = []

    def add(self, record: DecisionRecord, note: str = "") -> None:
        """Print one record, now or with its batch; ``note`` stands beneath the item's name."""
        if self._quiet:
            return
        if self._as_json:
            line = json.dumps(record.as_json(), ensure_ascii=False)
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
            sys.stdout.buffer.flush()
            return
        self._waiting.append((record, note))
        if len(self._waiting) >= self._batch:
            self.finish()

    def finish(self) -> None:
        """Print what is waiting."""
        if self._waiting:
            self._console.print(records_table(self._waiting, self._titles))
            self._waiting = []


def records_table(records: list[tuple[DecisionRecord, str]], titles: dict[str, str]) -> Table:
    """A row an item: what it is, what to do, and why, with evidence beneath each rule."""
    table = Table(show_lines=True, expand=False)
    table.add_column("item", max_width=28, overflow="fold")
    table.add_column("action")
    table.add_column("why", overflow="fold")
    for record, note in records:
        style = _STYLE[record.action]
        table.add_row(_item(record, note), Text(record.action.value, style=style), why(record, titles))
    return table


def why(record: DecisionRecord, titles: dict[str, str]) -> Text:
    """The reasons of one record: an error, or each rule that is not clear, with its evidence."""
    if record.error is not None:
        hint = f"\n{printable(record.error['hint'])}" if record.error["hint"] else ""
        return Text(printable(record.error["message"] or "") + hint, style="yellow")
    shown = [v for v in record.verdicts if v.outcome is not Outcome.CLEAR or v.explanation]
    shown.sort(key=lambda v: (v.outcome.rank, -(v.probability or 0.0)))
    if not shown:
        return _nothing_found(record)
    lines = Text()
    first = [v for v in shown if v.outcome is Outcome.VIOLATES or v.explanation not in (None, "skipped")]
    rest = [v for v in shown if v not in first]
    told = first + rest[: max(0, _MOST_UNEXPLAINED - len(first))]
    for verdict in told:
        lines.append_text(_verdict(verdict, titles))
    lines.append_text(_others(shown, len(told)))
    for gap in record.decision.gaps if record.decision else ():
        lines.append(f"{printable(_gap(gap))}\n", style="dim")
    for note in record.item["coverage"]["notes"]:
        lines.append(f"{printable(note)}\n", style="dim")
    lines.rstrip()
    return lines


def _others(shown: list[Verdict], told: int) -> Text:
    """How many more rules are not clear, so that a long list does not bury what matters."""
    counts = Counter(verdict.outcome.value for verdict in shown)
    if told >= len(shown):
        return Text()
    summary = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    return Text(f"of {len(shown)} rules that are not clear: {summary} (--json lists all)\n", style="dim")


def _gap(gap: Gap) -> str:
    """What became of the steps of one policy that name a threshold which it has not."""
    return f"calibrated.{gap.threshold} of {gap.policy}: {_EFFECTS[gap.effect]} ({gap.reason})"


_EFFECTS = {
    Effect.SHARED: "that over all areas stands in",
    Effect.NEVER: "its steps never match",
    Effect.ALWAYS: "its steps match all that fires",
}


def gaps_line(gaps: Iterable[Gap]) -> str | None:
    """One line for the start of a run: what the calibration lacks, for whom, and what it does then.

    None where it lacks nothing.
    """
    policies: dict[tuple[Effect, str], list[str]] = {}
    for gap in gaps:
        policies.setdefault((gap.effect, gap.threshold), []).append(gap.policy)
    parts = [
        f"{threshold} of {_few(names)}: {_EFFECTS[effect]}"
        for (effect, threshold), names in sorted(policies.items())
    ]
    return f"the calibration has gaps: {'; '.join(parts)}" if parts else None


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_POLICIES
    return ", ".join(names[:_MOST_POLICIES]) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    """Show control characters instead of obeying them."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def _item(record: DecisionRecord, note: str) -> Text:
    item = record.item
    kind = " ".join(str(item[k]) for k in ("modality", "language") if item.get(k))
    name = Text(printable(str(item.get("source") or item["id"])))
    for line in filter(None, (kind, note)):
        name.append(f"\n{printable(line)}", style="dim")
    return name


def _nothing_found(record: DecisionRecord) -> Text:
    if record.verdicts:
        highest = max(v.probability or 0.0 for v in record.verdicts)
        text = Text(f"no rule fires (highest probability {highest:.2f})", style="dim")
    else:
        text = Text(f"no rule applies to {record.item['modality']}", style="dim")
    for note in record.item["coverage"]["notes"]:
        text.append(f"\n{printable(note)}", style="dim")
    return text


def _verdict(verdict: Verdict, titles: dict[str, str]) -> Text:
    line = Text()
    line.append(f"{verdict.outcome.value} ", style="bold")
    line.append(f"{verdict.rule} {printable(titles.get(verdict.rule, ''))}", style="bold")
    if verdict.exemption:
        line.append(f" (exempt: {printable(verdict.exemption)})", style="bold")
    if verdict.probability is not None:
        line.append(f"  p {verdict.probability:.2f}")
        if verdict.exempt_probability:
            line.append(f", exempt {verdict.exempt_probability:.2f}")
        line.append(f", mass {verdict.label_mass:.2f}, severity {verdict.severity}")
    line.append("\n")
    if verdict.reason:
        line.append(f"  {verdict.reason}\n", style="dim")
    for evidence in verdict.evidence:
        line.append(f"  [{evidence.segment}] {place(evidence)}  “{_short(evidence.quote)}”\n")
    if verdict.rationale:
        line.append(f"  {printable(verdict.rationale)}\n", style="italic")
    if verdict.explanation in ("disagrees", "unreadable"):
        line.append(f"  explanation {verdict.explanation}; the probability decides\n", style="yellow")
    return line


def place(evidence: Evidence) -> str:
    """Where a piece of evidence is: characters, seconds, frame or line of a picture."""
    parts = []
    if evidence.start is not None and evidence.end is not None:
        parts.append(f"characters {evidence.start}–{evidence.end}")
    if evidence.start_s is not None:
        end = f"–{evidence.end_s:.1f}" if evidence.end_s is not None else ""
        parts.append(f"{evidence.kind} {evidence.start_s:.1f}{end} s")
    elif evidence.kind != "sentence":
        parts.append(f"{evidence.kind} line")
    if evidence.frame is not None:
        parts.append(f"frame {evidence.frame}")
    if evidence.box is not None:
        left, top, right, bottom = evidence.box
        parts.append(f"box {left},{top},{right},{bottom}")
    return ", ".join(parts)


def _short(quote: str) -> str:
    text = printable(" ".join(quote.split()))
    return text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - 1] + "…"
