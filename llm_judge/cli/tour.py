"""`python -m llm_judge.cli.tour`: write docs/tour-policy.md, the first session of a new policy editor.

Really takes the steps of ``tour_story`` in a temporary git repository and writes down what is printed.
``--check`` takes them again and compares. Knows nothing about what the commands do.
"""

from __future__ import annotations

import re
import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.report_file import check_writable, replace_text
from llm_judge.cli.tour_run import Section, TourError, take_steps
from llm_judge.cli.tour_story import JUDGED_CODES, STEPS
from llm_judge.errors import JudgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tour-policy.md"
_AGAIN = "run `python -m llm_judge.cli.tour` and look at what changed"
INTRO = """\
<!-- Written by `python -m llm_judge.cli.tour`: edit llm_judge/cli/tour_story.py instead. -->

# A policy editor's first session

Everything below was really run, in an empty folder that is a git repository. Lines that start with `$` were
typed, edits are shown as diffs, and words such as `<digest>` stand for what differs from run to run.

"""
_MARK = re.compile(r"^<!-- step: ([a-z]+) -->\n", re.MULTILINE)
_CODE = re.compile(r"^```\n\nExit code (\d+)\.\n\Z", re.MULTILINE)
_MOST_LINES = 30  # of the difference that a check shows for each step


def page(sections: Sequence[Section], kept: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        sections: every step.
        kept: the sections of the older page, whose answers stay where no model was asked.
    """
    parts = [INTRO]
    for section in sections:
        old = kept.get(section.step.name, "").rstrip("\n") + "\n"
        unasked = section.step.judged and not section.answers
        text = old if unasked and old.startswith(section.fixed) else section.fixed + section.answers
        if unasked and text is not old:
            text += "(not run yet)\n```\n"
        parts.append(f"<!-- step: {section.step.name} -->\n{text}\n")
    return "".join(parts).rstrip("\n") + "\n"


def sections_of(text: str) -> dict[str, str]:
    """Return the sections of a page by the name of their step; what stands above them has no name."""
    intro, *rest = _MARK.split(text)
    return {"": intro, **dict(zip(rest[::2], rest[1::2], strict=True))}


def stale(sections: Sequence[Section], text: str) -> Iterator[tuple[str, str]]:
    """Yield what a page no longer shows as it is: the name of a step, and the difference or the reason."""
    kept = sections_of(text)
    wanted = [section.step.name for section in sections]
    if kept.pop("") != INTRO or list(kept) != wanted:
        yield "", f"the page must have an introduction and the steps {', '.join(wanted)}"
    for section in sections:
        shown = kept.get(section.step.name, "").rstrip("\n") + "\n"
        if section.step.judged and shown.startswith(section.fixed):
            code = _CODE.search(shown)
            if code is None or int(code.group(1)) not in JUDGED_CODES:
                yield section.step.name, "the page does not show what a model answered"
        elif shown != section.fixed:
            lines = unified_diff(shown.split("\n"), section.fixed.split("\n"), "page", "now", "", "", 0, "")
            yield section.step.name, "\n".join([*lines][:_MOST_LINES])


def tour(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where the page is stale.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.", show_default=False)] = PAGE,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Leave out what a model judges; its old answers stay.")
    ] = False,
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="What judges.")] = "local",
) -> None:
    """Write docs/tour-policy.md, or check that it still shows what the commands print."""
    try:
        if not check:
            check_writable(out)
        old = _old_page(out, needed=check)
        with tempfile.TemporaryDirectory() as folder:
            sections = take_steps(STEPS, Path(folder).resolve(), engine, ask_model=not no_model)
        if check:
            _check(sections, old)
        else:
            replace_text(out, page(sections, sections_of(old)))
    except JudgeError as error:
        typer.echo(f"error: {error.message}", err=True)
        if hint := error.hint or (_AGAIN if isinstance(error, TourError) else None):
            typer.echo(f"  = help: {hint}", err=True)
        raise typer.Exit(error.exit_code) from None


def _old_page(path: Path, *, needed: bool) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        if needed:
            raise TourError(f"there is no page `{path.name}`", _AGAIN) from None
        return ""
    except (OSError, ValueError):
        raise UsageError(f"`{path}` cannot be read as text") from None


def _check(sections: Sequence[Section], text: str) -> None:
    found = list(stale(sections, text))
    for name, difference in found:
        typer.echo(f"stale: {f'step `{name}`' if name else 'the page'}\n{difference}\n")
    if found:
        steps = ", ".join(f"`{name}`" for name, _ in found if name) or "all"
        raise TourError(f"the tour is stale, steps: {steps}", _AGAIN)
    typer.echo(f"{len(sections)} steps, none stale")


if __name__ == "__main__":
    typer.run(tour)
