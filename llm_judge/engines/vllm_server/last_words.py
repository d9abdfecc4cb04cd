"""What a vLLM server wrote before it ended → the lines that say why.

It writes tracebacks of several processes one after another, a consequence after each cause, and after all of
them what a library leaked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PREFIX = re.compile(r"^\(\S+ pid=\d+\)\s+(?:[A-Z]+ [\d-]+ [\d:]+ (?:\[[^\]]*\])?\s?)?")
_ERROR = re.compile(r"^\s*(?:[a-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception|Exit|Interrupt))\b")
_CONSEQUENCE = re.compile(r"EngineDeadError|[Ss]ee (?:root cause|stack trace)|initialization failed")
_NOISE = re.compile(r"^nanobind: |^ - (?:leaked|\.\.\. skipped)|^See https://nanobind")


def bare(lines: Sequence[str]) -> list[str]:
    """Return what tells something, without process, date and place."""
    plain = [_PREFIX.sub("", line) for line in lines]
    return [line for line in plain if line.strip() and not _NOISE.match(line)]


def telling_line(lines: Sequence[str]) -> str:
    """Return the last line that names an error which is no consequence of another; else the last line."""
    plain = bare(lines)
    errors = [line for line in plain if _ERROR.match(line)]
    causes = [line for line in errors if not _CONSEQUENCE.search(line)]
    return (causes or errors or plain or [""])[-1].strip()


def error_kind(lines: Sequence[str]) -> str:
    """Return the name of that error, and no word of what it says; empty where no error is named."""
    found = _ERROR.match(telling_line(lines))
    return found[1] if found else ""
