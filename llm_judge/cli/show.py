"""`llm-judge show`: look at what the judge would do, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import Only, Overlays, Policies, read_policies
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.compile import CompiledPolicy
    from llm_judge.prompt import Prompt

app = typer.Typer(help="Look at prompts without loading a model.", no_args_is_help=True)

PACKAGED_CONTEXT_TOKENS = 8192


@app.callback()
def show() -> None:
    """Look at prompts without loading a model."""


@app.command("prompt")
def prompt(
    content: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="What would be judged.")],
    policies: Policies = None,
    only: Only = None,
    overlays: Overlays = None,
    dialect: Annotated[
        str, typer.Option(metavar="NAME", help="`compact` for the packaged model, `full` for a large one.")
    ] = "compact",
    question: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Print the prompt that ends in this question: a policy id or a rule (policy#RULE).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the exact prompt for one content, and how many tokens each part is.

    The text goes to standard output as the model reads it; the token counts of the packaged model's
    tokenizer go to standard error. A picture or sound is perceived first, which needs the media extra.

      llm-judge show prompt "We sell cheap passports" --question regulated/fraud#FS5
    """
    import io
    import json

    from llm_judge.batch.items import check_arguments, items_from_arguments
    from llm_judge.compile import TargetModel, compile_policies
    from llm_judge.content.content import Content
    from llm_judge.content.open import Limits
    from llm_judge.engines.convert import MODEL
    from llm_judge.engines.tokens import ChatFrame, packaged_tokens
    from llm_judge.prompt import build_prompt

    check_arguments([content])
    tokens, frame = packaged_tokens(), ChatFrame.packaged()
    target = TargetModel(MODEL, PACKAGED_CONTEXT_TOKENS, tokens.count, dialect)
    compiled = compile_policies(read_policies(policies, only, overlays), target)
    item = next(items_from_arguments([content], io.BytesIO(), Limits()), None)
    if item is None:
        raise UsageError(f"there is nothing to show in `{content}`", "give a text or a file")
    opened = item.open()
    assert isinstance(opened, Content)  # noqa: S101  # nothing is answered before it is shown
    built = build_prompt(compiled, opened, tokens.special_tokens)
    asked = _question_text(compiled, question)
    counts = _counts(compiled, built, len(frame.prompt_ids(tokens, built, asked)))
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "prompt": frame.prompt_text(built, asked),
                    "tokens": counts,
                    "policy_digest": compiled.digest,
                    "prompt_digest": compiled.prompt_digest,
                },
                ensure_ascii=False,
            )
        )
        return
    typer.echo(frame.prompt_text(built, asked))
    _print_counts(counts, compiled)


def _question_text(compiled: CompiledPolicy, wanted: str | None) -> str:
    if wanted is None:
        return compiled.areas[0].question.text
    texts = {area.policy.policy: area.question.text for area in compiled.areas}
    texts.update({rule.key: rule.question.text for rule in compiled.rules})
    if wanted not in texts:
        import difflib

        close = difflib.get_close_matches(wanted, texts, n=1, cutoff=0.6)
        hint = f"did you mean `{close[0]}`?" if close else f"choose from {', '.join(texts)}"
        raise UsageError(f"no question is called `{wanted}`", hint)
    return texts[wanted]


def _counts(compiled: CompiledPolicy, built: Prompt, whole: int) -> dict[str, int]:
    count = compiled.target.count_tokens
    counts = {"prefix (shared)": count(built.prefix), "content": count(built.body)}
    counts.update({f"question {area.policy.policy}": count(area.question.text) for area in compiled.areas})
    counts.update({f"question {rule.key}": count(rule.question.text) for rule in compiled.rules})
    return {
        **counts,
        "this prompt, with chat frame": whole,
        "left of the context": compiled.target.context_tokens - whole,
    }


def _print_counts(counts: dict[str, int], compiled: CompiledPolicy) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"tokens of {compiled.target.name}", caption=f"policy digest {compiled.digest[:16]}")
    table.add_column("part")
    table.add_column("tokens", justify="right")
    for name, number in counts.items():
        table.add_row(name, str(number))
    Console(stderr=True).print(table)
