"""Rows → token trees: exactly what the judge would read, with the right next tokens marked.

A pack is one content and the questions behind it; many packs share one policy prefix, which is stored
once. This is the layout the local engine reads in one forward pass, so training sees what serving sees.
The result is one compressed array file that ``train.py`` reads without the rest of this package.

    python -m llm_judge.finetune.examples DATA_FOLDER OUT.npz [--per-cell 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llm_judge.compile import NO, CompiledPolicy, CompiledRule, TargetModel, compile_policies
from llm_judge.engines.tokens import ChatFrame, packaged_tokens
from llm_judge.errors import ContentEmpty, ContentTooLarge, JudgeError
from llm_judge.finetune.asking import Asker, Limits, answer_of, fits
from llm_judge.finetune.balance import sampled_rows
from llm_judge.finetune.contents import Presenter
from llm_judge.finetune.dealing import deal
from llm_judge.finetune.framings import REFRAMED_SHARE
from llm_judge.finetune.labelled import is_shipped, labelled_rows, training_policies, training_suites
from llm_judge.finetune.replies import explanation
from llm_judge.finetune.rows import LabelledRow, own_rows
from llm_judge.policy.model import Policy
from llm_judge.prompt import build_prompt

KINDS = ("area", "rule", "exemption", "explanation")
DEALS = 6  # times all areas are dealt into prefixes of their own
AREAS_OF_A_VARIANT = 6
SHIPPED_SHARE = 0.03  # rows asked behind all the shipped guidelines; the others see random sets of areas
WINDOW_TOKENS = 72
EXPLAINED_SHARE = 0.08


@dataclass(slots=True)
class Pack:
    """One content behind the prefix number ``prefix``: its tokens, then those of its questions.

    Attributes:
        lengths: of the content, then of each question.
        targets: (place in ``tokens``, token that should come next, kind: an index into ``KINDS``).
    """

    prefix: int
    tokens: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    targets: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, ids: Sequence[int]) -> int:
        """Append the content or a question and return the place after it."""
        self.lengths.append(len(ids))
        self.tokens += ids
        return len(self.tokens)


def main() -> None:
    """Build the training file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with train.parquet")
    parser.add_argument("out", type=Path, help="array file to write")
    parser.add_argument("--split", default="train")
    parser.add_argument("--per-cell", type=int, default=300, help="rows of each source, language and answer")
    parser.add_argument("--langs", default="", help="only rows in these languages, such as en,de,es")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    builder = ExampleBuilder(random.Random(options.seed))
    own = own_rows(builder.policies, options.split)
    try:
        labelled, _ = labelled_rows(
            options.data, options.split, builder.policies, training_suites(builder.policies)
        )
    except JudgeError as error:
        parser.exit(error.exit_code, f"error: {error.message}\n  = help: {error.hint}\n")
    wanted = set(filter(None, options.langs.split(",")))
    labelled = sampled_rows(labelled, options.per_cell, options.seed)
    rows = [row for row in (*labelled, *own) if not wanted or row.lang.partition("-")[0] in wanted]
    packs = builder.build(rows, [row for row in own if not any(row.areas.values())])
    save(packs, builder.prefixes, options.out)
    tokens = sum(len(pack.tokens) for pack in packs)
    answers = sum(len(pack.targets) for pack in packs)
    print(f"{len(rows)} rows, {len(packs)} packs, {tokens} tokens, {answers} targets")


class ExampleBuilder:
    """Draws prefixes, framings and questions; one seed gives one training file."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._tokens = packaged_tokens()
        self._frame = ChatFrame.packaged()
        self._target = TargetModel("SmolLM2-135M-Instruct", 8192, self._tokens.count)
        self.policies = training_policies()
        self.shipped = [policy for policy in self.policies if is_shipped(policy)]
        self._variants = [self._compile(self.shipped)]
        self._variants += [
            self._compile(dealt)
            for _ in range(DEALS)
            for dealt in deal(self.policies, AREAS_OF_A_VARIANT, draw)
        ]
        self._asker = Asker(draw, Limits(), self.policies)

    @property
    def prefixes(self) -> list[list[int]]:
        """Token ids of every prefix that packs may name."""
        return [self._frame.prefix_ids(self._tokens, variant.prefix) for variant in self._variants]

    def build(self, rows: Sequence[LabelledRow], harmless: Sequence[LabelledRow]) -> list[Pack]:
        """Put every row behind a prefix that asks something it answers; leave out what teaches nothing."""
        packs = []
        presenter = Presenter(self._draw, self._tokens.count, harmless, REFRAMED_SHARE)
        for row in self._draw.sample(list(rows), len(rows)):
            fitting = [i for i, variant in enumerate(self._variants) if fits(variant, row)]
            if not fitting:
                continue
            small = [number for number in fitting if number]  # 0 is all the shipped guidelines: long and slow
            whole = not small or (fitting[0] == 0 and self._draw.random() < SHIPPED_SHARE)
            pack = self._pack(0 if whole else self._draw.choice(small), row, presenter)
            if pack is not None and pack.targets:
                packs.append(pack)
        return packs

    def _compile(self, policies: Sequence[Policy]) -> CompiledPolicy:
        return compile_policies(policies, self._target)

    def _pack(self, number: int, row: LabelledRow, presenter: Presenter) -> Pack | None:
        try:
            shown = presenter.present(row, WINDOW_TOKENS, cut=True)
        except (ContentEmpty, ContentTooLarge):
            return None
        if shown is None:
            return None
        content, cited = shown
        compiled = self._variants[number]
        body = build_prompt(compiled, content, self._tokens.special_tokens).body
        pack = Pack(number)
        pack.add(self._frame.body_ids(self._tokens, body))
        for question, answer in self._asker.questions(compiled, row):
            end = pack.add(self._frame.question_ids(self._tokens, question.text))
            kind = KINDS.index(question.id.partition(":")[0])
            pack.targets.append((end - 1, self._tokens.label_id(answer), kind))
        for rule, answer in self._explained(compiled, row, cited):
            self._add_explanation(pack, rule, answer)
        return pack

    def _explained(
        self, compiled: CompiledPolicy, row: LabelledRow, cited: list[int]
    ) -> list[tuple[CompiledRule, str]]:
        if self._draw.random() > EXPLAINED_SHARE:
            return []
        hit = [r for r in compiled.rules if row.rules.get(r.key, NO) != NO]
        clear = [r for r in compiled.rules if row.rules.get(r.key) == NO]
        if hit:
            return [(rule, explanation(rule, answer_of(rule, row), row.exemption, cited)) for rule in hit[:1]]
        if clear and self._draw.random() < 0.3:
            return [
                (rule, explanation(rule, answer_of(rule, row), row.exemption, cited))
                for rule in self._draw.sample(clear, 1)
            ]
        return []

    def _add_explanation(self, pack: Pack, rule: CompiledRule, answer: str) -> None:
        question = self._frame.question_ids(self._tokens, rule.explain)
        reply = [*self._tokens.encode(answer), self._tokens.end_of_turn_id]
        start = pack.add([*question, *reply[:-1]]) - len(reply)
        pack.targets += [(start + i, token, KINDS.index("explanation")) for i, token in enumerate(reply)]


def save(packs: Sequence[Pack], prefixes: Sequence[Sequence[int]], out: Path) -> None:
    """Write flat arrays; ``NAME_at`` holds the offsets of pack (or prefix) i at [i], [i + 1]."""

    def offsets(sizes: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    np.savez_compressed(
        out,
        prefixes=np.concatenate([np.asarray(prefix, dtype=np.uint16) for prefix in prefixes]),
        prefixes_at=offsets([len(prefix) for prefix in prefixes]),
        prefix=np.asarray([p.prefix for p in packs], dtype=np.int32),
        tokens=np.concatenate([np.asarray(p.tokens, dtype=np.uint16) for p in packs]),
        tokens_at=offsets([len(p.tokens) for p in packs]),
        lengths=np.concatenate([np.asarray(p.lengths, dtype=np.int32) for p in packs]),
        lengths_at=offsets([len(p.lengths) for p in packs]),
        targets=np.concatenate([np.asarray(p.targets, dtype=np.int32).reshape(-1, 3) for p in packs]),
        targets_at=offsets([len(p.targets) for p in packs]),
    )


if __name__ == "__main__":
    main()
