"""Compiling: what the model is told, what it may answer, and when two compilations are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import compiled, count_words, make_policy, make_rule

import llm_judge.compile
from llm_judge.compile import ANSWER_RESERVE_TOKENS, CONTENT_RESERVE_TOKENS, policy_digest
from llm_judge.content.content import Modality
from llm_judge.errors import BudgetExceeded, UsageError
from llm_judge.policy.load import parse_policy
from llm_judge.policy.model import Example, Exemption, Policy

PLANTS = """\
schema: 1
policy: garden/plants
version: 1.0.0
title: Plant care
summary: Covers advice that harms plants.
status: stable
owner: garden-team
modalities: [text, image]
definitions:
  house_plant: a plant kept in a pot
  unused_term: words that no rule names
rules:
  - id: PL1
    title: Overwatering
    violates: Tells people to drown a {house_plant}.
    severity: 3
    exemptions:
      - id: satire
        when: Clearly a joke about a {house_plant}.
  - id: PL2
    title: Darkness
    violates: Tells people to keep plants in the dark.
    severity: 2
    modalities: [image, text]
    examples:
      - content: Cupboards are the best place.
        verdict: violates
        because: A cupboard is dark.
actions:
  - {severity_at_least: 3, probability_at_least: 0.8, do: remove}
  - {rules: [PL1, PL2], do: review}
on_error: review
maps_to: {other: [harm]}
"""


def parsed(text: str) -> Policy:
    policy, found = parse_policy(text, "plants.yaml")
    assert policy is not None, found
    return policy


def edited(old: str, new: str) -> Policy:
    assert old in PLANTS
    return parsed(PLANTS.replace(old, new))


def test_prefix_tells_areas_definitions_and_rules_in_policy_order() -> None:
    prefix = compiled(parsed(PLANTS), make_policy("market/sales"), dialect="full").prefix
    told = [
        "# Plant care",
        "Covers advice",
        "house plant: a plant kept in a pot",
        "PL1 Overw",
        "PL2 Dark",
        "# Area",
    ]
    places = [prefix.index(words) for words in told]
    assert places == sorted(places)
    assert "unused" not in prefix


def test_the_compact_prefix_leaves_rules_to_their_questions() -> None:
    prefix = compiled(parsed(PLANTS)).prefix
    assert "# Plant care\nCovers advice" in prefix
    assert "house plant: a plant kept in a pot" in prefix
    assert "Overw" not in prefix


def test_definitions_are_spoken_where_they_are_named() -> None:
    rule = compiled(parsed(PLANTS)).rules[0]
    assert "drown a house plant." in rule.question.text
    assert "joke about a house plant." in rule.question.text
    assert "{" not in rule.question.text + rule.explain


@pytest.mark.parametrize("dialect", ["compact", "full"])
def test_questions_hold_their_own_words_and_end_with_the_labels(dialect: str) -> None:
    policy = make_policy(rules=(make_rule("R1"), make_rule("R2", ("satire", "study"))))
    (area,) = compiled(policy, dialect=dialect).areas
    plain, exempting = area.rules
    assert (area.question.id, area.question.labels) == ("area:garden/plants", ("yes", "no"))
    assert "Area garden/plants" in area.question.text
    assert (plain.question.id, plain.question.labels) == ("rule:garden/plants#R1", ("yes", "no"))
    assert "description of R1" in plain.question.text
    assert "R2" not in plain.question.text
    assert "except" not in plain.question.text
    assert exempting.question.labels == ("yes", "no", "except")
    assert "It is satire. " in exempting.question.text.replace("\n", " ")
    for question in (area.question, plain.question, exempting.question):
        assert all(label in question.text.splitlines()[-1] for label in question.labels)


def test_exemptions_are_asked_apart_only_where_there_are_several() -> None:
    rules = (make_rule("R1"), make_rule("R2", ("satire",)), make_rule("R3", ("satire", "study")))
    none, one, several = compiled(make_policy(rules=rules)).rules
    assert none.exemption_questions == one.exemption_questions == ()
    satire, study = several.exemption_questions
    assert [satire.id, study.id] == [f"exemption:garden/plants#R3#{name}" for name in ("satire", "study")]
    assert "It is study." in study.text
    assert "satire" not in study.text
    assert study.labels == ("yes", "no")


def test_template_source_in_a_policy_stays_text() -> None:
    hostile = "Says {{ 7*7 }}, {% for x in y %} or {{ self.__class__ }} {# gone #}."
    rule = make_rule(
        violates=hostile,
        exemptions=(Exemption(id="satire", when=hostile),),
        examples=(Example(content=hostile, verdict="clear", because=hostile),),
    )
    for dialect in ("compact", "full"):
        result = compiled(make_policy(rules=(rule,), summary=hostile), dialect=dialect)
        for text in (result.prefix, result.rules[0].question.text, result.rules[0].explain):
            assert hostile in text
            assert "49" not in text


def test_schema_reasons_before_the_verdict_and_allows_nothing_else() -> None:
    schema = compiled(make_policy(rules=(make_rule("R1", ("satire", "study")),))).rules[0].schema([3, 4])
    fields = schema["properties"]
    assert list(fields) == schema["required"] == ["evidence", "exemption", "severity", "rationale", "verdict"]
    assert schema["additionalProperties"] is False
    assert fields["evidence"] == {"type": "array", "items": {"enum": [3, 4]}, "minItems": 1, "maxItems": 2}
    assert fields["exemption"]["enum"] == ["none", "satire", "study"]
    assert fields["severity"]["enum"] == [1, 2, 3]
    assert fields["verdict"]["enum"] == ["violates", "clear", "exempt"]


def test_schema_of_a_rule_without_exemptions_has_no_exempt_verdict() -> None:
    fields = compiled(make_policy()).rules[0].schema(range(1, 9))["properties"]
    assert fields["verdict"]["enum"] == ["violates", "clear"]
    assert fields["exemption"]["enum"] == ["none"]
    assert fields["evidence"]["maxItems"] == 4


PL1_SEVERITY = "    severity: 3\n"
PL1_EXEMPTIONS = """\
    exemptions:
      - id: satire
        when: Clearly a joke about a {house_plant}.
"""
SAME = [
    ("version: 1.0.0", "version: 1.1.0"),
    ("owner: garden-team", "owner: other-team"),
    ("status: stable", "status: test"),
    ("schema: 1\n", "# a comment\nschema: 1\n"),
    (
        "title: Plant care\nsummary: Covers advice that harms plants.",
        "summary: 'Covers advice that harms plants.'\ntitle: Plant care",
    ),
    (PL1_SEVERITY + PL1_EXEMPTIONS, PL1_EXEMPTIONS + PL1_SEVERITY),
    ("  unused_term: words that no rule names\n", ""),
    ("words that no rule names", "other words"),
    ("maps_to: {other: [harm]}\n", ""),
    ("modalities: [text, image]\ndef", "modalities: [image, text]\ndef"),
    ("    modalities: [image, text]\n", ""),
    ("rules: [PL1, PL2]", "rules: [PL2, PL1]"),
    ("probability_at_least: 0.8,", "probability_at_least: 0.80,"),
    ("on_error: review\n", ""),
]
OTHER = [
    ("title: Plant care", "title: Plants"),
    ("summary: Covers advice", "summary: Covers all advice"),
    ("drown a {house_plant}", "drown one {house_plant}"),
    (
        "drown a {house_plant}",
        "drown a house plant",
    ),  # the definition is still told, the text is not the same
    ("a plant kept in a pot", "a plant kept indoors"),
    ("severity: 2", "severity: 4"),
    ("Clearly a joke", "Perhaps a joke"),
    ("id: satire", "id: humour"),
    ("PL2", "PL9"),
    ("A cupboard is dark.", "It is dark there."),
    ("    modalities: [image, text]\n", "    modalities: [image]\n"),
    ("do: remove", "do: reduce"),
    ("probability_at_least: 0.8", "probability_at_least: 0.81"),
    ("severity_at_least: 3, ", ""),
    ("on_error: review", "on_error: remove"),
    ("on_error: review", "otherwise: label"),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_digest_stays_when_the_meaning_stays(old: str, new: str) -> None:
    assert policy_digest([edited(old, new)]) == policy_digest([parsed(PLANTS)])


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_digest_changes_with_the_meaning(old: str, new: str) -> None:
    assert policy_digest([edited(old, new)]) != policy_digest([parsed(PLANTS)])


def test_digest_depends_on_which_policies_and_compiling_keeps_it() -> None:
    one, two = make_policy(), make_policy("market/sales")
    digests = {policy_digest(chosen) for chosen in ([one], [two], [one, two])}
    assert len(digests) == 3
    assert compiled(one, two).digest == compiled(one, two, dialect="full").digest == policy_digest([one, two])


def test_prompt_digest_changes_with_what_the_model_reads() -> None:
    one = make_policy()
    exempting = make_policy(rules=(make_rule("R1", ("satire",)),))
    renamed = make_policy(version="9.9.9", actions=())
    assert compiled(one).prompt_digest == compiled(renamed).prompt_digest
    digests = {c.prompt_digest for c in (compiled(one), compiled(one, dialect="full"), compiled(exempting))}
    assert len(digests) == 3


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="no policies"):
        compiled()
    for dialect in ("nosuch", "../prompts/compact", ""):
        with pytest.raises(UsageError, match="unknown prompt dialect") as caught:
            compiled(make_policy(), dialect=dialect)
        assert caught.value.hint == "known dialects: compact, full"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ area.no_such_word }}", "no_such_word"),
        ("{{ forgotten }}", "'forgotten' is undefined"),
        ("{% if %}", "Expected an expression"),
        ("{{ area.__class__.__mro__ }}", "unsafe"),
        (None, "lacks area.j2"),
    ],
)
def test_a_wrong_template_is_one_clear_error(
    source: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    for name in ("policy", "rule", "exemption", "explain"):
        (folder / f"{name}.j2").write_text("words")
    if source is not None:
        (folder / "area.j2").write_text(source)
    monkeypatch.setattr(llm_judge.compile, "content_folder", lambda _: tmp_path)
    llm_judge.compile._templates.cache_clear()
    with pytest.raises(UsageError, match=message):
        compiled(make_policy(), dialect="wrong")


AREAS = (
    make_policy("garden/plants", (make_rule("R1"), make_rule("R2", violates="word " * 60))),
    make_policy("market/sales", (make_rule("S1", ("news",)), make_rule("S2"))),
)


def least_context() -> int:
    result = compiled(*AREAS, dialect="full")
    fixed = result.prefix_tokens + result.longest_question_tokens
    return fixed + ANSWER_RESERVE_TOKENS + CONTENT_RESERVE_TOKENS


def test_the_longest_text_after_the_content_counts() -> None:
    result = compiled(*AREAS, dialect="full")
    texts = [area.question.text for area in result.areas]
    for rule in result.rules:
        texts += [rule.question.text, rule.explain, *(q.text for q in rule.exemption_questions)]
    assert result.longest_question_tokens == max(map(count_words, texts))


def test_what_fits_leaves_room_for_content() -> None:
    assert (
        compiled(*AREAS, context_tokens=least_context(), dialect="full").content_budget
        == CONTENT_RESERVE_TOKENS
    )


def named_when_missing(tokens: int) -> str:
    with pytest.raises(BudgetExceeded) as caught:
        compiled(*AREAS, context_tokens=least_context() - tokens, dialect="full")
    return caught.value.message.split("`")[1]


def test_what_does_not_fit_names_the_first_rule_over_the_budget() -> None:
    plants, sales = AREAS
    shown = [make_policy(rules=plants.rules[:n]) for n in (1, 2)]
    sizes = [compiled(policy, dialect="full").prefix_tokens for policy in shown]
    sizes.append(compiled(plants, make_policy("market/sales", sales.rules[:1]), dialect="full").prefix_tokens)
    whole = compiled(*AREAS, dialect="full").prefix_tokens
    first, second, third = (whole - size for size in sizes)  # tokens missing when just that much fits
    assert named_when_missing(1) == named_when_missing(third) == "market/sales#S2"
    assert named_when_missing(third + 1) == named_when_missing(second) == "market/sales#S1"
    assert named_when_missing(second + 1) == named_when_missing(first) == "garden/plants#R2"
    assert named_when_missing(first + 1) == "garden/plants#R1"


def test_a_question_longer_than_the_context_is_named() -> None:
    with pytest.raises(BudgetExceeded, match="`garden/plants#R2` does not fit words: its question is"):
        compiled(*AREAS, context_tokens=200)


def test_a_rule_applies_to_its_own_modalities_or_those_of_its_policy() -> None:
    own = make_rule("R1", modalities=(Modality.AUDIO,))
    rules = compiled(make_policy(rules=(own, make_rule("R2")), modalities=(Modality.TEXT,))).rules
    assert [[r.applies_to(m) for m in (Modality.TEXT, Modality.AUDIO)] for r in rules] == [
        [False, True],
        [True, False],
    ]
