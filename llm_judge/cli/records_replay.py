"""`llm-judge records replay`: judge what was judged again, and say whether the decision is the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.options import BundleFolder, CalibrationFile, EngineSpec, Only, Overlays, Policies
from llm_judge.cli.records_options import WAIT_S, AsJson, DecisionId, Store, Wait, open_store
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_judge.store.replay import Replay


def replay(
    decision: DecisionId,
    store: Store = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="What was judged, where it is not kept.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The same, as a file.")] = None,
    policies: Policies = None,
    only: Only = None,
    overlays: Overlays = None,
    bundle: BundleFolder = None,
    engine: EngineSpec = "local",
    calibration: CalibrationFile = None,
    as_json: AsJson = False,
    wait: Wait = WAIT_S,
) -> None:
    """Judge the same content again and compare: exit code 0 for the same decision, 1 for another.

    Give the policies and the engine that judged, or others to see what they would change. What differs in
    policies, prompt, model or settings is said.

      llm-judge records replay 5f0c2a… --store decisions.sqlite3 --text "We sell cheap passports"
    """
    from llm_judge.cli.judge import build_judge
    from llm_judge.content.limits import DEFAULT_LIMITS
    from llm_judge.engines.protocol import limits_for
    from llm_judge.store.replay import check_same, content_of
    from llm_judge.store.replay import replay as judge_again

    record, data = _stored(decision, store, wait)
    given = _given(text, file)
    data = data if given is None else given
    if data is None:
        raise UsageError(
            f"the content of decision `{decision}` is not kept", "give what was judged with --text or --file"
        )
    check_same(record, data)  # before a model is loaded
    judge = build_judge(
        policies, only, engine, "never", overlays=overlays, bundle=bundle, calibration=calibration
    )
    limits = limits_for(judge.engine)
    # A text that was given directly has no cap here, unless the engine asks for other limits.
    content = content_of(record, data, limits if limits != DEFAULT_LIMITS else None)
    done = judge_again(judge, record, content)
    _show(done, as_json)
    raise typer.Exit(ExitCode.OK if done.same else ExitCode.FOUND)


def _stored(decision: str, store: str | None, wait: float) -> tuple[Mapping[str, object], bytes | None]:
    with open_store(store, wait) as opened:
        stored = opened.get(decision)
        if stored is None:
            raise UsageError(f"there is no decision `{decision}`", "`llm-judge records list` shows some")
        if stored.record is None:
            raise UsageError(f"decision `{decision}` was erased", "nothing is left to judge again")
        return stored.record, opened.content(decision)


def _given(text: str | None, file: Path | None) -> bytes | None:
    if text is not None and file is not None:
        raise UsageError("--text does not go with --file", "give one of them")
    if file is not None:
        from llm_judge.content.files import read_file
        from llm_judge.content.limits import DEFAULT_LIMITS

        return read_file(file, file.name, DEFAULT_LIMITS.video_bytes)[0]
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _show(done: Replay, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from llm_judge.report import printable

    if as_json:
        data = {
            "same": done.same,
            "differences": [asdict(each) for each in done.differences],
            "run": [asdict(each) for each in done.run],
            "largest_shift": done.largest_shift,
            "record": done.record.as_json(),
        }
        typer.echo(json.dumps(data))
        return
    shift = "" if done.largest_shift is None else f"; probabilities moved by {done.largest_shift:.4f} at most"
    head = "the same decision" if done.same else "another decision"
    typer.echo(f"{head}: {done.record.action.value}{shift}")
    for each in done.differences:
        typer.echo(printable(f"  {each.what}: {each.then} → {each.now}"))
    for each in done.run:
        typer.echo(
            printable(
                f"judged with another {each.what.replace('_', ' ')}: {each.then[:16]} → {each.now[:16]}"
            )
        )
