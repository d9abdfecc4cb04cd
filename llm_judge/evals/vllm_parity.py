"""Whether a model behind vLLM answers as it does in-process, and what asking it through us costs.

    python -m llm_judge.evals.vllm_parity --vllm-python vllm-env/bin/python [--suite core-text --data FOLDER]

Three tables: P(yes) and decisions in-process against vLLM, over the same items; reads through the engine
against like requests sent plainly to the same server, in turns; and how much of what the server could take
from its prefix cache it took. Nothing of any item is printed or written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.content.text import from_text
from llm_judge.engines.open import open_engine
from llm_judge.errors import JudgeError, UsageError
from llm_judge.evals.bench import table
from llm_judge.evals.judging import build_judges
from llm_judge.evals.vllm_traffic import NotingEngine, cacheable_tokens, prefix_counters, read_rates
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from llm_judge.content.content import Content
    from llm_judge.engines.protocol import Engine
    from llm_judge.engines.vllm.engine import VllmEngine
    from llm_judge.evals.outcomes import EvalItem
    from llm_judge.policy.model import Policy
    from llm_judge.record import DecisionRecord

MEAN_AT_MOST, CHANGED_AT_MOST, RATE_AT_LEAST, HITS_AT_LEAST = 0.01, 0.01, 0.9, 0.9
BLOCK_TOKENS = 32  # as `vllm_server.command` serves on a CPU
_BATCH = 8


def main() -> None:
    """Measure, print the tables, and end with exit code 1 where a figure misses what is wanted of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vllm-python", type=Path, help="interpreter with vLLM; or LLM_JUDGE_VLLM_PYTHON")
    parser.add_argument("--suite", default="guideline-cases", help="text items of this suite")
    parser.add_argument("--data", type=Path, help="folder of the labelled sets, where the suite needs one")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument(
        "--read-items", type=int, default=24, help="items in each turn of the comparison of rates"
    )
    parser.add_argument("--turns", type=int, default=4, help="turns of each way to read; at most 9")
    parser.add_argument("--dtype", help="that vLLM computes in; in-process stays bfloat16")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    try:
        figures = measure(options)
    except JudgeError as error:
        hint = f"\n  = help: {error.hint}" if error.hint else ""
        parser.exit(error.exit_code, f"error: {error.message}{hint}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    parser.exit(0 if all(figures["kept"].values()) else 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return every figure; ``kept`` says of each promise whether it was kept.

    Raises:
        JudgeError: items, model or vLLM are not there.
    """
    from llm_judge.engines.vllm_server.managed import managed_engine

    policies, items = read_texts(options.suite, options.data, options.items)
    contents = [from_text(str(item.text), id=f"item-{n}") for n, item in enumerate(items)]
    asked = [_labelled(item, policies) for item in items]
    with closing(open_engine("local")) as local:
        here = judged(local, policies, contents, asked)
    started = time.monotonic()
    with managed_engine(python=options.vllm_python, dtype=options.dtype, say=print) as (engine, server):
        ready = time.monotonic() - started
        noting, before = NotingEngine(engine), prefix_counters(engine)
        there = judged(noting, policies, contents, asked)
        hits = cache_hits(engine, noting, before)
        rates = read_rates(engine, server.key, policies, contents[: options.read_items], options.turns)
    figures: dict[str, Any] = {
        "items": len(items),
        "ready_s": ready,
        **compared(here, there),
        **hits,
        **rates,
    }
    figures["kept"] = {
        "difference": figures["mean_difference"] <= MEAN_AT_MOST,
        "decisions": figures["changed"] <= CHANGED_AT_MOST * len(items),
        "rate": figures["rate_ratio"] >= RATE_AT_LEAST,
        "hits": figures["hit_rate"] >= HITS_AT_LEAST,
    }
    _show(figures)
    return figures


def read_texts(suite: str, data: Path | None, count: int) -> tuple[tuple[Policy, ...], list[EvalItem]]:
    """Return the policies that a suite is about, and so many of its text items.

    Raises:
        UsageError: there is no such suite, or it has no texts.
    """
    from llm_judge.evals.suite import load_suite
    from llm_judge.evals.suite_rows import asked_policies, data_folder, read_items

    found = load_suite(suite)
    policies = asked_policies(found, load_policies([content_folder("policies")]))
    items = read_items(found, data_folder(data), policies, limit=count, sample=None, seed=0)
    texts = [item for item in items if item.text is not None]
    if not texts:
        raise UsageError(f"the suite `{suite}` has no texts", "choose another --suite")
    return policies, texts


def _labelled(item: EvalItem, policies: Sequence[Policy]) -> frozenset[str] | None:
    """Policies an item has labels for; None for all, where it has none."""
    known = {*item.areas, *(rule.partition("#")[0] for rule in item.rules)}
    return frozenset(known & {policy.policy for policy in policies}) or None


def judged(
    engine: Engine,
    policies: Sequence[Policy],
    contents: Sequence[Content],
    asked: Sequence[frozenset[str] | None],
) -> list[DecisionRecord]:
    """Judge every content by reads alone."""
    (judge,) = build_judges(policies, engine)  # explains nothing
    return [
        record
        for start in range(0, len(contents), _BATCH)
        for record in judge.judge_batch(contents[start : start + _BATCH], asked[start : start + _BATCH])
    ]


def compared(here: Sequence[DecisionRecord], there: Sequence[DecisionRecord]) -> dict[str, Any]:
    """Return how far apart two runs over the same items are.

    Returns:
        ``reads`` both made, ``mean_difference`` and ``largest_difference`` of P(yes), 0..1; ``changed``
        decisions, and ``by_action`` what they changed from and to.
    """
    pairs = [
        (found[key], other[key])
        for one, two in zip(here, there, strict=True)
        for found, other in [(_probabilities(one), _probabilities(two))]
        for key in found.keys() & other.keys()
    ]
    apart = [abs(one - two) for one, two in pairs]
    changes = [
        f"{one.action.value} to {two.action.value}"
        for one, two in zip(here, there, strict=True)
        if one.action is not two.action
    ]
    return {
        "reads": len(pairs),
        "mean_difference": statistics.fmean(apart),
        "largest_difference": max(apart),
        "changed": len(changes),
        "by_action": {change: changes.count(change) for change in sorted(set(changes))},
    }


def _probabilities(record: DecisionRecord) -> dict[str, float]:
    areas = {area.area: area.probability for area in record.areas}
    rules = {each.rule: each.probability for each in record.verdicts if each.asked}
    return {key: value for key, value in {**areas, **rules}.items() if value is not None}


def cache_hits(engine: VllmEngine, noted: NotingEngine, before: tuple[float, float]) -> dict[str, Any]:
    """Return what the server took from its prefix cache since ``before``, against what it could."""
    queries, hits = (now - then for now, then in zip(prefix_counters(engine), before, strict=True))
    could = cacheable_tokens(noted.prompts, BLOCK_TOKENS)
    return {
        "prompts": len(noted.prompts),
        "prompt_tokens": queries,
        "cached_tokens": hits,
        "cacheable_tokens": could,
        "hit_rate": hits / max(could, 1),
    }


def _show(figures: dict[str, Any]) -> None:
    table(
        f"in-process against vLLM, {figures['items']} items; ready after {figures['ready_s']:.0f} s",
        ("reads", "mean difference of P(yes)", "largest", "decisions changed"),
        [
            (
                str(figures["reads"]),
                f"{figures['mean_difference']:.4f}",
                f"{figures['largest_difference']:.3f}",
                f"{figures['changed']} of {figures['items']}",
            )
        ],
    )
    table(
        f"reads a second, {figures['turns']} turns of {figures['reads_per_turn']} each",
        ("through the engine", "sent plainly", "ratio"),
        [
            (
                f"{figures['engine_reads_per_s']:.2f}",
                f"{figures['plain_reads_per_s']:.2f}",
                f"{figures['rate_ratio']:.3f}",
            )
        ],
    )
    table(
        "prefix cache of the server",
        ("tokens of prompts", "could be cached", "were cached", "of what could"),
        [
            (
                f"{figures['prompt_tokens']:.0f}",
                str(figures["cacheable_tokens"]),
                f"{figures['cached_tokens']:.0f}",
                f"{figures['hit_rate']:.3f}",
            )
        ],
    )


if __name__ == "__main__":
    main()
