"""Rows as the judge would read them: the same tokens, only known answers, edits that follow their policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import make_policy, make_rule

from llm_judge.compile import CompiledPolicy, CompiledRule, TargetModel, compile_policies
from llm_judge.content.text import from_text
from llm_judge.engines.tokens import ChatFrame, packaged_tokens
from llm_judge.errors import UsageError
from llm_judge.evals.inject import INSTRUCTION_AREAS
from llm_judge.finetune.data_recipe import DataRecipe
from llm_judge.finetune.disagreements import Disagreement
from llm_judge.finetune.edited_rows import VERSIONS
from llm_judge.finetune.prompts import Scene
from llm_judge.finetune.row_compiler import Compiled, RowCompiler
from llm_judge.finetune.rows import LabelledRow
from llm_judge.finetune.training_rows import Contrast, Kind, TrainingRow, Variant
from llm_judge.policy.load import load_policies
from llm_judge.policy.model import Policy
from llm_judge.resources import content_folder

TOKENS, FRAME = packaged_tokens(), ChatFrame.packaged()
TARGET = TargetModel("m", 8192, TOKENS.count)
PLANTS = make_policy("garden/plants", (make_rule("R1", ("study", "satire")), make_rule("R2")))
SALES = make_policy("market/sales", (make_rule("S1", ("news",)),))
TEXT = "Nobody watered the tomatoes this week."
HIT = LabelledRow(
    TEXT,
    "en",
    "own",
    {"garden/plants": True, "market/sales": False},
    {"garden/plants#R1": "yes", "garden/plants#R2": "no", "market/sales#S1": "no"},
    about="garden/plants#R1",
)
EXEMPT = replace(HIT, rules={**HIT.rules, "garden/plants#R1": "except"}, exemption="study")
PARTLY = LabelledRow(TEXT, "en", "set", {"garden/plants": True}, {})


def recipe(**changes: object) -> DataRecipe:
    given: dict[str, object] = {"schema": 1, "stage": "data", "explained": 1.0, "framed": 0.0}
    return DataRecipe(**given | changes)  # type: ignore[arg-type]


def compiled(
    *rows: LabelledRow, policies: Sequence[Policy] = (PLANTS, SALES), seed: int = 1, **changes: object
) -> Compiled:
    made = recipe(**changes)
    compiler = RowCompiler(made, seed, TARGET, TOKENS.special_tokens, policies, policies, [])
    return compiler.compile(rows)


def variant(found: Sequence[TrainingRow], wanted: Variant) -> list[TrainingRow]:
    return [row for row in found if row.variant is wanted]


def same_tokens(guidelines: CompiledPolicy, row: LabelledRow, rule: CompiledRule) -> None:
    """The chat template over a row's messages gives what the judge computes piece by piece."""
    scene = Scene.of(guidelines, from_text(row.text), TOKENS.special_tokens, row)
    made = (scene.read(rule.question, "yes"), scene.explained(rule, "yes", None, [1]))
    for one, question in zip(made, (rule.question.text, rule.explain), strict=True):
        whole = f"{FRAME.head}{one.prefix}{FRAME.mid}{one.user}{FRAME.tail}"
        judged = [
            *FRAME.prefix_ids(TOKENS, guidelines.prefix),
            *FRAME.body_ids(TOKENS, scene.body),
            *FRAME.question_ids(TOKENS, question),
        ]
        assert TOKENS.encode_template(whole.encode("utf-8", "replace").decode()) == judged


@settings(max_examples=40)
@given(text=st.text(min_size=1, max_size=200))
def test_a_row_in_the_chat_template_is_what_the_judge_sends(text: str) -> None:
    guidelines = compile_policies([PLANTS, SALES], TARGET)
    same_tokens(guidelines, replace(HIT, text=f"{text} <|im_end|> x"), guidelines.rules[0])


def test_so_are_rows_behind_the_shipped_guidelines() -> None:
    guidelines = compile_policies(load_policies([content_folder("policies") / "safety"]), TARGET)
    for rule in guidelines.rules:
        same_tokens(guidelines, HIT, rule)


def test_only_what_is_known_is_asked() -> None:
    found = compiled(PARTLY, explained=1.0)
    assert [(row.key, row.answer) for row in found.reads] == [("garden/plants", "yes")]
    assert not found.explanations
    found = compiled(HIT, other_areas=0)
    assert {(row.key, row.answer) for row in found.reads} <= {
        ("garden/plants", "yes"),
        ("garden/plants#R1", "yes"),
        ("garden/plants#R1#study", "no"),
        ("garden/plants#R1#satire", "no"),
        ("garden/plants#R2", "no"),
    }


def test_nobody_cites_a_line_that_nobody_marked() -> None:
    one, several = (replace(HIT, source="set", text="\n\n".join([TEXT * 4] * lines)) for lines in (1, 3))
    assert compiled(one, areas_of_a_prompt=2).explanations
    assert not compiled(several, areas_of_a_prompt=2).explanations
    assert not [row for row in compiled(several).pairs if not row.labels]


def test_every_exemption_is_asked_in_both_directions() -> None:
    found = compiled(EXEMPT)
    answers = {row.key: row.answer for row in found.reads}
    assert answers["garden/plants#R1"] == "except"
    assert answers["garden/plants#R1#study"] == "yes"
    assert answers["garden/plants#R1#satire"] == "no"
    (explained,) = found.explanations
    assert json.loads(explained.answer)["exemption"] == "study"
    toggled = variant(compiled(EXEMPT, variants={"exemption_toggled": 1.0}).reads, Variant.EXEMPTION_TOGGLED)
    rules = [row for row in toggled if row.kind is Kind.RULE]
    assert sorted(row.answer for row in rules) == ["except", "yes"]
    assert all(("It is study." in row.user) == (row.answer == "except") for row in rules)


def test_an_edited_rule_is_asked_about_several_texts_with_both_answers() -> None:
    texts = [replace(HIT, text=f"{TEXT} {number}") for number in range(40)]
    clear = dict.fromkeys(HIT.rules, "no")
    texts += [replace(row, text=f"{row.text} then", areas={}, rules=clear) for row in texts]
    shares = {"inverted": 1.0, "rule_swapped": 1.0, "clause_removed": 1.0}
    found = compiled(*texts, variants=shares, areas_of_a_prompt=2).reads
    for kind in (Variant.INVERTED, Variant.RULE_SWAPPED, Variant.CLAUSE_REMOVED):
        of_prompt: dict[tuple[str, str], set[str]] = {}
        for row in variant(found, kind):
            of_prompt.setdefault((row.prefix, row.question), set()).add(row.answer)
        assert len(of_prompt) <= (VERSIONS if kind is Variant.INVERTED else 4 + VERSIONS)
        assert {"yes", "no"} in of_prompt.values()


def test_attacks_change_no_answer_and_keep_where_they_come_from() -> None:
    shares = {"injected": 1.0, "obfuscated": 1.0}
    found = compiled(HIT, EXEMPT, variants=shares, inject=("order_no",), obfuscate=("leet",))
    plain = {(row.key, row.answer) for row in variant(found.reads, Variant.PLAIN)}
    for kind in (Variant.INJECTED, Variant.OBFUSCATED):
        rows = variant(found.reads, kind)
        assert rows
        assert {(row.key, row.answer) for row in rows if row.area != "market/sales"} <= plain
        assert {row.row for row in rows} == {HIT.digest}
        assert not any(f"[1] {TEXT}\n" in row.user for row in rows)


def test_an_injection_leaves_open_whether_it_breaks_a_rule_itself() -> None:
    area = sorted(INSTRUCTION_AREAS)[0]
    own = make_policy(area, (make_rule("P1"),))
    row = replace(HIT, areas={**HIT.areas, area: False}, rules={**HIT.rules, f"{area}#P1": "no"})
    found = compiled(row, policies=(PLANTS, SALES, own), variants={"injected": 1.0}, other_areas=9, seed=4)
    assert all(made.area != area for made in variant(found.reads, Variant.INJECTED))


def test_pairs_say_how_the_rejected_answer_is_worse() -> None:
    quiet = [replace(HIT, text="Rain fell on the harbour.\n" * 8, areas={"garden/plants": False}, rules={})]
    compiler = RowCompiler(recipe(), 1, TARGET, TOKENS.special_tokens, (PLANTS, SALES), (), quiet)
    found = compiler.compile([HIT, EXEMPT])
    by_contrast = {row.contrast: row for row in found.pairs}
    assert set(by_contrast) == {Contrast.LABEL, Contrast.RULE, Contrast.EXEMPTION, Contrast.SEGMENT}
    assert all(row.rejected != row.answer for row in found.pairs)
    answers = {
        name: (json.loads(r.answer), json.loads(str(r.rejected)))
        for name, r in by_contrast.items()
        if not r.labels
    }
    right, wrong = answers[Contrast.RULE]
    assert (right["verdict"], right["evidence"]) == (wrong["verdict"], wrong["evidence"])
    assert "description of R1" in right["rationale"]
    assert "description of R1" not in wrong["rationale"]
    right, wrong = answers[Contrast.EXEMPTION]
    assert right["exemption"] != wrong["exemption"]
    right, wrong = answers[Contrast.SEGMENT]
    assert not set(right["evidence"]) & set(wrong["evidence"])


@pytest.mark.parametrize("asked_once", [HIT, EXEMPT])
def test_a_correction_is_the_right_answer_against_what_was_said(asked_once: LabelledRow) -> None:
    compiler = RowCompiler(recipe(), 1, TARGET, TOKENS.special_tokens, (PLANTS, SALES), (), [])
    made = compiler.corrected(Disagreement(asked_once, "garden/plants#R1", "yes", "no", Contrast.MISS))
    assert made is not None
    assert (made.answer, made.rejected, made.key) == ("yes", "no", "garden/plants#R1")
    # R2 has no exemptions, so nobody can have been told `except`.
    assert compiler.corrected(Disagreement(HIT, "garden/plants#R2", "except", "no", Contrast.MISS)) is None


def test_rows_that_cannot_be_used_are_counted() -> None:
    empty, long = replace(HIT, text=" \u200b "), replace(HIT, text=TEXT * 90)
    elsewhere = LabelledRow(TEXT, "en", "set", {"no/such": True})
    found = compiled(empty, long, elsewhere)
    assert not found.reads
    assert found.left_out == {
        ("nothing to judge", "own"): 1,
        ("too long", "own"): 1,
        ("no set of areas asks about it", "set"): 1,
    }


def test_one_seed_gives_one_series() -> None:
    rows = [replace(HIT, text=f"{TEXT} {n}") for n in range(10)]
    shares = dict.fromkeys(Variant, 0.5)
    assert compiled(*rows, variants=shares) == compiled(*rows, variants=shares)
    assert compiled(*rows, variants=shares) != compiled(*rows, variants=shares, seed=2)


def test_some_rows_stand_behind_all_that_is_judged() -> None:
    whole = compile_policies([PLANTS, SALES], TARGET).prefix
    rows = [replace(HIT, text=f"{TEXT} {n}") for n in range(8)]
    found = compiled(*rows, whole_policy=1.0, areas_of_a_prompt=1)
    assert {row.prefix for row in found.reads} == {whole}
    assert whole not in {row.prefix for row in compiled(*rows, areas_of_a_prompt=1).reads}


def test_a_policy_with_a_control_token_is_refused() -> None:
    sly = make_policy("garden/plants", (make_rule("R1", violates="Says <|im_end|>."),))
    with pytest.raises(UsageError, match=r"control token `<\|im_end\|>`"):
        compiled(HIT, policies=(sly,))


def test_shares_of_zero_make_no_edits() -> None:
    rows = [replace(HIT, text=f"{TEXT} {n}") for n in range(5)]
    assert {row.variant for row in compiled(*rows, explained=0.0).reads} == {Variant.PLAIN}
