"""What every key and value of a policy, cases or overlay file means, for people who write them.

Editors show these texts when the pointer rests on a key; a test keeps them complete. Knows nothing about
JSON Schema.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from llm_judge.content.content import Modality
from llm_judge.policy.cases import Case, CaseFile
from llm_judge.policy.model import (
    Action,
    ActionStep,
    Example,
    Exemption,
    Node,
    OnError,
    Policy,
    Rule,
    Status,
)
from llm_judge.policy.overlay_model import Overlay, PolicyChange, RuleChange, Scope


class KeyHelp(NamedTuple):
    """What a key means, and values as they could be written."""

    text: str
    examples: tuple[Any, ...] = ()


_SCHEMA = KeyHelp("Version of this file format; always 1.")
_VERSION = KeyHelp(
    "Three numbers: raise the last for wording, the middle for a new or changed rule, the first for a rule "
    "that went away.",
    ("1.0.0",),
)
_OWNER = KeyHelp("Team to ask about it.", ("safety-policy",))
_RULE_ID = "Stands in records and cases, so it is never used again for something else."

KEY_HELP: dict[type[Node], dict[str, KeyHelp]] = {
    Policy: {
        "schema": _SCHEMA,
        "policy": KeyHelp("Id: the path of this file without `.yaml`.", ("safety/hate",)),
        "version": _VERSION,
        "title": KeyHelp("Name for people, 80 characters at most.", ("Hate speech and hateful behaviour",)),
        "summary": KeyHelp(
            "One sentence: what this area covers. The question whether a content touches the area at all is "
            "made from it.",
            ("Attacks on people because of who they are, by insult, slur, threat or exclusion.",),
        ),
        "status": KeyHelp("Where the policy is in its life; `test` and `stable` policies are judged."),
        "owner": _OWNER,
        "modalities": KeyHelp("Kinds of content the policy is for.", (["text", "image", "audio", "video"],)),
        "definitions": KeyHelp(
            "Terms with their meaning. `{term}` in `violates` and `when` is replaced by it.",
            ({"minor": "child or teenager under 18"},),
        ),
        "rules": KeyHelp("What is not allowed, one condition a rule."),
        "actions": KeyHelp(
            "What to do when a rule fires. Read from the top; the first step whose predicates all hold wins."
        ),
        "otherwise": KeyHelp("What to do when no step of `actions` holds."),
        "on_error": KeyHelp("What to do with an item for which a rule could not be decided."),
        "maps_to": KeyHelp(
            "Names of this area in other taxonomies.", ({"openai": ["hate", "hate/threatening"]},)
        ),
    },
    Rule: {
        "id": KeyHelp(f"Short name of the rule, unique in the file. {_RULE_ID}", ("HS1",)),
        "title": KeyHelp("Name of the rule for people, 80 characters at most.", ("Dehumanising comparison",)),
        "violates": KeyHelp(
            "One condition, in plain words, that breaks the rule; 40 words at most. Two conditions are two "
            "rules. What is allowed belongs into `exemptions`.",
            ("Compares a {protected_group} to animals, pests, disease, dirt or objects.",),
        ),
        "severity": KeyHelp(
            "How bad it is: 1 a nuisance, 2 unpleasant, 3 harmful, 4 serious, 5 danger to life, savings or "
            "safety."
        ),
        "modalities": KeyHelp("Kinds of content this rule is for; left out: as the policy says."),
        "floor": KeyHelp("`true`: no overlay may loosen this rule."),
        "exemptions": KeyHelp("Circumstances in which the condition is met but the rule is not broken."),
        "examples": KeyHelp(
            "Contents with their right answer, shown to the model: at least one that violates and one near "
            "miss that is clear. Every request pays for them, so keep them short."
        ),
    },
    Exemption: {
        "id": KeyHelp("Short name of the exemption, unique in its rule.", ("counter_speech", "news")),
        "when": KeyHelp(
            "A circumstance that can be seen in the content itself; 25 words at most.",
            ("Quotes or describes the attack in order to condemn, report or study it.",),
        ),
    },
    Example: {
        "content": KeyHelp("What is judged: mild or masked, in your own words."),
        "verdict": KeyHelp("The right answer of the rule."),
        "exemption": KeyHelp("Id of the exemption that applies; with `verdict: exempt` only."),
        "because": KeyHelp("Why, in one short sentence.", ("It reports the insult in order to condemn it.",)),
    },
    ActionStep: {
        "rules": KeyHelp("Only for these rules; left out: for every rule.", (["HS1", "HS2"],)),
        "severity_at_least": KeyHelp("Only for rules of this severity or a higher one."),
        "probability_at_least": KeyHelp(
            "Only where the model is this sure: a number from 0 to 1, or a threshold that calibration "
            "provides. `calibrated.precision_95`: 95 of 100 that fire are right; `calibrated.recall_90`: 90 "
            "of 100 that should fire do.",
            ("calibrated.precision_95", "calibrated.recall_90", 0.8),
        ),
        "do": KeyHelp("What is done to the item."),
    },
    CaseFile: {
        "schema": _SCHEMA,
        "policy": KeyHelp("Id of the policy that these cases are for.", ("safety/hate",)),
        "cases": KeyHelp(
            "Contents with the answer the policy must give: for each rule at least three that fire and three "
            "near misses, and two for each exemption."
        ),
    },
    Case: {
        "id": KeyHelp("Name of the case, unique in the file; left out: its line."),
        "content": KeyHelp("The text to judge: mild or masked, in your own words."),
        "file": KeyHelp("Picture, sound or video to judge, below the folder of this file.", ("media/a.png",)),
        "expect": KeyHelp("The right answer."),
        "rule": KeyHelp(
            "The rule that must give this answer. For `clear`: the rule that it nearly meets; left out: none "
            "of the rules may fire.",
            ("HS1",),
        ),
        "exemption": KeyHelp("The exemption that must be found; with `expect: exempt` only."),
        "lang": KeyHelp("Language of the content, as an ISO 639 code.", ("en", "de", "pt-BR")),
        "note": KeyHelp("A remark for people."),
        "todo": KeyHelp("`true`: right, but known to fail today. It is counted apart."),
    },
    Overlay: {
        "schema": _SCHEMA,
        "overlay": KeyHelp("Id: the name of this file without `.yaml`.", ("age_teen", "market_de")),
        "version": _VERSION,
        "title": KeyHelp("Name for people, 80 characters at most.", ("People from 13 to 17",)),
        "owner": _OWNER,
        "applies_to": KeyHelp("Whom the overlay is for; what is left out means everybody and everywhere."),
        "changes": KeyHelp("What changes, policy by policy."),
    },
    Scope: {
        "min_age": KeyHelp("Youngest age in years, included."),
        "max_age": KeyHelp("Oldest age in years, included."),
        "markets": KeyHelp("Countries, as ISO 3166 codes.", (["DE", "AT"],)),
        "surfaces": KeyHelp("Places of the product.", (["live", "comments"],)),
    },
    PolicyChange: {
        "policy": KeyHelp("Id of the policy that is changed.", ("regulated/alcohol",)),
        "because": KeyHelp("Why, in one sentence for whoever asks."),
        "definitions": KeyHelp("Terms that the added texts need; terms of the policy keep their meaning."),
        "rules": KeyHelp("Changes of rules that the policy has."),
        "add_rules": KeyHelp("New rules, put after the policy's own."),
        "actions_first": KeyHelp("Steps that are tried before the policy's own."),
        "otherwise": KeyHelp("What to do when no step holds, in place of the policy's own."),
        "on_error": KeyHelp("What to do where a rule could not be decided, in place of the policy's own."),
    },
    RuleChange: {
        "rule": KeyHelp("Id of the rule that is changed.", ("AL2",)),
        "switch_off": KeyHelp("`true`: the rule is left out."),
        "raise_severity_to": KeyHelp("New severity, higher than the rule's own."),
        "lower_severity_to": KeyHelp("New severity, lower than the rule's own."),
        "floor": KeyHelp("`true`: no later overlay may loosen this rule."),
        "remove_exemptions": KeyHelp("Exemptions that do not count here; examples that cite them go too."),
        "add_exemptions": KeyHelp("Exemptions put after the rule's own."),
        "add_examples": KeyHelp("Examples put after the rule's own."),
    },
}  # fmt: skip

VALUE_HELP: dict[type[StrEnum], dict[str, str]] = {
    Status: {
        "draft": "being written; not judged",
        "test": "judged, on trial",
        "stable": "judged, in force",
        "deprecated": "no longer judged",
    },
    Action: {
        "allow": "leave it as it is",
        "label": "show it with a notice",
        "age_restrict": "show it to adults only",
        "reduce": "do not recommend it",
        "review": "let a person decide",
        "remove": "take it down",
    },
    OnError: {
        "review": "let a person decide",
        "allow": "leave it as it is",
        "remove": "take it down",
    },
    Modality: {
        "text": "written words",
        "image": "pictures and the words in them",
        "audio": "what is said or heard",
        "video": "pictures and sound together",
    },
}

# The answers of a rule: words that no class of their own stands for.
ANSWER_HELP = {
    "violates": "the rule is broken",
    "clear": "the condition is not met",
    "exempt": "the condition is met, but an exemption applies",
}
