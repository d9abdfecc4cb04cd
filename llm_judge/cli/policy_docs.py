"""`llm-judge policy docs`: pages for readers, made from the policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import Policies

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import Policy


def docs(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write.")] = Path("docs"),
    policies: Policies = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit 1 where a page is missing, stale or left over."),
    ] = False,
) -> None:
    """Write the guidelines for readers: a page for each policy, and one HTML book to read and print.

    Makes `policies/` and `checks/` (Markdown, each with an index) and `guidelines.html` (one file, no
    scripts) in the folder. Pages of policies that are gone are deleted; other files are left alone.

      llm-judge policy docs --out docs --check
    """
    from llm_judge.cli.stale import write_or_check
    from llm_judge.policy.docs import doc_files
    from llm_judge.policy.load import scan_policies
    from llm_judge.policy.model import Status
    from llm_judge.resources import content_folder

    paths = list(policies) if policies else [content_folder("policies")]
    loaded = scan_policies(paths, frozenset(Status)).policies
    cases = {policy.policy: _cases(policy) for policy in loaded}
    made = {out / name: text for name, text in doc_files(loaded, cases).items()}
    write_or_check(made, check=check, left_over=list(_left_over(out, made)))


def _cases(policy: Policy) -> Sequence[Case]:
    from llm_judge.policy.cases import cases_path, load_cases

    path = cases_path(Path(policy.at.file)) if policy.at else None
    return load_cases(path, policy) if path and path.is_file() else ()


def _left_over(out: Path, made: Collection[Path]) -> Iterator[Path]:
    """Yield pages that this command once made and no longer would."""
    from llm_judge.policy.docs import MADE

    for folder in ("policies", "checks"):
        for path in sorted((out / folder).rglob("*.md")):
            if path not in made and path.read_bytes().startswith(MADE.encode()):
                yield path
