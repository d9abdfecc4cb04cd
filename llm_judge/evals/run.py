"""Labelled items through the judge, a chunk at a time, into a run folder.

Knows nothing about terminals, metrics or where items come from.
"""

from __future__ import annotations

import hashlib
import json
import resource
import tarfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_judge.batch.ahead import Ahead
from llm_judge.batch.run import stopping
from llm_judge.errors import ContentNotFound, Interrupted
from llm_judge.evals.item_judge import ItemJudge
from llm_judge.evals.outcomes import Ask
from llm_judge.evals.recall import recall_of
from llm_judge.evals.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llm_judge.evals.answer_cache import AnswerCache
    from llm_judge.evals.outcomes import EvalItem, ItemOutcome
    from llm_judge.evals.run_folder import RunFolder
    from llm_judge.judge import Judge

CHUNK_ITEMS = 32


def run_identity(judge: Judge, items: Sequence[EvalItem], options: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two halves to be one run: items and labels, judge, options."""
    return {
        "suites": sorted({item.suite for item in items}),
        "items": len(items),
        "items_digest": items_digest(items),
        "options": {**options, "chunk_items": CHUNK_ITEMS},
        "judge": judge.run.as_json(),
        "policies": {policy.policy: policy.version_in_force for policy in judge.policies},
        "versions": versions(),
    }


def items_digest(items: Sequence[EvalItem]) -> str:
    """SHA-256 of the ids, words and labels of the items, in order."""
    digest = hashlib.sha256()
    for item in items:
        words = hashlib.sha256((item.text or item.media or "").encode("utf-8", "surrogatepass")).hexdigest()
        truth = [item.id, words, item.harmful, sorted(item.areas.items()), sorted(item.rules.items())]
        digest.update(json.dumps(truth).encode())
    return digest.hexdigest()


def run_items(
    judge: Judge,
    items: Sequence[EvalItem],
    folder: RunFolder,
    *,
    media: Callable[[str], bytes] | None = None,
    ask: Ask = Ask.ALL,
    cache: AnswerCache | None = None,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Judge what the folder does not hold yet, and finish the run.

    Args:
        items: in the order of the run; the same each time it is resumed.
        folder: holds whole chunks of the same items.
        media: gives the bytes of a file by its name in ``EvalItem.media``, when its turn comes; None where
            all items are texts. With more than one worker it is called from several threads.
        ask: what each item is asked about; an item that is not asked about every policy has no answer as a
            whole.
        cache: answers of earlier runs, which are not asked for again; those of this run are added.
        workers: how many items are opened at once, up to one chunk ahead of the engine; with 1 each is
            opened when its turn comes.
        advance: called with the number of items judged, those found in the folder first.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; whole chunks are kept.
        EngineError, PackageError, OutputError: as the parts raise them; whole chunks are kept.
        UsageError: as ``media`` raises it; whole chunks are kept.
    """
    started = time.monotonic()
    advance(len(folder.outcomes))
    if folder.finished:
        return
    todo = items[len(folder.outcomes) :]
    one = ItemJudge(judge, media, ask, recall_of(judge, cache, rules=ask is not Ask.AREAS))
    calls = Ahead(lambda n: one.open(todo[n]), len(todo), workers=workers, bound=CHUNK_ITEMS)
    with stopping(lambda: None) as stop, calls as ahead:
        for start in range(0, len(todo), CHUNK_ITEMS):
            chunk = todo[start : start + CHUNK_ITEMS]
            openers = [partial(ahead.result, start + n) for n in range(len(chunk))]
            outcomes, stopped = one.judge_chunk(chunk, openers)
            folder.append(outcomes)
            advance(len(chunk))
            if stopped or stop.asked:  # while a chunk was judged, or between chunks
                raise Interrupted(
                    "stopped after the items in hand", "run the same command with --resume to go on"
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts in KiB
    seconds = round(time.monotonic() - started, 1)
    cached = sum(outcome.cached for outcome in folder.outcomes)
    folder.finish({"seconds": seconds, "peak_memory_mib": peak, "cached_items": cached})


def judge_item(
    judge: Judge, item: EvalItem, *, media: Callable[[str], bytes] | None = None, ask: Ask = Ask.ALL
) -> ItemOutcome:
    """Judge one item alone, for callers that keep their own books; arguments as for ``run_items``.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, where this is the main thread.
        EngineError, PackageError: as the parts raise them.
    """
    one = ItemJudge(judge, media, ask)
    (outcome,), stopped = one.judge_chunk([item], [partial(one.open, item)])
    if stopped:
        raise stopped
    return outcome


def read_member(tar: Path, name: str) -> bytes:
    """Return one file out of a tar without unpacking it.

    Raises:
        ContentNotFound: there is no such file in it, or no such tar.
    """
    try:
        with tarfile.open(tar, "r:") as archive:
            member = archive.extractfile(name)
            if member is None:
                raise KeyError(name)
            return member.read()
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ContentNotFound(f"`{name}` is not in `{tar}`") from error
