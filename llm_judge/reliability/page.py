"""Figures → the page about faults and load, in Markdown. Knows nothing about how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_INTRO = """\
<!-- Written by `make chaos` and `make load`: measure again instead of editing. -->

# Faults and load

What `llm-judge serve` does when things break or too much is asked of it, measured on real processes. The
figures are those of the machine named above each table; [reliability.json](reliability.json) holds them for
programs.
"""
_WORDS = """\
Clients send contents whose right answer is known: some to be removed, some harmless, some that the engine
cannot tell. After each fault everything that was answered is held against the record store.

- **lost**: answered with a decision that is not in the store.
- **duplicated**: one decision given for two items, or more records of an item than requests about it.
- **wrong-typed**: a 200 without a decision, `allow` for what nobody judged or any other decision than the
  known one, `on_error` at work without the reply saying so, an error without its documented body.
- **kept** may be above **decided**: a record is on the disk before its answer is out, and then the service or
  the client may go.
- **fail mode**: replies that say that `on_error` had a say, and how many the service's counter
  `judge_fail_mode_total` has seen (– where the service was started again, and its counters with it). Where
  clients leave, the service may count some that nobody read; an answer given again for its `Idempotency-Key`
  is not counted again.
- **back after**: from the end of the fault to the first decision that was asked for after it.
"""
_MAIN = "fault|sent|decided|kept|lost|duplicated|wrong-typed|back after, s|as it must be"
_REST = "fault|no answer|client left|fail mode in replies|counted|errors"


def page(figures: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        figures: with the keys ``chaos`` and ``load``, each of which may be missing.
    """
    parts = [_INTRO]
    if "chaos" in figures:
        parts.append(_chaos(figures["chaos"]))
    if "load" in figures:
        parts.append(_load(figures["load"]))
    return "\n".join(parts)


def _measured(part: Mapping[str, Any]) -> str:
    at = part["machine"]
    return (
        f"`{part['command']}`, {at['day']}: {at['cores']} cores, {at['memory_gib']} GiB, {at['system']}, "
        f"Python {at['python']}, SQLite {at['sqlite']}, llm-judge {at['llm_judge']}; the load average before "
        f"it was {at['load_before']}, from other work.\n"
    )


def _chaos(part: Mapping[str, Any]) -> str:
    results = part["results"]
    main = [[*_main_row(each)] for each in results]
    rest = [[*_rest_row(each)] for each in results]
    lines = ["## Faults\n", _measured(part), _WORDS]
    lines += [_table(_MAIN.split("|"), main), "What the others got:\n", _table(_REST.split("|"), rest)]
    lines += ["What was done:\n", _done(results)]
    if part["not_run"]:
        lines.append(
            "Not run: " + "; ".join(f"{name} ({why})" for name, why in part["not_run"].items()) + ".\n"
        )
    return "\n".join(lines)


def _main_row(result: Mapping[str, Any]) -> Iterable[object]:
    counts = result["tally"]
    yield result["name"]
    for name in ("sent", "decided", "kept", "lost", "duplicated", "wrong_typed"):
        yield counts[name]
    yield result["recovered_s"]
    yield "yes" if result["good"] else "**no**"


def _rest_row(result: Mapping[str, Any]) -> Iterable[object]:
    counts = result["tally"]
    yield result["name"]
    yield from (counts["unanswered"], counts["left"], counts["fail_modes"], result["fail_modes_counted"])
    yield ", ".join(f"{count:,} `{code}`" for code, count in counts["errors"].items())


def _done(results: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for each in results:
        notes = "; ".join(f"{name}: {_shown(value)}" for name, value in each["notes"].items())
        lines.append(
            f"- **{each['name']}**: {each['what']}." + (f" {notes[0].upper()}{notes[1:]}." if notes else "")
        )
    return "\n".join(lines) + "\n"


def _load(part: Mapping[str, Any]) -> str:
    lines = ["## Load\n", _measured(part)]
    for each in part["results"]:
        lines += [f"### {each['title']}\n", each["what"] + "\n"]
        lines.append(_table(["what", "measured"], [[*pair] for pair in each["figures"].items()]))
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [list(head), ["---"] * len(head), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _shown(value: object) -> str:
    """A figure as people read it; – where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
    if isinstance(value, list):
        return " and ".join(_shown(each) for each in value)
    return str(value)
