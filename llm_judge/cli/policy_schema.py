"""`llm-judge policy schema`: JSON Schema files for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_judge.cli.stale import write_or_check


def schema(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where to write. `schema` in the shipped guidelines if left out.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where a file is missing or stale.")
    ] = False,
) -> None:
    """Write JSON Schemas of policy, cases and overlay files: completion and hover texts in an editor.

    An editor with the YAML language server finds them by the first line of a file, which `policy fmt`
    writes for files below the folder that holds `schema`.

      llm-judge policy schema --out house/schema
    """
    from llm_judge.policy.file_kind import FileKind
    from llm_judge.policy.schema import schema_text
    from llm_judge.resources import content_folder

    folder = out or content_folder("policies") / "schema"
    write_or_check({folder / kind.schema_name: schema_text(kind) for kind in FileKind}, check=check)
