"""`llm-judge records`: the record store, one file a command group."""

from __future__ import annotations

import typer

from llm_judge.cli import records_files as files_command
from llm_judge.cli import records_keep as keep_command
from llm_judge.cli import records_replay as replay_command
from llm_judge.cli import records_show as show_command
from llm_judge.cli.records_options import require_store

app = typer.Typer(
    help="Keep decisions in a database whose every change shows; review, find, replay and erase them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def check_extra() -> None:
    """Keep decisions in a database whose every change shows; review, find, replay and erase them.

    The store is a file (SQLite) or postgresql://user@host/name, given by --store or LLM_JUDGE_STORE.
    """
    require_store()


app.command("import")(files_command.import_)
app.command("list")(show_command.list_)
app.command("show")(show_command.show)
app.command("review")(show_command.review)
app.command("replay")(replay_command.replay)
app.command("export")(files_command.export)
app.command("purge")(keep_command.purge)
app.command("verify")(keep_command.verify)
app.command("migrate")(keep_command.migrate)
