"""Rows → token trees: exactly what the judge would read, with the right next tokens marked.

A pack is one content and the questions behind it; many packs share one policy prefix, which is stored
once. This is the layout the local engine reads in one forward pass, so training sees what serving sees.
The result is one compressed array file that ``train.py`` reads without the rest of this package.

    python -m llm_judge.finetune.examples DATA_FOLDER OUT.npz [--per-cell 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llm_judge.compile import (
    EXCEPT,
    NO,
    NO_EXEMPTION,
    YES,
    CompiledArea,
    CompiledPolicy,
    CompiledRule,
    Question,
    TargetModel,
    compile_policies,
)
from llm_judge.content.content import Content
from llm_judge.content.text import from_text
from llm_judge.content.windows import windows
from llm_judge.engines.tokens import ChatFrame, packaged_tokens
from llm_judge.errors import ContentEmpty, ContentTooLarge, JudgeError
from llm_judge.finetune.framings import framed, wordless
from llm_judge.finetune.rows import LabelledRow, labelled_rows, own_rows
from llm_judge.policy.load import load_policies
from llm_judge.policy.model import Policy
from llm_judge.prompt import build_prompt
from llm_judge.resources import content_folder

KINDS = ("area", "rule", "exemption", "explanation")
DEALS = 6  # times all areas are dealt into prefixes of their own
AREAS_OF_A_VARIANT = 6
SHIPPED_SHARE = 0.03  # rows asked behind all the shipped guidelines; the others see random sets of areas
OTHER_AREAS = 4  # areas that do not apply, asked of one content at most
OTHER_RULES_SHARE = 0.15  # how often a rule of an area that does not apply is asked
WINDOW_TOKENS = 72
WORDLESS_SHARE = 0.1  # of our own harmless rows: a picture that says nothing breaks no rule we can see
EXPLAINED_SHARE = 0.08
RATIONALE_CHARACTERS = 150


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
        labelled = labelled_rows(options.data, options.split, options.per_cell, options.seed)
    except JudgeError as error:
        parser.exit(error.exit_code, f"error: {error.message}\n  = help: {error.hint}\n")
    wanted = set(filter(None, options.langs.split(",")))
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
        self.shipped = load_policies([content_folder("policies")])
        others = load_policies([content_folder("finetune") / "areas"])
        self.policies = (*self.shipped, *others)
        self._variants = [self._compile(self.shipped)]
        self._variants += [self._compile(dealt) for _ in range(DEALS) for dealt in self._dealt()]

    @property
    def prefixes(self) -> list[list[int]]:
        """Token ids of every prefix that packs may name."""
        return [self._frame.prefix_ids(self._tokens, variant.prefix) for variant in self._variants]

    def build(self, rows: Sequence[LabelledRow], harmless: Sequence[LabelledRow]) -> list[Pack]:
        """Put every row behind a prefix that asks something it answers; leave out what teaches nothing."""
        packs = []
        for row in self._draw.sample(list(rows), len(rows)):
            fitting = [i for i, variant in enumerate(self._variants) if _fits(variant, row)]
            if not fitting:
                continue
            small = [number for number in fitting if number]  # 0 is all the shipped guidelines: long and slow
            whole = not small or (fitting[0] == 0 and self._draw.random() < SHIPPED_SHARE)
            pack = self._pack(0 if whole else self._draw.choice(small), row, harmless)
            if pack is not None and pack.targets:
                packs.append(pack)
        return packs

    def _compile(self, policies: Sequence[Policy]) -> CompiledPolicy:
        return compile_policies(policies, self._target)

    def _dealt(self) -> list[list[Policy]]:
        """All areas dealt into small sets in random order, some with only some of their rules."""
        shuffled = [self._thinned(p) if self._draw.random() < 0.2 else p for p in self._shuffled()]
        return [shuffled[i : i + AREAS_OF_A_VARIANT] for i in range(0, len(shuffled), AREAS_OF_A_VARIANT)]

    def _shuffled(self) -> list[Policy]:
        return self._draw.sample(self.policies, len(self.policies))

    def _thinned(self, policy: Policy) -> Policy:
        kept = self._draw.sample(policy.rules, self._draw.randint(2, len(policy.rules)))
        return policy.model_copy(update={"rules": tuple(kept)})

    def _pack(self, number: int, row: LabelledRow, harmless: Sequence[LabelledRow]) -> Pack | None:
        try:
            content, cited = self._content(row, harmless)
        except (ContentEmpty, ContentTooLarge):
            return None
        compiled = self._variants[number]
        body = build_prompt(compiled, content, self._tokens.special_tokens).body
        pack = Pack(number)
        pack.add(self._frame.body_ids(self._tokens, body))
        for question, answer in self._questions(compiled, row):
            end = pack.add(self._frame.question_ids(self._tokens, question.text))
            kind = KINDS.index(question.id.partition(":")[0])
            pack.targets.append((end - 1, self._tokens.label_id(answer), kind))
        for rule, answer in self._explained(compiled, row, cited):
            self._add_explanation(pack, rule, answer)
        return pack

    def _content(self, row: LabelledRow, harmless: Sequence[LabelledRow]) -> tuple[Content, list[int]]:
        """Frame a row as text or as another medium, sometimes among harmless lines.

        Returns the content and the ids of the segments that hold the row itself.
        """
        before: list[str] = []
        after: list[str] = []
        if row.source == "own" and self._draw.random() < 0.15:
            for other in self._draw.sample(list(harmless), self._draw.randint(1, 2)):
                (before if self._draw.random() < 0.5 else after).append(other.text)
        text = "\n".join([*before, row.text, *after])
        start = sum(len(line) + 1 for line in before)
        content = windows(from_text(text), WINDOW_TOKENS, lambda s: self._tokens.count(s.text) + 4)[0]
        cited = [s.id for s in content.segments if s.start < start + len(row.text) and s.end > start]  # type: ignore[operator]
        if row.source == "own" and not any(row.areas.values()) and self._draw.random() < WORDLESS_SHARE:
            return wordless(content, self._draw), [1]
        return framed(content, cited or [content.segments[0].id], self._draw)

    def _questions(self, compiled: CompiledPolicy, row: LabelledRow) -> list[tuple[Question, str]]:
        known = [area for area in compiled.areas if area.policy.policy in row.areas]
        applies = [area for area in known if row.areas[area.policy.policy]]
        other = [area for area in known if area not in applies]
        # The area that a near miss was written about is the one worth asking.
        near = [area for area in other if row.about and row.about.startswith(f"{area.policy.policy}#")]
        far = [area for area in other if area not in near]
        drawn = self._draw.sample(far, min(len(far), OTHER_AREAS))
        asked = [(area.question, YES if area in applies else NO) for area in [*applies, *near, *drawn]]
        for area in [*applies, *near, *drawn]:
            for rule in self._asked_rules(area, row):
                answer = row.rules.get(rule.key, NO)
                answer = answer if rule.rule.exemptions or answer == NO else YES
                asked.append((rule.question, answer))
                asked += self._exemption_questions(rule, row) if answer == EXCEPT else []
        return asked

    def _asked_rules(self, area: CompiledArea, row: LabelledRow) -> list[CompiledRule]:
        """Rules that are hit, the rule a near miss was written about, and a few that are plainly not."""
        applies = row.areas[area.policy.policy]
        known = [r for r in area.rules if r.key in row.rules or not applies]
        sure = [r for r in known if row.rules.get(r.key, NO) != NO or r.key == row.about]
        other = [r for r in known if r not in sure]
        count = 1 if applies or sure else int(self._draw.random() < OTHER_RULES_SHARE)
        return sure + self._draw.sample(other, min(len(other), count))

    @staticmethod
    def _exemption_questions(rule: CompiledRule, row: LabelledRow) -> list[tuple[Question, str]]:
        ids = [exemption.id for exemption in rule.rule.exemptions]
        return [
            (question, YES if name == row.exemption else NO)
            for name, question in zip(ids, rule.exemption_questions, strict=False)
        ]

    def _explained(
        self, compiled: CompiledPolicy, row: LabelledRow, cited: list[int]
    ) -> list[tuple[CompiledRule, str]]:
        if self._draw.random() > EXPLAINED_SHARE:
            return []
        hit = [r for r in compiled.rules if row.rules.get(r.key, NO) != NO]
        clear = [r for r in compiled.rules if row.rules.get(r.key) == NO]
        if hit:
            return [(rule, explanation(rule, row, cited)) for rule in hit[:1]]
        if clear and self._draw.random() < 0.3:
            return [(rule, explanation(rule, row, cited)) for rule in self._draw.sample(clear, 1)]
        return []

    def _add_explanation(self, pack: Pack, rule: CompiledRule, answer: str) -> None:
        question = self._frame.question_ids(self._tokens, rule.explain)
        reply = [*self._tokens.encode(answer), self._tokens.end_of_turn_id]
        start = pack.add([*question, *reply[:-1]]) - len(reply)
        pack.targets += [(start + i, token, KINDS.index("explanation")) for i, token in enumerate(reply)]


def _fits(variant: CompiledPolicy, row: LabelledRow) -> bool:
    """Whether the policies ask something the row answers; an own row must meet the rule it is about."""
    if row.about is not None and row.about.partition("#")[0] in {a.policy.policy for a in variant.areas}:
        return any(rule.key == row.about for rule in variant.rules)
    return row.about is None and any(area.policy.policy in row.areas for area in variant.areas)


def explanation(rule: CompiledRule, row: LabelledRow, cited: list[int]) -> str:
    """The JSON answer a good explanation gives: in schema order, without white space."""
    answer = row.rules[rule.key] if rule.rule.exemptions or row.rules[rule.key] == NO else YES
    violates = rule.question.text.split(": ", 1)[1].split("\n", 1)[0]
    short = _shorten(violates[0].lower() + violates[1:].rstrip("."))
    line = f"Line {cited[0]}"
    rationale = {
        YES: f"{line} {short}.",
        EXCEPT: f"{line} {short}, but the exemption {row.exemption} applies.",
        NO: f"{line} does not do this: {short}.",
    }[answer]
    reply = {
        "evidence": cited[:4],
        "exemption": row.exemption if answer == EXCEPT else NO_EXEMPTION,
        "severity": rule.rule.severity,
        "rationale": rationale,
        "verdict": {YES: "violates", EXCEPT: "exempt", NO: "clear"}[answer],
    }
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


def _shorten(text: str) -> str:
    return text if len(text) <= RATIONALE_CHARACTERS else text[:RATIONALE_CHARACTERS].rsplit(" ", 1)[0]


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
