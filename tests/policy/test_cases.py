from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.errors import PolicyError
from llm_judge.policy.cases import cases_path, load_cases, parse_cases
from llm_judge.policy.load import load_policy

HERE = Path(__file__).parent
POLICY = load_policy(HERE / "refund.yaml")
GOOD = (HERE / "refund.cases.yaml").read_text()


def test_good_cases_keep_their_place_and_order():
    cases = load_cases(cases_path(HERE / "refund.yaml"), POLICY)
    assert [case.expect for case in cases] == ["violates", "exempt", "clear"]
    assert [(case.rule, case.exemption, case.lang) for case in cases] == [
        ("RA1", None, "en"),
        ("RA1", "report", None),
        (None, None, None),
    ]
    assert [case.name for case in cases] == ["line 4", "line 8", "line 12"]
    assert not any(case.todo or case.media for case in cases)


def test_a_media_file_is_found_beside_the_cases(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(b"")
    path = tmp_path / "refund.cases.yaml"
    path.write_text(
        "schema: 1\npolicy: demo/refund\ncases:\n"
        '  - {id: pic, file: media/a.png, expect: clear, lang: "no", todo: true, note: a picture}\n'
    )
    (case,) = load_cases(path, POLICY)
    assert (case.name, case.media, case.todo, case.lang) == ("pic", tmp_path / "media" / "a.png", True, "no")


def test_media_cannot_be_written_as_a_key():
    _, found = parse_cases(GOOD.replace("lang: en", "media: x"), "refund.cases.yaml", POLICY)
    assert [each.message for each in found] == ["unknown key `media`"]


def test_a_missing_cases_file_is_named(tmp_path):
    with pytest.raises(PolicyError, match="there is no file"):
        load_cases(tmp_path / "none.cases.yaml", POLICY)


def test_windows_line_ends_change_nothing(tmp_path):
    path = tmp_path / "refund.cases.yaml"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    (plain, windows) = (load_cases(p, POLICY) for p in (HERE / "refund.cases.yaml", path))
    assert [case.model_dump() for case in windows] == [case.model_dump() for case in plain]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_edit_loads_or_is_explained(data):
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(start + 30, len(GOOD))))
    cases, found = parse_cases(GOOD[:start] + data.draw(st.text(max_size=6)) + GOOD[end:], "c.yaml", POLICY)
    assert (cases is None) == bool(found)


def test_the_shipped_cases_load():
    for path in sorted((HERE.parent.parent / "policies").rglob("*.cases.yaml")):
        policy = load_policy(path.with_name(path.name.replace(".cases.yaml", ".yaml")))
        assert load_cases(path, policy)
