"""Labelled items through the judge, a chunk at a time, into a run folder.

Knows nothing about terminals, metrics or where items come from.
"""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import tarfile
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from llm_judge.batch.items import Item
from llm_judge.batch.run import run_batches
from llm_judge.content.open import from_bytes
from llm_judge.content.text import from_text
from llm_judge.errors import ContentNotFound, Interrupted
from llm_judge.evals.area_ranking import item_tokens, rank_items
from llm_judge.evals.outcome_of import outcome_of
from llm_judge.evals.outcomes import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llm_judge.content.content import Content
    from llm_judge.evals.outcomes import EvalItem, ItemOutcome
    from llm_judge.evals.run_folder import RunFolder
    from llm_judge.judge import Judge
    from llm_judge.record import DecisionRecord

CHUNK_ITEMS = 32
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "rapidocr", "faster-whisper")


def run_identity(judge: Judge, items: Sequence[EvalItem], options: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two halves to be one run: items and labels, judge, options."""
    return {
        "suites": sorted({item.suite for item in items}),
        "items": len(items),
        "items_digest": items_digest(items),
        "options": {**options, "chunk_items": CHUNK_ITEMS},
        "judge": judge.run.as_json(),
        "policies": {policy.policy: policy.version_in_force for policy in judge.policies},
        "versions": _versions(),
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
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Judge what the folder does not hold yet, and finish the run.

    Args:
        items: in the order of the run; the same each time it is resumed.
        folder: holds whole chunks of the same items.
        media: gives the bytes of a file by its name in ``EvalItem.media``, when its turn comes; None where
            all items are texts.
        ask: what each item is asked about; an item that is not asked about every policy has no answer as a
            whole.
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
    for start in range(len(folder.outcomes), len(items), CHUNK_ITEMS):
        chunk = items[start : start + CHUNK_ITEMS]
        outcomes, stopped = _judged(judge, chunk, media, ask)
        folder.append(outcomes)
        advance(len(chunk))
        if stopped:
            raise Interrupted(stopped.message, "run the same command with --resume to go on")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts in KiB
    folder.finish({"seconds": round(time.monotonic() - started, 1), "peak_memory_mib": peak})


def judge_item(
    judge: Judge, item: EvalItem, *, media: Callable[[str], bytes] | None = None, ask: Ask = Ask.ALL
) -> ItemOutcome:
    """Judge one item alone, for callers that keep their own books; arguments as for ``run_items``.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, where this is the main thread.
        EngineError, PackageError: as the parts raise them.
    """
    (outcome,), stopped = _judged(judge, [item], media, ask)
    if stopped:
        raise stopped
    return outcome


def _judged(
    judge: Judge, chunk: Sequence[EvalItem], media: Callable[[str], bytes] | None, ask: Ask
) -> tuple[list[ItemOutcome], Interrupted | None]:
    """Judge one chunk whole; a stop that was asked for meanwhile is returned, not raised."""
    counted = item_tokens(judge.engine)
    asked = [None if ask is Ask.ALL else _labelled(item, judge) for item in chunk]
    if ask is Ask.AREAS:
        return rank_items(judge, chunk, lambda item: _opener(item, media)(), asked), None
    opened = [
        Item(item.id, item.media, _opener(item, media), policies)
        for item, policies in zip(chunk, asked, strict=True)
    ]
    records: list[DecisionRecord] = []
    stopped = None
    try:
        for record in run_batches(judge, opened, batch_items=len(opened)):
            records.append(record)  # a comprehension would lose them on a stop
    except Interrupted as error:
        if len(records) < len(chunk):
            raise
        stopped = error
    tokens = (item_tokens(judge.engine) - counted) / len(chunk)
    return [
        outcome_of(item, record, tokens, whole=policies is None)
        for item, record, policies in zip(chunk, records, asked, strict=True)
    ], stopped


def _labelled(item: EvalItem, judge: Judge) -> frozenset[str] | None:
    """Policies the item has labels for; None for all, also where only the item as a whole has one."""
    known = {*item.areas, *(rule.partition("#")[0] for rule in item.rules)}
    everything = {policy.policy for policy in judge.policies}
    return None if not known & everything or known >= everything else frozenset(known & everything)


def _opener(item: EvalItem, media: Callable[[str], bytes] | None) -> Callable[[], Content]:
    def open_item() -> Content:
        if item.text is not None:
            return from_text(item.text, id=item.id)
        if media is None or item.media is None:
            raise ContentNotFound(f"`{item.id}` has no file")
        return from_bytes(media(item.media), id=item.id, source=item.media)

    return open_item


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


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **dict(_installed())}


def _installed() -> Iterator[tuple[str, str]]:
    for name in ("llm-judge", *_LIBRARIES):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
