"""Every wrong policy has its expected message beside it; adding a check is adding a file pair."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_judge.diagnostics import to_text
from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.cases import parse_cases
from llm_judge.policy.load import load_policies, load_policy, parse_policy, scan_policies, select
from llm_judge.source import decode

HERE = Path(__file__).parent
BAD = sorted((HERE.parent / "bad_policies").glob("*.yaml"))
GOOD = (HERE / "refund.yaml").read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_wrong_file_gives_its_message(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    text, found = decode(path.read_bytes(), path.name)
    loaded = None
    if text is not None and path.name.endswith(".cases.yaml"):
        loaded, found = parse_cases(text, path.name, load_policy(HERE / "refund.yaml"))
    elif text is not None:
        loaded, found = parse_policy(text, path.name)
    golden = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(to_text(found))
    assert loaded is None
    assert to_text(found) == golden.read_text()


def test_two_keys_cannot_mean_the_same_one():
    _, found = parse_policy(GOOD.replace("severity: 3", "severty: 3\n    severitty: 2"), "a.yaml")
    assert [(each.message, each.help[:12]) for each in found] == [
        ("unknown key `severty`", "did you mean"),
        ("unknown key `severitty`", "allowed keys"),
    ]


def folder(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_good_policy_keeps_where_it_was_written():
    policy = load_policy(HERE / "refund.yaml")
    rule = policy.rules[0]
    assert (policy.at.line, policy.at.column, policy.at.length) == (2, 9, len("demo/refund"))
    assert (rule.at.line, rule.at.column, rule.at.length) == (12, 9, len("RA1"))
    assert (rule.exemptions[0].at.line, rule.examples[0].at.line) == (17, 20)
    assert [step.at.line for step in policy.actions] == [28, 29]
    assert policy.version == "1.2.0"
    assert policy.actions[1].probability_at_least == 0.5


def test_windows_line_ends_a_mark_and_comments_change_nothing(tmp_path):
    path = tmp_path / "refund.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "  # note\n").replace("\n", "\r\n").encode())
    assert load_policy(path).model_dump() == load_policy(HERE / "refund.yaml").model_dump()


def test_windows_line_ends_keep_the_place():
    _, found = parse_policy(GOOD.replace("stable", "stabel").replace("\n", "\r\n"), "refund.yaml")
    assert to_text(found) == (
        "refund.yaml:6:9: error[P003] `status` cannot be `stabel`\n  |\n6 | status: stabel\n"
        "  |         ^^^^^^\n  = help: did you mean `stable`?\n"
    )


@pytest.mark.parametrize("size", [256 * 1024 + 1, 300_000])
def test_a_large_file_is_refused(tmp_path, size):
    path = tmp_path / "big.yaml"
    path.write_text(GOOD + "#" * (size - len(GOOD)))
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.diagnostics[0].message == "the file is over 256 KiB"


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    for path, words in [
        (tmp_path / "none.yaml", "there is no file"),
        (tmp_path, "is a folder"),
        (Path("/dev/zero"), "is not a plain file"),
        (tmp_path / "a\0b", "cannot be read"),
        (tmp_path / ("x" * 5000), "cannot be read"),
    ]:
        with pytest.raises(PolicyError, match=words) as caught:
            load_policy(path)
        assert "\n" not in caught.value.message


def test_a_folder_gives_policies_by_id_and_says_what_it_leaves_out(tmp_path):
    root = folder(
        tmp_path,
        demo__refund=GOOD,
        area__second=GOOD.replace("demo/refund", "area/second").replace("stable", "test"),
        area__draft=GOOD.replace("demo/refund", "area/draft").replace("stable", "draft"),
        schema__not_one="x",
        **{".hidden__not_one": "x"},
        overlays__not_one="x",
    )
    (root / "demo" / "refund.cases.yaml").write_text("x")
    (root / "demo" / "old.yml").write_text("x")
    (root / "demo" / ".hidden.yaml").write_text("x")
    loaded = scan_policies([root])
    assert [policy.policy for policy in loaded.policies] == ["area/second", "demo/refund"]
    assert [(skip.file.name, skip.reason) for skip in loaded.skipped] == [
        ("draft.yaml", "its status is `draft`"),
        ("old.yml", "its name must end in `.yaml`"),
    ]
    assert [p.policy for p in load_policies([root / "area" / "draft.yaml"])] == ["area/draft"]
    twice = load_policies([root, root / "area", root / "demo" / "refund.yaml"])
    assert [p.policy for p in twice] == ["area/second", "demo/refund"]


def test_a_folder_shows_every_problem_of_every_file(tmp_path):
    root = folder(
        tmp_path,
        a__one=GOOD.replace("demo/refund", "a/one").replace("severity: 4", "severty: 4"),
        b__two=GOOD.replace("demo/refund", "b/twe"),
        c__three=GOOD.replace("demo/refund", "c/three"),
        d__c__three=GOOD.replace("demo/refund", "c/three"),
    )
    with pytest.raises(PolicyError) as caught:
        load_policies([root])
    assert caught.value.message == "3 errors in 3 files"
    shown = [(found.code, found.message, found.help) for found in caught.value.diagnostics]
    assert shown == [
        ("P002", "unknown key `severty`", "did you mean `severity`?"),
        (
            "P110",
            "policy id `b/twe` does not match the file's place",
            "write `policy: b/two`, or move the file",
        ),
        (
            "P111",
            "policy id `c/three` is already used",
            f"first used at {root / 'c' / 'three.yaml'}:2",
        ),
    ]


def test_a_folder_without_policies_is_an_error(tmp_path):
    with pytest.raises(PolicyError, match="no policy to judge by") as caught:
        load_policies([folder(tmp_path, demo__refund=GOOD.replace("stable", "draft"))])
    assert "its status is `draft`" in caught.value.hint


def test_the_shipped_policies_load():
    shipped = HERE.parent.parent / "policies"
    ids = [policy.policy for policy in load_policies([shipped])]
    assert {"safety/hate", "health/self_harm", "regulated/fraud"} <= set(ids)
    assert ids == sorted(ids)


def test_select_takes_policies_and_single_rules():
    one = load_policy(HERE / "refund.yaml")
    two = one.model_copy(update={"policy": "demo/other"})
    assert select([one, two], []) == (one, two)
    assert select([one, two], ["demo/other"]) == (two,)
    picked = select([one, two], ["demo/refund#RA2", "demo/other"])
    assert [[rule.id for rule in policy.rules] for policy in picked] == [["RA2"], ["RA1", "RA2"]]
    assert select([one], ["demo/refund#RA2", "demo/refund"]) == (one,)


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ("demo/refnud", "there is no policy `demo/refnud`", "did you mean `demo/refund`?"),
        ("hate", "there is no policy `hate`", "policies: `demo/refund`"),
        ("demo/refund#ra2", "policy `demo/refund` has no rule `ra2`", "did you mean `RA2`?"),
        ("demo/refund#", "policy `demo/refund` has no rule ``", "rules of `demo/refund`: `RA1`, `RA2`"),
    ],
)
def test_select_names_what_it_does_not_know(wanted, message, hint):
    with pytest.raises(UsageError) as caught:
        select([load_policy(HERE / "refund.yaml")], [wanted])
    assert (caught.value.message, caught.value.hint) == (message, hint)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_load_or_are_a_policy_error(tmp_path, data):
    path = tmp_path / "any.yaml"
    path.write_bytes(data)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.diagnostics


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_edit_of_a_policy_loads_or_is_explained(data):
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(start + 30, len(GOOD))))
    signs = st.sampled_from(["{", "[", "- ", ": ", "\n", "&a ", "|", "7", "no"])
    new = data.draw(st.text(max_size=6) | signs)
    text = GOOD[:start] + new + GOOD[end:]
    policy, found = parse_policy(text, "edited.yaml")
    assert (policy is None) == bool(found)
    lines = len(text) + 1
    assert all(1 <= each.span.line <= lines and "\n" not in each.message for each in found)
    assert "pydantic" not in to_text(found)
