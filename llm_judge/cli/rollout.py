"""`llm-judge rollout`: try a candidate beside what is in force, let it answer a share, and take it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.extras import require_extra
from llm_judge.cli.records_options import AsJson
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.admin_client import AdminClient
    from llm_judge.service.rollout.wire import RolloutReply

app = typer.Typer(
    help="Try a candidate beside what is in force, let it answer a share, and take it back.",
    no_args_is_help=True,
)

_LOCAL = "http://127.0.0.1:8000"
Url = Annotated[
    str, typer.Option("--url", metavar="URL", help="The service; its key is in LLM_JUDGE_API_KEY.")
]


@app.command("status")
def status(url: Url = _LOCAL, as_json: AsJson = False) -> None:
    """Show which revisions are in force, the candidate's share, and why it is what it is."""
    with _client(url) as client:
        _show(client.rollout(), as_json)


@app.command("set")
def set_(
    share: Annotated[
        float, typer.Argument(min=0, max=100, metavar="PERCENT", help="Of the items; 0 rolls back.")
    ],
    url: Url = _LOCAL,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; shown by `status`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let the candidate answer this share of the items, from the next request on.

    llm-judge rollout set 0 --url https://judge.example.com --reason "removes satire"
    """
    if reason is not None and not (0 < len(reason) <= 200 and reason.isprintable()):
        raise UsageError("--reason is one line of 1 to 200 characters")
    with _client(url) as client:
        _show(client.set_share(share, reason), as_json)


@app.command("reload")
def reload(url: Url = _LOCAL, as_json: AsJson = False) -> None:
    """Load guidelines, calibration and adapters anew; a revision that is not fit changes nothing."""
    with _client(url) as client:
        reply = client.reload()
    if as_json:
        typer.echo(reply.model_dump_json())
        return
    for each in reply.reloaded:
        changed = [
            name for name, value in each.after.model_dump().items() if value != getattr(each.before, name)
        ]
        what = ", ".join(name.replace("_", " ") for name in changed) or "nothing"
        typer.echo(f"{each.arm}: {each.after.revision} is in force; {what} changed")


@app.command("report")
def report(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="What `serve --shadow-log` wrote; the running service if left out."
        ),
    ] = None,
    url: Url = _LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show how often two revisions want the same action, with intervals, and what flips.

      llm-judge rollout report comparisons.jsonl

    A file may hold several pairs of revisions: one report each.
    """
    require_extra("this report", "eval", ("scipy",))
    from llm_judge.cli.report_file import print_blocks
    from llm_judge.evals.rollout_report import report_blocks, report_json

    for stable, candidate, tally in _pairs(file, url):
        if as_json:
            typer.echo(json.dumps(report_json(stable, candidate, tally)))
        else:
            print_blocks(report_blocks(stable, candidate, tally))


def _pairs(file: Path | None, url: str) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """What there is to report: two identities and the counts over what both judged."""
    if file is None:
        with _client(url) as client:
            reply = client.rollout()
        if reply.candidate is None:
            raise UsageError("there is no candidate", "serve with --shadow-policies, -bundle or -engine")
        return [(reply.stable.model_dump(), reply.candidate.model_dump(), reply.comparisons.model_dump())]
    from llm_judge.service.rollout.comparison import tallies
    from llm_judge.service.rollout.comparison_file import read_comparisons

    found = tallies(read_comparisons(file))
    if not found:
        raise UsageError(f"`{file}` holds no comparison yet")
    return [(one.model_dump(), other.model_dump(), tally.as_json()) for (one, other), tally in found.items()]


def _client(url: str) -> AdminClient:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"`{url}` is not the address of a service", "write http://127.0.0.1:8000")
    require_extra("this", "serve", ("httpx",))
    from llm_judge.admin_client import AdminClient

    return AdminClient(url, retries=1)


def _show(reply: RolloutReply, as_json: bool) -> None:
    from llm_judge.report import printable

    if as_json:
        typer.echo(reply.model_dump_json())
        return
    typer.echo(printable(f"stable     {_named(reply.stable.model_dump())}"))
    if reply.candidate is None:
        typer.echo("candidate  none")
        return
    typer.echo(printable(f"candidate  {_named(reply.candidate.model_dump())}"))
    why = f" ({reply.reason})" if reply.reason else ""
    typer.echo(printable(f"share      {reply.share:g} %{why}"))
    counts = reply.comparisons
    typer.echo(f"compared   {counts.compared} contents, {counts.compared - counts.same} with another action")


def _named(identity: dict[str, Any]) -> str:
    adapter = str(identity["adapter_digest"] or "none")[:12]
    policies = str(identity["policy_digest"])[:12]
    return f"{identity['revision']}, policies {policies}, {identity['model']}, adapter {adapter}"
