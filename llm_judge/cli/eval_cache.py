"""`llm-judge eval cache`: the answers that eval runs keep for later ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from llm_judge.cli.options import warn


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what eval runs have kept for later ones, or delete it.

    `llm-judge eval run` keeps what was answered about each content by each policy, and asks again only where
    the content, policies, prompt, settings, calibration, model, adapter, libraries or code differ. It holds
    digests of contents and numbers, none of their words. Answers of judges that no run used for 90 days are
    deleted. It lies in the folder of the models, which LLM_JUDGE_CACHE names; not for network file systems.

      llm-judge eval cache

      llm-judge eval cache --clear
    """
    from llm_judge.evals.answer_cache import AnswerCache, Size, answers_file, clear_answers

    path = answers_file()
    freed = clear_answers(path) if clear else 0
    size = Size(0, 0, 0, 0)
    if path.exists():
        with AnswerCache(path, warn) as kept:
            size = kept.size()
    if as_json:
        typer.echo(json.dumps({"path": str(path), **asdict(size)} | ({"freed": freed} if clear else {})))
    elif clear:
        typer.echo(f"{freed / 1e6:.1f} MB freed in {path.parent}")
    else:
        held = f"{size.answers} answers about {size.contents} contents by {size.judges} judges"
        typer.echo(f"{path}: {held}, {size.bytes / 1e6:.1f} MB")
