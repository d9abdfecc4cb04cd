"""`llm-judge judge`: text, files, folders and JSONL rows in; decisions with evidence out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import EngineSpec, Only, Policies, read_policies
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.batch.items import Item
    from llm_judge.judge import Judge
    from llm_judge.record import RecordFile

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT|FILE…|-",
        help="Texts, media files, folders, .jsonl files, or `-` for JSONL rows from standard input "
        '(one `{"id": …, "text": …}` or `{"id": …, "file": …}` a line).',
    ),
]


def judge(
    inputs: Inputs,
    policies: Policies = None,
    only: Only = None,
    engine: EngineSpec = "local",
    explain: Annotated[
        str,
        typer.Option(help="`never`, `auto` (rules that fire, are exempt or uncertain) or `always`."),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON record a line on standard output.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Append records to this JSONL file.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with --out: judge only what it does not hold.")] = False,
    keep_quotes: Annotated[
        bool, typer.Option(help="Write quoted content into --out; otherwise only its digest and place.")
    ] = False,
    max_text_bytes: Annotated[
        int | None, typer.Option(min=1, help="Longest text that is judged, in bytes (default 2 MiB).")
    ] = None,
) -> None:
    """Judge content by guidelines and show each decision with its evidence.

    Examples:

      llm-judge judge "You have won! Send a small fee to claim your prize."

      llm-judge judge poster.png clip.ogg holiday.mp4 --explain always

      llm-judge judge posts.jsonl --out records.jsonl --resume --explain never
    """
    from llm_judge.batch.items import check_arguments, items_from_arguments
    from llm_judge.content.open import Limits

    if resume and out is None:
        raise UsageError("--resume needs --out", "name the file to go on with")
    limits = Limits() if max_text_bytes is None else Limits(text_bytes=max_text_bytes)
    # First, because a wrong path or policy must not cost the time of loading a model.
    check_arguments(inputs)
    judge_ = build_judge(policies, only, engine, explain)
    items = items_from_arguments(inputs, sys.stdin.buffer, limits)
    if out is None:
        code = _run(judge_, items, None, inputs, as_json)
    else:
        from llm_judge.record import RecordFile

        with RecordFile(out, judge_.run, resume=resume, keep_quotes=keep_quotes) as record_file:
            code = _run(judge_, items, record_file, inputs, as_json)
    raise typer.Exit(code)


def build_judge(
    policies: Sequence[Path] | None, only: Sequence[str] | None, engine: str, explain: str
) -> Judge:
    """Load policies, open the engine and join them; raises what each of them raises."""
    from llm_judge.compile import TargetModel, compile_policies
    from llm_judge.engines.open import open_engine
    from llm_judge.judge import Explain, Judge, JudgeSettings

    if explain not in set(Explain):
        raise UsageError(f"unknown --explain `{explain}`", "choose never, auto or always")
    chosen = read_policies(policies, only)
    opened = open_engine(engine)
    target = TargetModel(opened.info.model, opened.info.context_tokens, opened.count_tokens)
    return Judge(compile_policies(chosen, target), opened, JudgeSettings(explain=Explain(explain)))


def _run(
    judge_: Judge, items: Iterator[Item], out: RecordFile | None, inputs: Sequence[str], as_json: bool
) -> ExitCode:
    """Judge everything, show each batch as it is done, and return what the shell should see."""
    from rich.console import Console

    from llm_judge.batch.items import count_items
    from llm_judge.batch.run import run_batches
    from llm_judge.cli.progress import item_progress
    from llm_judge.report import RecordPrinter, Tally

    tally = Tally()
    printer = RecordPrinter(
        Console(), judge_.compiled, as_json=as_json, quiet=out is not None and not as_json
    )
    with item_progress(count_items(inputs)) as advance:

        def skipped(number: int) -> None:
            tally.skipped += number
            advance(number)

        try:
            for record in run_batches(judge_, items, out, on_skip=skipped):
                tally.add(record)
                printer.add(record)
                advance(1)
        finally:
            printer.finish()
    Console(stderr=True).print(tally.line(), highlight=False)
    return tally.exit_code()
