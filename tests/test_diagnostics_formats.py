"""SARIF and GitHub annotations say the same as the terminal, escaped as their readers need it."""

import json

from llm_judge.diagnostics import Diagnostic, Level, Span, to_json
from llm_judge.diagnostics_formats import CodeMeaning, to_github, to_sarif

TYPO = Diagnostic(
    "P002",
    Level.ERROR,
    Span("my guide/refund.yaml", 4, 3, 7),
    "unknown key `severty`",
    "did you mean `severity`?",
    "  severty: high",
)
VAGUE = Diagnostic("P201", Level.WARNING, Span("/a.yaml", 2, 1), "vague")
MEANINGS = {
    "P002": CodeMeaning("unknown key", Level.ERROR, "# P002"),
    "P201": CodeMeaning("a vague word", Level.WARNING, "# P201"),
}


def test_sarif_points_at_the_words_and_explains_the_code():
    log = to_sarif([VAGUE, TYPO], [], MEANINGS, "1.0.0")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["P002", "P201"]
    second = run["results"][1]
    assert rules[second["ruleIndex"]]["id"] == second["ruleId"] == "P002"
    assert second["message"]["text"] == "unknown key `severty`; did you mean `severity`?"
    place = second["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20guide/refund.yaml"
    assert place["region"] == {
        "startLine": 4,
        "startColumn": 3,
        "endColumn": 10,
        "snippet": {"text": "  severty: high"},
    }
    first = run["results"][0]["locations"][0]["physicalLocation"]
    assert first["artifactLocation"]["uri"] == "file:///a.yaml"
    assert "snippet" not in first["region"]


def test_sarif_shows_what_is_waived_as_suppressed():
    (run,) = to_sarif([TYPO], [(VAGUE, "under review")], MEANINGS, "1.0.0")["runs"]
    assert "suppressions" not in run["results"][0]
    assert run["results"][1]["suppressions"][0]["justification"] == "under review"


def test_a_file_name_that_is_no_text_stays_json():
    odd = Diagnostic("P002", Level.ERROR, Span("a\udcff.yaml", 1, 1), "x \ud800", None, "\ud800")
    assert "a%FF.yaml" in json.dumps(to_sarif([odd], [], MEANINGS, "1"), ensure_ascii=False)
    assert to_github([odd]).encode("utf-8")


def test_github_annotations_are_escaped():
    odd = Diagnostic("P201", Level.WARNING, Span("a,b:c.yaml", 2, 5, 3), "50% of\nit")
    assert to_github([TYPO, odd]) == (
        "::error file=my guide/refund.yaml,line=4,col=3,endColumn=9,title=P002"
        "::unknown key `severty`; did you mean `severity`?\n"
        "::warning file=a%2Cb%3Ac.yaml,line=2,col=5,endColumn=7,title=P201::50%25 of%0Ait\n"
    )


def test_a_very_long_line_is_not_repeated_with_every_problem_in_it():
    long = Diagnostic("P002", Level.ERROR, Span("a.yaml", 1, 1), "x", None, "y" * 2001)
    (run,) = to_sarif([long], [], MEANINGS, "1")["runs"]
    assert "snippet" not in run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert to_json([long])[0]["line_text"] is None
