"""Breaks things under a running service and counts what came of every request.

    python -m llm_judge.reliability.chaos [--only NAME …] [--share 0.1] [--file docs/reliability.json]

Each fault gets a service, a store and clients of its own. Ends with 1 where a decision was lost, given twice
or wrong, or the service did not come back. Linux only. Needs the extras `serve`, `store` and `local`, and
PostgreSQL's programs for its faults.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from llm_judge.errors import ExitCode, JudgeError, UsageError
from llm_judge.reliability import figures_file
from llm_judge.reliability.client_faults import CLIENT_FAULTS
from llm_judge.reliability.engine_faults import ENGINE_FAULTS
from llm_judge.reliability.scene import Fault, Result, play
from llm_judge.reliability.store_faults import STORE_FAULTS, postgres_faults

_POSTGRES = ("database-killed", "judge-killed-postgresql")


def faults() -> tuple[Fault, ...]:
    """Every fault that can be made here."""
    return (*ENGINE_FAULTS, *STORE_FAULTS, *postgres_faults(), *CLIENT_FAULTS)


def chosen(names: Sequence[str]) -> tuple[Fault, ...]:
    """Return the faults of these names, all where none is named; raises ``UsageError`` for an unknown one."""
    known = {fault.name: fault for fault in faults()}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"no fault `{unknown[0]}` can be made here", f"choose from {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())


def not_run(results: Sequence[Result]) -> dict[str, str]:
    """Which faults are missing from a whole run, and why."""
    done = {result.name for result in results}
    return {name: "PostgreSQL is not installed" for name in _POSTGRES if name not in done}


def told(result: Result) -> str:
    """One line about one fault."""
    counts = result.tally
    line = (
        f"{result.name}: {counts.sent} sent, {counts.decided} decided, {counts.kept} kept, "
        f"{counts.lost} lost, {counts.duplicated} duplicated, {counts.wrong_typed} wrong-typed, "
        f"{counts.unanswered} without an answer, {counts.left} left, {counts.fail_modes} fail modes "
        f"({result.fail_modes_counted} counted), back after {result.recovered_s} s, "
        f"{counts.errors} {dict(result.notes)} {result.seconds} s"
    )
    wrong = "" if result.good else f"  NOT AS IT MUST BE: {counts.wrong}, exit code {result.exit_code}, "
    return line + (wrong and f"{wrong}chain whole {result.chain_whole}, {result.tracebacks} tracebacks")


def main(words: Sequence[str] | None = None) -> int:
    """Run the faults that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="NAME", help="these faults, and keep no figures"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the time that faults last")
    parser.add_argument("--file", type=Path, default=Path("docs/reliability.json"), help="where figures go")
    options = parser.parse_args(words)
    machine = figures_file.machine()
    try:
        results = []
        for fault in chosen(options.only):
            results.append(asyncio.run(play(fault, share=options.share)))
            print(told(results[-1]), flush=True)
        if not options.only:
            command = "make chaos" if options.share == 1 else f"make chaos CHAOS='--share {options.share:g}'"
            figures = {
                "command": command,
                "machine": machine,
                "results": [result.as_json() for result in results],
                "not_run": not_run(results),
            }
            print(f"written: {figures_file.keep(options.file, 'chaos', figures)}")
    except JudgeError as error:
        print(
            f"error: {error.message}" + (f"\n  = help: {error.hint}" if error.hint else ""), file=sys.stderr
        )
        return error.exit_code
    return ExitCode.OK if all(result.good for result in results) else ExitCode.FOUND


if __name__ == "__main__":
    sys.exit(main())
