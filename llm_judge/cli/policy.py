"""`llm-judge policy`: the tools a policy team lives in, one file a command group."""

from __future__ import annotations

import typer

from llm_judge.cli import policy_bundle as bundle_command
from llm_judge.cli import policy_check as check_command
from llm_judge.cli import policy_diff as diff_command
from llm_judge.cli import policy_docs as docs_command
from llm_judge.cli import policy_explain as explain_command
from llm_judge.cli import policy_fmt as fmt_command
from llm_judge.cli import policy_new as new_command
from llm_judge.cli import policy_probe as probe_command
from llm_judge.cli import policy_schema as schema_command
from llm_judge.cli import policy_show as show_command
from llm_judge.cli import policy_test as test_command

app = typer.Typer(
    help="Write, check, test, compare and publish guidelines.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

app.command("test")(test_command.test)
app.command("check")(check_command.check)
app.command("explain")(explain_command.explain)
app.command("diff")(diff_command.diff)
app.command("show")(show_command.show)
app.add_typer(bundle_command.app, name="bundle")
app.command("probe")(probe_command.probe)
app.command("fmt")(fmt_command.fmt)
app.command("schema")(schema_command.schema)
app.command("new")(new_command.new)
app.command("docs")(docs_command.docs)
