"""`llm-judge policy check`: everything that is wrong with guidelines, before a model reads them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.errors import ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.policy.check_run import CheckReport
    from llm_judge.policy.model import Policy

_GIT = "git:"


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Policies and folders of them; the shipped guidelines if left out."
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="`text` for people, `json`, `sarif` (code hosts) or `github` (annotations of a workflow).",
        ),
    ] = Format.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the command too.")] = False,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            "--against",
            metavar="PATH|git:REV",
            help="Older guidelines: a rule that changed since then needs a higher `version`.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Levels and waivers. If left out: `llm-judge.toml`, or `pyproject.toml` with a table "
            "`tool.llm-judge.check`, next to or above the first PATH.",
        ),
    ] = None,
) -> None:
    """Check policies, their cases and overlays; show every problem with its place and its fix.

    Codes: P0 shape, P1 meaning, P2 wording; `llm-judge policy explain CODE` gives the reasons.

    Nothing is judged and no model is loaded. Exit code 0: no errors; 1: errors found; 2: could not run.

      llm-judge policy check policies

      llm-judge policy check policies --base git:main --strict --format github
    """
    from datetime import date

    from llm_judge.decision import UNCALIBRATED
    from llm_judge.policy.check_config import CheckConfig, find_config, load_config
    from llm_judge.policy.check_run import check_paths
    from llm_judge.resources import content_folder

    wanted = paths or [content_folder("policies")]
    place = config or find_config(wanted)
    settings = load_config(place, date.today()) if place else CheckConfig()
    older = _older(base, wanted) if base else None
    report = check_paths(wanted, UNCALIBRATED, settings, older)
    _write(_rendered(report, format_))
    if format_ is not Format.TEXT:
        typer.echo(summary(report), err=True)
    raise typer.Exit(_exit_code(report, strict))


def _write(text: str) -> None:
    try:
        typer.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"the report cannot be written: {(error.strerror or 'unknown').lower()}") from None


def _rendered(report: CheckReport, format_: Format) -> str:
    from llm_judge import __version__
    from llm_judge.diagnostics import to_text
    from llm_judge.diagnostics_formats import CodeMeaning, to_github, to_sarif
    from llm_judge.policy.codes import CODES

    if format_ is Format.GITHUB:
        return to_github(report.diagnostics)
    if format_ is Format.JSON:
        return json.dumps(_as_data(report), indent=2, ensure_ascii=True) + "\n"
    if format_ is Format.SARIF:
        meanings = {code.id: CodeMeaning(code.title, code.level, code.page) for code in CODES.values()}
        waived = [(found, f"{w.reason} (until {w.expires.isoformat()})") for found, w in report.waived]
        log = to_sarif(report.diagnostics, waived, meanings, __version__)
        return json.dumps(log, indent=2, ensure_ascii=True) + "\n"
    text = to_text(report.diagnostics)
    return f"{text}\n{summary(report)}\n" if text else f"{summary(report)}\n"


def _as_data(report: CheckReport) -> dict[str, Any]:
    from llm_judge.diagnostics import Level, to_json

    waived = [
        {**to_json([found])[0], "reason": waiver.reason, "expires": waiver.expires.isoformat()}
        for found, waiver in report.waived
    ]
    return {
        "files": report.files,
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
        "diagnostics": to_json(report.diagnostics),
        "waived": waived,
    }


def summary(report: CheckReport) -> str:
    """Return the last line: what was checked and found, each waiver in use, and where to read more."""
    from llm_judge.diagnostics import Level
    from llm_judge.report import printable

    errors, warnings = report.count(Level.ERROR), report.count(Level.WARNING)
    counts = [_many(errors, "error"), _many(warnings, "warning")]
    if report.waived:
        counts.append(f"{len(report.waived)} waived")
    line = f"{_many(report.files, 'file')} checked. {', '.join(counts)}."
    if report.diagnostics:
        worst = min(report.diagnostics, key=lambda found: (found.level is not Level.ERROR, found.code))
        line += f" Run `llm-judge policy explain {worst.code}` for the reasons behind a code."
    rows = {
        printable(
            f"waived: {waiver.code} in {waiver.file} until {waiver.expires.isoformat()}: {waiver.reason}"
        )
        for _, waiver in report.waived
    }
    return "\n".join([line, *sorted(rows)])


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _exit_code(report: CheckReport, strict: bool) -> ExitCode:
    from llm_judge.diagnostics import Level

    failed = report.count(Level.ERROR) or (strict and report.diagnostics)
    return ExitCode.FOUND if failed else ExitCode.OK


def _older(base: str, paths: Sequence[Path]) -> dict[str, Policy]:
    """Read the older policies by id; a file that was wrong then has nothing to compare with."""
    from llm_judge.policy.load import parse_policy

    texts = _texts_at(base, paths) if base.startswith(_GIT) else _texts_in(Path(base))
    parsed = (parse_policy(text, name)[0] for name, text in sorted(texts.items()))
    policies = {policy.policy: policy for policy in parsed if policy is not None}
    if not policies:
        raise UsageError(f"there is no policy to compare with in `{base}`", "name a folder or `git:REVISION`")
    return policies


def _texts_at(revision: str, paths: Sequence[Path]) -> dict[str, str]:
    from llm_judge.policy.revision import texts_at

    texts: dict[str, str] = {}
    for path in paths:
        for name, text in texts_at(revision, path).items():
            texts[str(path / name if path.is_dir() else path)] = text
    return {name: text for name, text in texts.items() if _is_policy(Path(name))}


def _texts_in(place: Path) -> dict[str, str]:
    from llm_judge.source import decode, read

    files = sorted(place.rglob("*.yaml")) if place.is_dir() else [place]
    texts = {str(file): decode(read(file), str(file))[0] for file in files if _is_policy(file)}
    return {name: text for name, text in texts.items() if text is not None}


def _is_policy(file: Path) -> bool:
    return file.suffix == ".yaml" and not file.name.endswith(".cases.yaml")
