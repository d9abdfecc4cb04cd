import json

from hypothesis import given
from hypothesis import strategies as st

from llm_judge.diagnostics import Diagnostic, Level, Span, to_json, to_text

TYPO = Diagnostic(
    "P002",
    Level.ERROR,
    Span("refund.yaml", 4, 1, 7),
    "unknown key `severty`",
    "did you mean `severity`?",
    "severty: high",
)


def shown(line, column, length):
    return to_text([Diagnostic("P000", Level.ERROR, Span("a.yaml", 1, column, length), "wrong", None, line)])


def test_an_error_shows_place_line_caret_and_help():
    assert to_text([TYPO]) == (
        "refund.yaml:4:1: error[P002] unknown key `severty`\n"
        "  |\n"
        "4 | severty: high\n"
        "  | ^^^^^^^\n"
        "  = help: did you mean `severity`?\n"
    )


def test_the_gutter_is_as_wide_as_the_line_number():
    found = Diagnostic("P101", Level.WARNING, Span("a.yaml", 120, 3, 2), "again", None, "  id")
    assert to_text([found]) == "a.yaml:120:3: warning[P101] again\n    |\n120 |   id\n    |   ^^\n"


def test_errors_are_parted_by_an_empty_line_and_none_print_nothing():
    assert to_text([TYPO, TYPO]) == f"{to_text([TYPO])}\n{to_text([TYPO])}"
    assert to_text([]) == ""


def test_carets_stand_under_wide_and_combined_characters():
    assert shown("退款: 文字", 5, 2).splitlines()[2:] == ["1 | 退款: 文字", "  |       ^^^^"]
    assert shown("e\u0301: x", 5, 1).splitlines()[3] == "  |    ^"


def test_what_a_terminal_would_obey_is_escaped():
    text = shown("a\x1b[2J\u202eb\u200b: x", 8, 1)
    assert "a\\x1b[2J\\u202eb\\u200b: x" in text
    assert text.splitlines()[3] == "  | " + " " * len("a\\x1b[2J\\u202e") + " " + "^" * len("\\u200b")
    loud = Diagnostic("P002", Level.ERROR, Span("a\x1b.yaml", 1, 1), "key `\n\x07`", "say \x9b", None)
    assert to_text([loud]) == "a\\x1b.yaml:1:1: error[P002] key `\\n\\x07`\n  = help: say \\x9b\n"


def test_a_long_line_is_shown_around_the_caret():
    row, caret = shown("x" * 5000 + "!" + "y" * 5000, 5001, 1).splitlines()[2:4]
    assert len(row) < 120
    assert row[caret.index("^")] == "!"


def test_json_has_the_same_words():
    (found,) = json.loads(json.dumps(to_json([TYPO])))
    assert found == {
        "code": "P002",
        "level": "error",
        "file": "refund.yaml",
        "line": 4,
        "column": 1,
        "length": 7,
        "message": "unknown key `severty`",
        "help": "did you mean `severity`?",
        "line_text": "severty: high",
    }


@given(st.text(max_size=200), st.integers(1, 220), st.integers(1, 220))
def test_any_line_and_span_can_be_shown(line, column, length):
    text = shown(line, column, length)
    assert text.count("\n") == 4
    assert "^" in text.splitlines()[3]
