"""Exemptions and definitions that are fine give no finding; the wrong ones are in bad_policies/checks."""

from pathlib import Path

import pytest

from llm_judge.policy.meaning import idle_exemptions, unused_definitions
from llm_judge.policy.model import Policy
from llm_judge.policy.shape import shape
from llm_judge.source import Source
from llm_judge.strict_yaml import parse

GOOD = (Path(__file__).parent / "refund.yaml").read_text()
WHEN = "Tells of such a claim in order to report it."


def found(text):
    root, _ = parse(text, "a.yaml")
    source = Source("a.yaml", text)
    tree, policy, wrong = shape(root, Policy, source)
    assert wrong == []
    return [each.code for each in (*unused_definitions(tree, source), *idle_exemptions(policy, source))]


@pytest.mark.parametrize(
    ("when", "modalities", "codes"),
    [
        (WHEN, "text", []),
        ("Part of the plot of a film, song or video game.", "text", []),
        ("Video game in which claims are played.", "text", []),
        ("Photo of a receipt that is shown in order to warn.", "video", []),
        ("Photo of a receipt that is shown in order to warn.", "text", ["P116"]),
        ("Footage of a shop that is shown in order to warn.", "image", ["P116"]),
        ("Claims a refund.", "text", []),  # too short to compare
        ("Claims a refund for goods that were received and then lost in a fire.", "text", []),
        ("Goods that were received: claims a refund.", "text", ["P117"]),
        ("No refund is claimed for goods that were received.", "text", ["P116"]),
    ],
)
def test_an_exemption_is_compared_with_its_rule(when, modalities, codes):
    text = GOOD.replace(WHEN, f'"{when}"').replace("modalities: [text]", f"modalities: [{modalities}]")
    assert found(text) == codes


def test_a_definition_counts_as_used_wherever_it_is_written():
    assert (
        found(GOOD.replace(WHEN, "Tells of a {refund}.").replace("Claims a {refund}", "Claims money")) == []
    )
    assert found(GOOD.replace("{refund}", "refund")) == ["P114"]
