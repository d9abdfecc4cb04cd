"""Every diagnostic code of policies, cases and overlays: what it is, how bad it is, and its page.

P0 is shape, P1 meaning, P2 wording. A code keeps its number for ever. The pages stand in ``pages/``,
one Markdown file a code. Knows nothing about how anything is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Diagnostic, Level

if TYPE_CHECKING:
    from llm_judge.diagnostics import Span
    from llm_judge.source import Source

PAGES = Path(__file__).resolve().parent / "pages"
HEADINGS = ("What it checks", "Why it matters", "Example", "Instead", "Turning it off")


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that can be wrong.

    Attributes:
        id: stable, such as ``P101``.
        level: how bad it is unless a configuration says otherwise.
        title: what is wrong, in a few words.
        fixed: no configuration or waiver touches it, because such a file is not loaded at all.
    """

    id: str
    level: Level
    title: str
    fixed: bool = False

    @property
    def page(self) -> str:
        """The Markdown page of this code, with the headings of ``HEADINGS``."""
        return (PAGES / f"{self.id}.md").read_text(encoding="utf-8")


_FIXED = (
    ("P000", "the file cannot be read as plain YAML"),
    ("P001", "a key is missing"),
    ("P002", "unknown key"),
    ("P003", "unknown value"),
    ("P004", "a key is used twice in one block"),
    ("P005", "YAML reads this as another type"),
    ("P006", "a value is blank, too long or out of bounds"),
    ("P101", "an id is used twice"),
    ("P104", "a definition is missing, or used where it is not replaced"),
    ("P105", "an example and its exemption do not fit"),
    ("P107", "an action names an unknown rule"),
    ("P108", "a case cites an unknown rule"),
    ("P109", "a case and its exemption do not fit"),
    ("P110", "the policy id does not match the place of the file"),
    ("P111", "two files have the same policy id"),
    ("P112", "the cases belong to another policy"),
    ("P113", "the content of a case cannot be used"),
    ("P130", "an overlay loosens a rule marked as floor"),
    ("P131", "an overlay extends an unknown policy"),
    ("P132", "an overlay names an unknown rule or exemption"),
    ("P133", "an overlay changes nothing"),
    ("P140", "the configuration of the checks is wrong"),
    ("P141", "a waiver has no reason or no expiry"),
)
_ERRORS = (
    ("P116", "an exemption can never apply"),
    ("P117", "an exemption swallows its rule"),
    ("P118", "an action step can never be reached"),
    ("P120", "a threshold that no calibration provides"),
    ("P121", "a rule changed its meaning without a new version"),
    ("P124", "a file that is never read"),
    ("P142", "a waiver has expired"),
)
_WARNINGS = (
    ("P114", "a definition is never used"),
    ("P115", "two rules say nearly the same"),
    ("P119", "a rule that no action step handles"),
    ("P122", "a rule without cases"),
    ("P123", "an exemption without cases"),
    ("P125", "unfinished text left by `policy new`"),
    ("P143", "a waiver that waives nothing"),
    ("P201", "a vague word without a definition"),
    ("P202", "two conditions in one rule"),
    ("P203", "a double negative"),
    ("P204", "a rule about intent only"),
    ("P205", "an example over its budget"),
    ("P206", "text that collides with the output format"),
)

CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.id: code
        for code in sorted(
            (
                *(Code(name, Level.ERROR, title, fixed=True) for name, title in _FIXED),
                *(Code(name, Level.ERROR, title) for name, title in _ERRORS),
                *(Code(name, Level.WARNING, title) for name, title in _WARNINGS),
            ),
            key=lambda code: code.id,
        )
    }
)


def report(source: Source, code: str, span: Span, message: str, help_line: str | None = None) -> Diagnostic:
    """Return a diagnostic of this code at its own level, carrying its source line."""
    line = source.lines[span.line - 1] or None
    return Diagnostic(code, CODES[code].level, span, message, help_line, line)
