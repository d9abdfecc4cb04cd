"""Rows behind edited policies: which edits a row gets, and the questions that follow from each.

A rule is edited in a few ways only, and an edited rule always stands among the same areas. So one edited
policy is asked about several texts, with both answers: a model has to read text and rule, and a trainer on
token trees computes the prefix once for all of them instead of once for each.

Knows nothing about files or balance.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, NO, compile_policies
from llm_judge.content.text import from_text
from llm_judge.finetune.asking import exemption_questions
from llm_judge.finetune.counterfactuals import Case, Edited, Editor, known_cases
from llm_judge.finetune.dealing import only_rules
from llm_judge.finetune.prompts import Scene
from llm_judge.finetune.training_rows import TrainingRow, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llm_judge.compile import CompiledPolicy, TargetModel
    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.policy.model import Policy

OTHER_AREAS = 3  # beside the edited one, at most
# In these the words of the rule still say in a sentence what the text does.
_EXPLAINABLE = frozenset({Variant.EXEMPTION_TOGGLED, Variant.RENUMBERED, Variant.RULE_SWAPPED})
CLEAR_SWAPPED = 0.25  # of the texts that break nothing
VERSIONS = 2  # of each edit of a rule
PARTNERS = 12  # rules whose words a version may be given; the first that the text does not break is taken


class EditedRows:
    """Makes rows behind edited policies; one source of chance gives one series.

    Args:
        draw: the source of chance.
        target: the model.
        special_tokens: its control tokens.
        policies: all areas.
        share: how often an edit is made.
        explained: how often a case is explained.
    """

    def __init__(
        self,
        draw: random.Random,
        target: TargetModel,
        special_tokens: Sequence[str],
        policies: Sequence[Policy],
        share: Callable[[Variant], float],
        explained: float,
    ) -> None:
        self._draw, self._target, self._special = draw, target, special_tokens
        self._policies, self._share, self._explained = policies, share, explained
        self._compiled: dict[str, CompiledPolicy] = {}

    def rows(self, row: LabelledRow) -> Iterator[TrainingRow]:
        """Every edit that comes up for a row, with its questions and explanations.

        Raises:
            ContentEmpty, ContentTooLarge: the text cannot be judged.
        """
        cases = known_cases(self._policies, row.rules, row.text)
        hit = [self._with_exemption(case, row) for case in cases if case.answer != NO]
        clear = [case for case in cases if case.answer == NO]
        about = [case for case in clear if f"{case.policy.policy}#{case.rule.id}" == row.about]
        chosen = hit or about or clear
        if not chosen:
            return
        case = self._draw.choice(chosen)
        other = [each for each in clear if each.policy.policy != case.policy.policy]
        for edited in self._edits(case, other):
            yield from self._asked(edited, row)

    def _with_exemption(self, case: Case, row: LabelledRow) -> Case:
        exempt = case.answer == EXCEPT and any(e.id == row.exemption for e in case.rule.exemptions)
        return Case(case.policy, case.rule, case.text, case.answer, row.exemption) if exempt else case

    def _edits(self, case: Case, other: Sequence[Case]) -> Iterator[Edited]:
        if self._comes_up(Variant.INVERTED):
            yield from self._editor(case, Variant.INVERTED).inverted(case)
        if self._comes_up(Variant.CLAUSE_REMOVED):
            yield from self._clauses(case, other)
        if self._comes_up(Variant.EXEMPTION_TOGGLED):
            yield from self._editor(case, Variant.EXEMPTION_TOGGLED).exemption_toggled(case)
        # Of a text that breaks nothing, both rules say no: that teaches little.
        swaps = case.answer != NO or self._draw.random() < CLEAR_SWAPPED
        if swaps and self._comes_up(Variant.RULE_SWAPPED):
            partner = self._partner(case, other, Variant.RULE_SWAPPED)
            if partner is not None:
                swapped = [case, partner]
                self._draw.shuffle(swapped)
                yield from self._editor(case, Variant.RULE_SWAPPED).rule_swapped(*swapped)
        if case.answer != EXCEPT or case.exemption:
            if self._comes_up(Variant.PARAPHRASED):
                yield from self._editor(case, Variant.PARAPHRASED).paraphrased(case)
            if self._comes_up(Variant.RENUMBERED):
                yield from self._editor(case, Variant.RENUMBERED).renumbered(case)

    def _clauses(self, case: Case, other: Sequence[Case]) -> Iterator[Edited]:
        editor, host = self._editor(case, Variant.CLAUSE_REMOVED), None
        if case.answer not in (NO, EXCEPT) and self._draw.random() < 0.7:
            host = self._partner(case, other, Variant.CLAUSE_REMOVED)
        if host is not None:
            yield from editor.clause_removed(host, donor=case)
        else:
            yield from editor.clause_removed(case)

    def _editor(self, case: Case, variant: Variant) -> Editor:
        return Editor(self._version(case, variant), self._draw)

    def _version(self, case: Case, variant: Variant) -> random.Random:
        """Chance that comes out alike for all texts that meet one version of an edited rule."""
        number = self._draw.randrange(VERSIONS)
        return random.Random(f"{variant.value} {case.policy.policy}#{case.rule.id} {number}")

    def _partner(self, case: Case, other: Sequence[Case], variant: Variant) -> Case | None:
        """A rule of another area that the text does not break."""
        clear = {f"{each.policy.policy}#{each.rule.id}": each for each in other}
        keys = [f"{policy.policy}#{rule.id}" for policy in self._policies for rule in policy.rules]
        drawn = self._version(case, variant).sample(keys, min(PARTNERS, len(keys)))
        return next((clear[key] for key in drawn if key in clear), None)

    def _comes_up(self, variant: Variant) -> bool:
        return self._draw.random() < self._share(variant)

    def _asked(self, edited: Edited, row: LabelledRow) -> Iterator[TrainingRow]:
        compiled = self._set(edited)
        content = from_text(edited.text)
        scene = Scene.of(compiled, content, self._special, row, edited.variant)
        key = f"{edited.policy.policy}#{edited.rule_id}"
        rule = next(each for each in compiled.rules if each.key == key)
        yield scene.read(rule.question, edited.answer)
        if edited.answer == EXCEPT:
            yield from (scene.read(*each) for each in exemption_questions(rule, edited.exemption))
        sure = len(content.segments) == 1 and (edited.answer != EXCEPT or edited.exemption)
        if edited.variant in _EXPLAINABLE and sure and self._draw.random() < self._explained:
            yield scene.explained(rule, edited.answer, edited.exemption, [content.segments[0].id])

    def _set(self, edited: Edited) -> CompiledPolicy:
        """The edited policy with the rule in question, among a few others."""
        shown = only_rules(edited.policy, [edited.rule_id])
        seed = shown.model_dump_json()
        if seed not in self._compiled:
            draw = random.Random(seed)
            others = [policy for policy in self._policies if policy.policy != edited.policy.policy]
            beside = draw.sample(others, draw.randint(0, min(OTHER_AREAS, len(others))))
            chosen = [shown, *(only_rules(each, ()) for each in beside)]
            draw.shuffle(chosen)
            self._compiled[seed] = compile_policies(chosen, self._target)
        return self._compiled[seed]
