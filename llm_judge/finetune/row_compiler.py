"""One labelled row → its reads, explanations and preference pairs, plain, edited and attacked.

Knows nothing about files, balance or where rows come from.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, NO, YES, compile_policies
from llm_judge.errors import ContentEmpty, ContentTooLarge
from llm_judge.evals import inject, perturb
from llm_judge.finetune.asking import Asker, Limits, answer_of, fits
from llm_judge.finetune.contents import Presenter
from llm_judge.finetune.dealing import deal
from llm_judge.finetune.edited_rows import EditedRows
from llm_judge.finetune.pairs import explanation_pairs, label_pair, segment_pair
from llm_judge.finetune.prompts import Scene
from llm_judge.finetune.rows import OWN
from llm_judge.finetune.training_rows import Kind, TrainingRow, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llm_judge.compile import CompiledPolicy, CompiledRule, TargetModel
    from llm_judge.content.content import Content
    from llm_judge.finetune.data_recipe import DataRecipe
    from llm_judge.finetune.disagreements import Disagreement
    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.policy.model import Policy

CLEAR_EXPLAINED = 0.3  # of the explained: rules that are not broken are seldom explained
_MOST_ATTACKED = 3  # questions of an attacked text


@dataclass(slots=True)
class Compiled:
    """What rows were turned into, and how many were not, by reason."""

    reads: list[TrainingRow] = field(default_factory=list)
    explanations: list[TrainingRow] = field(default_factory=list)
    pairs: list[TrainingRow] = field(default_factory=list)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, rows: Sequence[TrainingRow]) -> None:
        """Sort rows into reads and explanations."""
        for row in rows:
            (self.explanations if row.kind is Kind.EXPLANATION else self.reads).append(row)

    def leave_out(self, reason: str, row: LabelledRow) -> None:
        """Count a row that cannot be used."""
        self.left_out[reason, row.source] += 1


class RowCompiler:
    """Draws policies, framings, edits and questions; one seed gives one series.

    Args:
        recipe: shares and limits.
        seed: of this series.
        target: the model that will read.
        special_tokens: its control tokens.
        policies: all areas.
        shipped: those that are judged by default, in their order.
        harmless: rows that break nothing, to stand around others.
    """

    def __init__(
        self,
        recipe: DataRecipe,
        seed: int,
        target: TargetModel,
        special_tokens: Sequence[str],
        policies: Sequence[Policy],
        shipped: Sequence[Policy],
        harmless: Sequence[LabelledRow],
    ) -> None:
        self._draw = random.Random(seed)
        self._recipe, self._special, self._seed = recipe, special_tokens, seed
        self._asker = Asker(self._draw, Limits(recipe.other_areas, recipe.other_rules), policies)
        self._presenter = Presenter(self._draw, target.count_tokens, harmless, recipe.framed)
        self._edited = EditedRows(
            self._draw, target, special_tokens, policies, recipe.share, recipe.explained
        )
        self._whole = compile_policies(shipped, target) if recipe.whole_policy and shipped else None
        self._sets = [
            compile_policies(dealt, target)
            for _ in range(recipe.deals)
            for dealt in deal(policies, recipe.areas_of_a_prompt, self._draw)
        ]
        self._count = target.count_tokens

    def compile(
        self, rows: Sequence[LabelledRow], advance: Callable[[int], None] = lambda _: None
    ) -> Compiled:
        """Turn rows into training rows, each row into as many as come up."""
        found = Compiled()
        for row in rows:
            try:
                self._row(row, found)
            except ContentEmpty:
                found.leave_out("nothing to judge", row)
            except ContentTooLarge:
                found.leave_out("too long", row)
            advance(1)
        return found

    def corrected(self, found: Disagreement) -> TrainingRow | None:
        """One question with its right answer against what a judge said; None where no set of areas asks it.

        Raises:
            ContentEmpty, ContentTooLarge: the text cannot be judged.
        """
        questions = [
            (compiled, question)
            for compiled in self._sets
            for area in compiled.areas
            for question in (area.question, *(rule.question for rule in area.rules))
            if question.id.partition(":")[2] == found.key
            and {found.right, found.said} <= set(question.labels)
        ]
        shown = self._presenter.alone(found.row, 2 * self._recipe.content_tokens)
        if not questions or shown is None:
            return None
        compiled, question = self._draw.choice(questions)
        scene = Scene.of(compiled, shown[0], self._special, found.row)
        return replace(scene.read(question, found.right), rejected=found.said, contrast=found.contrast)

    def _row(self, row: LabelledRow, found: Compiled) -> None:
        if self._count(row.text) > self._recipe.content_tokens:
            found.leave_out("too long", row)
            return
        fitting = [compiled for compiled in self._sets if fits(compiled, row)]
        if not fitting:
            found.leave_out("no set of areas asks about it", row)
            return
        compiled = self._draw.choice(fitting)
        whole = self._whole
        if whole is not None and fits(whole, row) and self._draw.random() < self._recipe.whole_policy:
            compiled = whole
        shown = self._presenter.present(row, 2 * self._recipe.content_tokens)
        if shown is None:
            found.leave_out("too long", row)
            return
        self._plain(compiled, row, *shown, found)
        found.add(list(self._attacked(compiled, row)))
        edited = list(self._edited.rows(row))
        found.add(edited)
        found.pairs += label_pair([each for each in edited if each.kind is Kind.RULE], self._draw)

    def _plain(
        self, compiled: CompiledPolicy, row: LabelledRow, content: Content, cited: list[int], found: Compiled
    ) -> None:
        scene = Scene.of(compiled, content, self._special, row)
        reads = [scene.read(*each) for each in self._asker.questions(compiled, row)]
        found.reads += reads
        found.pairs += label_pair(reads, self._draw)
        if row.source != OWN and len(content.segments) > 1:
            return  # nobody said which line it is
        rule = self._explained_rule(compiled, row)
        if rule is None:
            return
        answer = answer_of(rule, row)
        if self._draw.random() < self._recipe.explained * (1 if answer != NO else CLEAR_EXPLAINED):
            found.explanations.append(scene.explained(rule, answer, row.exemption, cited))
        if answer != NO:
            clear = [each for each in compiled.rules if row.rules.get(each.key) == NO]
            found.pairs += explanation_pairs(scene, rule, answer, cited, clear, self._draw)
        if answer == YES and row.source == OWN:
            among = self._presenter.among_others(row, 2 * self._recipe.content_tokens)
            if among is not None:
                scene = Scene.of(compiled, among[0], self._special, row)
                found.pairs += segment_pair(scene, rule, among[0], among[1], self._draw)

    def _explained_rule(self, compiled: CompiledPolicy, row: LabelledRow) -> CompiledRule | None:
        """The rule that is hit, else one that is known not to be."""
        hit = [rule for rule in compiled.rules if row.rules.get(rule.key, NO) != NO]
        hit = [rule for rule in hit if answer_of(rule, row) != EXCEPT or row.exemption]
        clear = [rule for rule in compiled.rules if row.rules.get(rule.key) == NO]
        return hit[0] if hit else self._draw.choice(clear) if clear else None

    def _attacked(self, compiled: CompiledPolicy, row: LabelledRow) -> Iterator[TrainingRow]:
        """Some questions about the row with an injection in it, or written so that filters miss it."""
        recipe, item = self._recipe, row.as_item()
        if recipe.inject and self._draw.random() < recipe.share(Variant.INJECTED):
            made = inject.perturbed(item, self._draw.choice(recipe.inject), self._seed)
            yield from self._same_questions(
                compiled,
                replace(row, text=str(made.text), areas=made.areas, rules=made.rules),
                row,
                Variant.INJECTED,
            )
        if recipe.obfuscate and self._draw.random() < recipe.share(Variant.OBFUSCATED):
            made = perturb.perturbed(item, self._draw.choice(recipe.obfuscate), self._seed)
            if made.text != row.text:
                yield from self._same_questions(
                    compiled, replace(row, text=str(made.text)), row, Variant.OBFUSCATED
                )

    def _same_questions(
        self, compiled: CompiledPolicy, changed: LabelledRow, row: LabelledRow, variant: Variant
    ) -> Iterator[TrainingRow]:
        shown = self._presenter.alone(changed, 2 * self._recipe.content_tokens)
        if shown is None:
            return
        scene = Scene.of(compiled, shown[0], self._special, row, variant)
        questions = self._asker.questions(compiled, changed)
        for question, answer in self._draw.sample(questions, min(_MOST_ATTACKED, len(questions))):
            yield scene.read(question, answer)
