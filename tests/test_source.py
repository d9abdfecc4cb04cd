import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_judge.source import MAX_BYTES, Kind, Source, decode
from llm_judge.strict_yaml import parse


def scalar(written):
    root, found = parse(f"key: {written}\n", "a.yaml")
    return root.get("key"), [each.code for each in found]


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("true", Kind.BOOLEAN, True),
        ("false", Kind.BOOLEAN, False),
        ("0", Kind.INTEGER, 0),
        ("-12", Kind.INTEGER, -12),
        ("0.5", Kind.DECIMAL, 0.5),
        ("1.10", Kind.DECIMAL, 1.1),
        ("1.2.0", Kind.STRING, "1.2.0"),
        ("text of words # note", Kind.STRING, "text of words"),
        ("C#", Kind.STRING, "C#"),
        ('"no"', Kind.STRING, "no"),
        ("'012'", Kind.STRING, "012"),
        ('"a\\tb"', Kind.STRING, "a\tb"),
        ("norway", Kind.STRING, "norway"),
        ("|\n  one\n  two", Kind.STRING, "one\ntwo\n"),
        ("one\n  two", Kind.STRING, "one two"),
    ],
)
def test_what_a_value_is(written, kind, value):
    node, codes = scalar(written)
    assert (node.kind, node.value, codes) == (kind, value, [])
    assert type(node.value) is type(value)


AMBIGUOUS = """
no No NO yes on off y n N True FALSE ~ null Null
012 08 0x1F 0o17 0b11 1_000 1:30 1e5 +5 5. .5 007.5 .inf -.Inf .nan 2024-05-01 1234567890123456
"""


@pytest.mark.parametrize("written", [*AMBIGUOUS.split(), "", "2001-12-14 21:59:43.10 -5"])
def test_what_another_reader_would_take_otherwise_is_refused(written):
    node, codes = scalar(written)
    assert (node.kind, codes) == (Kind.BROKEN, ["P005"])


def test_a_value_keeps_how_it_was_written():
    assert scalar("1.10")[0].raw == "1.10"


def test_every_key_and_value_has_its_place():
    text = "# 注\r\n退款: [一, 二]\r\nb:\r\n  - c: x\r\n    d: |\r\n      long\r\n      text\r\n"
    root, found = parse(text, "a.yaml")
    assert found == []
    first, second = root.entries
    places = [(n.span.line, n.span.column, n.span.length) for n in (*first, *first[1].items)]
    assert places == [(2, 1, 2), (2, 5, 1), (2, 6, 1), (2, 9, 1)]
    block = second[1].items[0]
    assert (block.span.line, block.span.column) == (4, 5)
    assert (block.get("d").span.line, block.get("d").end_line) == (5, 7)


def test_words_are_found_inside_a_value():
    source = Source("a.yaml", 'text: "none"\nd: >\n  one\n  two {here}\n')
    root, _ = parse(source.text, source.file)
    span = source.find(root.get("d"), "{here}")
    assert (span.line, span.column, span.length) == (4, 7, 6)
    assert source.find(root.get("text"), "{here}") == root.get("text").span


def test_many_nodes_are_refused():
    _, found = parse("a: [" + "x," * 20_000 + "]\n", "a.yaml")
    assert [each.message for each in found] == ["the file holds more than 10,000 values"]


def test_nesting_is_counted_not_followed():
    for text in ("[" * 200_000, "- " * 100_000, "? " * 100_000, "{a: " * 60_000):
        root, found = parse(text, "a.yaml")
        assert root is None
        assert found[-1].code == "P000"


def test_size_is_counted_before_reading():
    assert parse("#" * (MAX_BYTES + 1), "a.yaml")[1][0].message == "the file is over 256 KiB"
    assert decode(b"#" * (MAX_BYTES + 1), "a.yaml")[1][0].message == "the file is over 256 KiB"


def test_a_byte_that_is_not_utf8_is_placed_after_a_mark_and_windows_lines():
    _, (found,) = decode(b"\xef\xbb\xbfa: 1\r\nb: \xe9\xa9\xff\r\n", "a.yaml")
    assert (found.span.line, found.span.column) == (2, 4)


def test_a_mark_inside_the_text_is_refused():
    _, (found,) = parse("a: x\nb: \ufeffy\n", "a.yaml")
    assert (found.span.line, found.span.column) == (2, 4)


def nodes(node):
    yield node
    for child in (*node.items, *(part for entry in node.entries for part in entry)):
        yield from nodes(child)


MARKS = "{}[]:,-?&*!|>'\"%@`#~\\ \n\t\r"
PIECES = ["\r\n", "key", "退", "a: b\n", "  ", "...", "---", "<<", "\\x", "0"]
YAML_LIKE = st.lists(st.sampled_from([*MARKS, *PIECES])).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), YAML_LIKE))
@example("a: \r\r\n- ")
@example('"\\UFFFFFFFF"')
@example("\ufeffa: b")
@example("&a *a")
@example("!!map {a: b}")
@example('? "\\ud800"\n: x')
def test_any_text_gives_places_inside_it(text):
    root, found = parse(text, "a.yaml")
    assert root is not None or found
    lines = Source("a.yaml", text).lines
    spans = [each.span for each in found] + [node.span for node in (nodes(root) if root else ())]
    for span in spans:
        assert 1 <= span.line <= len(lines)
        assert span.column >= 1
        assert span.length >= 1
        assert span.column + span.length - 1 <= max(1, len(lines[span.line - 1]))
    assert [each.span for each in found] == sorted(each.span for each in found)
    assert all("\n" not in each.message + (each.help or "") or "\n" in text for each in found)


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_any_bytes_give_text_or_a_reason(data):
    text, found = decode(data, "a.yaml")
    assert (text is None) == bool(found)
