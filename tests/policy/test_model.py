import pytest
from pydantic import ValidationError

from llm_judge.policy.cases import CaseFile
from llm_judge.policy.load import parse_policy
from llm_judge.policy.model import Action, Exemption, Policy
from llm_judge.policy.shape import PATTERNS


def patterns(schema):
    if isinstance(schema, dict):
        found = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        # Patterns of keys stand where the keys do.
        found |= set(schema.get("patternProperties", {}))
        return found.union(*(patterns(part) for part in schema.values()), set())
    return set().union(*(patterns(part) for part in schema)) if isinstance(schema, list) else set()


def test_every_pattern_has_words_for_people():
    used = patterns(Policy.model_json_schema()) | patterns(CaseFile.model_json_schema())
    assert used == set(PATTERNS)


def test_actions_are_ordered_from_mild_to_strict():
    strictness = [action.strictness for action in Action]
    assert strictness == sorted(strictness)
    assert Action.REVIEW.strictness < Action.REMOVE.strictness


def test_models_are_frozen_and_spans_carry_no_meaning():
    exemption = Exemption(id="report", when="Tells of it.")
    with pytest.raises(ValidationError):
        exemption.id = "other"
    assert "at" not in exemption.model_dump()


def test_an_unknown_rule_is_a_key_error():
    text = (
        "schema: 1\npolicy: a/b\nversion: 1.0.0\ntitle: T\nsummary: S.\nstatus: draft\nowner: o\n"
        "modalities: [text]\nrules: [{id: R1, title: T, violates: V., severity: 1}]\n"
    )
    policy, found = parse_policy(text, "b.yaml")
    assert found == []
    assert policy.rule("R1").severity == 1
    with pytest.raises(KeyError):
        policy.rule("R2")
