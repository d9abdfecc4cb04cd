"""What judging costs, on the same model and items and in one process: ratios, not promises.

    python -m llm_judge.evals.bench [--sections naive,reads,…] [--quick] [--json FILE]

The items and the 64 rules are in ``evals/bench``: they measure cost and say nothing about quality.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llm_judge.compile import CompiledPolicy, TargetModel, compile_policies
from llm_judge.content.content import Content
from llm_judge.content.text import from_text
from llm_judge.engines.local import LocalEngine
from llm_judge.engines.open import open_engine
from llm_judge.engines.protocol import ReadRequest
from llm_judge.errors import JudgeError, UsageError
from llm_judge.evals.judging import target_of
from llm_judge.evals.naive import NaiveJudge
from llm_judge.judge import Explain, Judge, JudgeSettings
from llm_judge.policy.load import load_policies
from llm_judge.policy.model import Policy
from llm_judge.prompt import build_prompt
from llm_judge.record import DecisionRecord
from llm_judge.resources import content_folder
from llm_judge.verdict import Outcome, Thresholds, verdict_from_reading

SECTIONS = ("naive", "reads", "rules", "items", "equivalence")


@dataclass(slots=True)
class Bench:
    """One run of the benchmark: an engine, the items, and the figures found so far."""

    engine: LocalEngine
    items: list[Content]
    expected: dict[str, str]  # first segment of a violating item → its area
    policies: tuple[Policy, ...]
    quick: bool
    counts: tuple[int, ...] = (100, 1_000, 10_000)
    figures: dict[str, Any] = field(default_factory=dict)

    def compiled(self, rules: int) -> CompiledPolicy:
        """The first ``rules`` of the bench rules: whole areas of eight, or part of the first area."""
        chosen = [
            policy.model_copy(update={"rules": policy.rules[: max(rules - 8 * i, 0)]})
            for i, policy in enumerate(self.policies)
            if rules > 8 * i
        ]
        return compile_policies(chosen, self.target)

    @property
    def target(self) -> TargetModel:
        """What the compiler must know of the engine's model."""
        return target_of(self.engine)

    def judge(self, rules: int, explain: Explain = Explain.NEVER) -> Judge:
        """A judge of that many rules, with the policy prefix already computed."""
        judge = Judge(self.compiled(rules), self.engine, JudgeSettings(explain=explain))
        judge.judge(self.items[0])
        return judge


def main() -> None:
    """Run the sections that were asked for and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated")
    parser.add_argument("--quick", action="store_true", help="fewer items: seconds instead of minutes")
    parser.add_argument("--counts", default="100,1000,10000", help="numbers of items for the items section")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    try:
        bench = open_bench(options.engine, options.quick)
    except JudgeError as error:
        parser.exit(
            error.exit_code, f"error: {error.message}\n" + (f"  = help: {error.hint}\n" if error.hint else "")
        )
    bench.counts = tuple(int(count) for count in options.counts.split(","))
    runners: dict[str, Callable[[Bench], None]] = {
        "naive": against_naive,
        "reads": against_plain_reads,
        "rules": by_rules,
        "items": by_items,
        "equivalence": equivalence,
    }
    for name in options.sections.split(","):
        if name not in runners:
            parser.error(f"unknown section {name}; choose from {', '.join(SECTIONS)}")
    for name in options.sections.split(","):
        runners[name](bench)
    bench.figures["peak_memory_mib"] = peak_memory()
    print(f"\npeak memory of the whole run: {peak_memory()} MiB")
    if options.json:
        options.json.write_text(json.dumps(bench.figures, indent=2) + "\n", encoding="utf-8")


def open_bench(engine: str, quick: bool) -> Bench:
    """Load the model, the 200 items and the 64 rules."""
    opened = open_engine(engine)
    if not isinstance(opened, LocalEngine):
        raise UsageError(f"`{engine}` is not an in-process model", "use local, local:base or local:FOLDER")
    folder = content_folder("evals") / "bench"
    lines = (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()
    labelled = [json.loads(line) for line in lines]
    items = [from_text(row["text"], id=row["id"]) for row in labelled]
    expected = {
        item.segments[0].text: row["expect_area"]
        for item, row in zip(items, labelled, strict=True)
        if row["expect_area"]
    }
    return Bench(opened, items, expected, load_policies([folder / "policies"]), quick)


def against_naive(bench: Bench) -> None:
    """The naive judge (a free JSON completion per rule, content first, nothing shared) against ours."""
    count = 2 if bench.quick else 5  # one item in five violates
    items = bench.items[:count]
    judge = bench.judge(16)
    naive = NaiveJudge(bench.engine, judge.compiled)
    slow, slow_tokens = timed(bench.engine, lambda: [naive.judge(item) for item in items])
    slow_tokens = naive.tokens_computed
    fast, fast_tokens = median_of(3, bench.engine, lambda: judge.judge_batch(items))
    explained = bench.judge(16, Explain.AUTO)
    full, _ = timed(bench.engine, lambda: explained.judge_batch(items))
    rows = [
        ("naive: one JSON completion per rule", slow, slow_tokens, 1.0),
        ("ours, reads only", fast, fast_tokens, slow / fast),
        ("ours, explaining what fires", full, None, slow / full),
    ]
    bench.figures["naive"] = {
        "items": count,
        "rules": 16,
        "naive_s_per_decision": slow / count,
        "ours_s_per_decision": fast / count,
        "ours_explained_s_per_decision": full / count,
        "ratio": slow / fast,
        "ratio_explained": slow / full,
        "naive_tokens": slow_tokens,
        "ours_tokens": fast_tokens,
        "naive_unreadable": naive.unreadable,
        "naive_reads": count * 16,
    }
    table(
        f"decisions with 16 rules in 2 areas, {count} items",
        ("judge", "decisions/s", "rules/s", "tokens computed", "times as fast"),
        [
            (name, f"{count / s:.3f}", f"{16 * count / s:.2f}", str(t or "-"), f"{r:.1f}")
            for name, s, t, r in rows
        ],
    )
    print(f"answers of the naive judge that hold no readable verdict: {naive.unreadable} of {count * 16}")


def against_plain_reads(bench: Bench) -> None:
    """The same one-token reads, 16 rules of every item: one by one against one forward an item.

    Once behind the benchmark's own short prompt, and once behind the shipped guidelines, whose length is
    what sharing the prefix is for.
    """
    shipped = compile_policies(load_policies([content_folder("policies")]), bench.target)
    rows = []
    for name, compiled, count in (
        ("2 areas", bench.compiled(16), 2 if bench.quick else 5),
        (f"{len(shipped.areas)} areas, shipped", shipped, 1 if bench.quick else 3),
    ):
        rows += _reads_of(bench, name, compiled, bench.items[:count])
    columns = ("guidelines", "how", "reads/s", "tokens computed", "times as fast")
    table("one-token reads, 16 questions an item", columns, rows)


def _reads_of(
    bench: Bench, name: str, compiled: CompiledPolicy, items: Sequence[Content]
) -> list[tuple[str, ...]]:
    questions = tuple(rule.question for rule in compiled.rules[:16])
    special = bench.engine.special_tokens
    requests = [ReadRequest(build_prompt(compiled, item, special), questions) for item in items]
    bench.engine.read(requests[:1])
    plain, plain_tokens = timed(bench.engine, lambda: bench.engine.read_plain(requests))
    ours, our_tokens = median_of(3, bench.engine, lambda: bench.engine.read(requests))
    reads = len(items) * len(questions)
    bench.figures.setdefault("reads", {})[name] = {
        "reads": reads,
        "prefix_tokens": compiled.prefix_tokens,
        "plain_reads_per_s": reads / plain,
        "ours_reads_per_s": reads / ours,
        "ratio": plain / ours,
        "plain_tokens": plain_tokens,
        "ours_tokens": our_tokens,
    }
    return [
        (name, "one by one, nothing shared", f"{reads / plain:.2f}", str(plain_tokens), "1.0"),
        ("", "shared prefix, one forward", f"{reads / ours:.2f}", str(our_tokens), f"{plain / ours:.1f}"),
    ]


def by_rules(bench: Bench) -> None:
    """Cost per item for 1, 4, 16 and 64 rules where one item in five violates; the model opens the areas."""
    items = bench.items[: 40 if bench.quick else 200]
    rows, first = [], 0.0
    found = {}
    for rules in (1, 4, 16, 64):
        judge = bench.judge(rules)
        records: list[DecisionRecord] = []
        seconds, tokens = timed(bench.engine, lambda j=judge, r=records: r.extend(judge_all(j, items)))  # type: ignore[misc]
        per_item = seconds / len(items) * 1000
        first = first or per_item
        asked = statistics.fmean(sum(v.asked for v in record.verdicts) for record in records)
        found[str(rules)] = {
            "ms_per_item": per_item,
            "tokens_per_item": tokens / len(items),
            "rules_asked": asked,
        }
        counts = (f"{per_item:.0f}", f"{tokens / len(items):.0f}", f"{asked:.1f}", f"{per_item / first:.1f}")
        rows.append((str(rules), *counts))
    bench.figures["rules"] = {"items": len(items), **found, "ratio_64_to_1": per_item / first}
    bench.figures["rules"]["gates"] = gates(records, bench.expected, items)
    title = f"cost by number of rules, {len(items)} items, one in five violates"
    table(title, ("rules", "ms/item", "tokens/item", "rules asked/item", "times one rule"), rows)
    print(
        "areas opened, of those that apply {0[0]} of {0[1]}, of the others {0[2]} of {0[3]}".format(
            bench.figures["rules"]["gates"]
        )
    )


def gates(
    records: Sequence[DecisionRecord], expected: dict[str, str], items: Sequence[Content]
) -> tuple[int, int, int, int]:
    """Areas that were opened, and how many there were: where they apply, then where they do not."""
    opened = {True: 0, False: 0}
    seen = {True: 0, False: 0}
    for record, item in zip(records, items, strict=True):
        for area in {verdict.rule.partition("#")[0] for verdict in record.verdicts}:
            applies = expected.get(item.segments[0].text) == area
            seen[applies] += 1
            opened[applies] += any(v.asked for v in record.verdicts if v.rule.partition("#")[0] == area)
    return opened[True], seen[True], opened[False], seen[False]


def by_items(bench: Bench) -> None:
    """Cost per item and memory for 100, 1,000 and 10,000 items: both should stay flat."""
    rows = []
    found = {}
    for count in bench.counts:
        items = [replace(bench.items[i % 200], id=f"item-{i}") for i in range(count)]
        judge = Judge(bench.compiled(1), bench.engine, JudgeSettings(explain=Explain.NEVER))
        seconds, _ = timed(bench.engine, lambda j=judge, many=items: judge_all(j, many))  # type: ignore[misc]
        found[str(count)] = {"ms_per_item": seconds / count * 1000, "peak_memory_mib": peak_memory()}
        rows.append(
            (str(count), f"{seconds / count * 1000:.1f}", f"{count / seconds:.1f}", str(peak_memory()))
        )
    bench.figures["items"] = found
    table("cost by number of items, 1 rule", ("items", "ms/item", "decisions/s", "peak memory MiB"), rows)


def equivalence(bench: Bench) -> None:
    """The one-forward read against the plain one-by-one read, in float32 and in bfloat16."""
    compiled = bench.compiled(1)
    asked = (compiled.areas[0].question, compiled.rules[0].question)
    items = bench.items[: 10 if bench.quick else 200]
    special = bench.engine.special_tokens
    requests = [ReadRequest(build_prompt(compiled, item, special), asked) for item in items]
    rows = []
    found = {}
    for dtype in ("float32", "bfloat16"):
        engine = open_engine("local", dtype=dtype)
        assert isinstance(engine, LocalEngine)  # noqa: S101
        together, apart = engine.read(requests), engine.read_plain(requests)
        engine.close()
        pairs = [
            (a, b)
            for row, other in zip(together, apart, strict=True)
            for a, b in zip(row, other, strict=True)
        ]
        largest = max(abs(a.logprobs[k] - b.logprobs[k]) for a, b in pairs for k in a.logprobs)
        rules = [
            (
                verdict_from_reading(rule, a, Thresholds()).outcome,
                verdict_from_reading(rule, b, Thresholds()).outcome,
            )
            for row, other in zip(together, apart, strict=True)
            for rule, a, b in zip(compiled.rules, row[1:], other[1:], strict=True)
        ]
        changed = sum(one is not other for one, other in rules)
        fired = sum(other is Outcome.VIOLATES for _, other in rules)
        found[dtype] = {"largest_logprob_difference": largest, "verdicts": len(rules), "changed": changed}
        rows.append((dtype, str(len(pairs)), f"{largest:.2e}", f"{changed} of {len(rules)}", str(fired)))
    bench.figures["equivalence"] = {"items": len(items), **found}
    title = f"one forward against one by one, {len(items)} items"
    table(
        title,
        ("dtype", "reads", "largest difference of a log-probability", "verdicts changed", "fired"),
        rows,
    )


def judge_all(judge: Judge, items: Sequence[Content], batch: int = 32) -> list[DecisionRecord]:
    """Judge in batches of the size the command line uses."""
    return [
        r for start in range(0, len(items), batch) for r in judge.judge_batch(items[start : start + batch])
    ]


def timed(engine: LocalEngine, work: Callable[[], object]) -> tuple[float, int]:
    """Return wall-clock seconds and the tokens the engine computed for its reads."""
    tokens, started = engine.tokens_computed, time.perf_counter()
    work()
    return time.perf_counter() - started, engine.tokens_computed - tokens


def median_of(times: int, engine: LocalEngine, work: Callable[[], object]) -> tuple[float, int]:
    """Median seconds of several runs, and the tokens of one."""
    runs = [timed(engine, work) for _ in range(times)]
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


def peak_memory() -> int:
    """Highest resident memory of this process so far, in MiB (Linux counts ru_maxrss in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table of figures."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column, justify="left" if column in (columns[0],) else "right")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)


if __name__ == "__main__":
    main()
