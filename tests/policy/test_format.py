"""One form for every file, with the same meaning and every comment where it belongs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from untidy_yaml import Untidy, case_files, policies

from llm_judge.policy.format import format_text
from llm_judge.resources import content_folder

BAD = Path(__file__).parent.parent / "bad_policies"
SHIPPED = sorted(
    [
        *content_folder("policies").rglob("*.yaml"),
        *(content_folder("evals") / "bench" / "policies").rglob("*.yaml"),
        *(content_folder("finetune") / "areas").glob("*.yaml"),
    ]
)
EXAMPLES = 1000 if os.environ.get("LLM_JUDGE_FUZZ") else 100

UNTIDY = """\
# house rules

policy: demo/plants   # where it stands
schema: 1
version: "1.0.0"
title: 'Plants: care'
summary: >
  Plants that are
  treated badly.
status: draft
owner: garden
modalities:
- text
- image  # photos only
rules:
# the first one
- severity: 3
  # keep it short
  violates: Drowns a plant.
  title: Drowning
  id: P1
  exemptions:
  - {when: "In water on purpose, as with lilies", id: "lily"}
  # more exemptions to come
- id: P2
  title: "No"
  violates: |
    Two
    lines
  severity: 2
  examples: []
actions:
- {do: remove, severity_at_least: 3} # hard
- do: review
  probability_at_least: 0.50
otherwise: allow
on_error: review
# the end
"""
TIDY = """\
# house rules

schema: 1
policy: demo/plants # where it stands
version: 1.0.0
title: "Plants: care"
summary: |
  Plants that are treated badly.
status: draft
owner: garden
modalities:
  - text
  - image # photos only

rules:
  # the first one
  - id: P1
    title: Drowning
    # keep it short
    violates: Drowns a plant.
    severity: 3
    exemptions:
      - id: lily
        when: In water on purpose, as with lilies
      # more exemptions to come

  - id: P2
    title: "No"
    violates: |
      Two
      lines
    severity: 2
    examples: []

actions:
  - {severity_at_least: 3, do: remove} # hard
  - {probability_at_least: 0.50, do: review}
otherwise: allow
on_error: review
# the end
"""
CASES = """\
schema: 1
policy: a/b
cases:
  - {content: "Buy it, now", expect: violates, rule: R1}
  # the others
  - content: He said "no"
    expect: clear
    # not yet
    todo: true

  - {content: "x", expect: clear, lang: "no"}
"""
OVERLAY = """\
schema: 1
overlay: winter
version: 1.0.0
title: Winter
owner: garden
applies_to:
  markets: [DE]

changes:
  - policy: demo/plants
    because: It is cold.
    rules:
      - rule: P1
        raise_severity_to: 4 # frost
      - rule: P2
        switch_off: true

  - policy: demo/trees
    because: It is colder.
    otherwise: review
"""


def formatted(text: str, path: Path) -> str:
    written, found = format_text(text, path)
    assert found == []
    assert written is not None
    return written


def test_a_whole_policy(tmp_path):
    assert formatted(UNTIDY, tmp_path / "a.yaml") == TIDY


def test_cases_are_one_line_each_and_blank_lines_between_groups_stay(tmp_path):
    text = """\
cases:
  - rule: R1
    expect: violates
    content: Buy it, now
  # the others


  - expect: clear
    content: 'He said "no"'
    # not yet
    todo: true

  - {content: x, expect: clear, lang: "no"}
policy: a/b
schema: 1
"""
    assert formatted(text, tmp_path / "b.cases.yaml") == CASES


KINDS = [
    ("policy", "garden/a.yaml", TIDY),
    ("cases", "garden/a.cases.yaml", CASES),
    ("overlay", "overlays/a.yaml", OVERLAY),
]


@pytest.mark.parametrize("line", ["", "# yaml-language-server: $schema=elsewhere/policy.schema.json\n"])
@pytest.mark.parametrize(("kind", "name", "text"), KINDS, ids=lambda word: word[:8])
def test_the_first_line_leads_to_the_schema(tmp_path, line, kind, name, text):
    schema = tmp_path / "policies" / "schema" / f"{kind}.schema.json"
    schema.parent.mkdir(parents=True)
    schema.write_text("{}")
    first = f"# yaml-language-server: $schema=../schema/{kind}.schema.json\n"
    assert formatted(line + text, tmp_path / "policies" / name) == first + text


def test_an_address_of_a_schema_and_a_line_without_any_stay(tmp_path):
    line = "# yaml-language-server: $schema=https://policies.example/policy.schema.json\n"
    assert formatted(line + TIDY, tmp_path / "a.yaml").startswith(line)
    assert "language-server" not in formatted(TIDY, tmp_path / "a.yaml")


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.name)
def test_a_file_with_wrong_syntax_or_shape_is_left_alone(path):
    text = path.read_bytes().decode("utf-8", "replace")
    written, found = format_text(text, path)
    wrong_shape = "error[P0" in path.with_suffix(".txt").read_text(encoding="utf-8")
    if written is None:
        assert found
        assert wrong_shape
    else:
        assert formatted(written, path) == written


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_are_formatted_and_keep_their_meaning_when_they_were_not(path):
    text = path.read_text(encoding="utf-8")
    assert formatted(text, path) == text, "run `llm-judge policy fmt -w`"
    untidy = Untidy(Random(path.name))
    once = formatted(untidy.text(yaml.safe_load(text)), path)
    assert yaml.safe_load(once) == yaml.safe_load(text)
    assert sorted(re.findall(r"# (c\d+) 'say", once)) == sorted(untidy.comments)
    assert formatted(once, path) == once


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.one_of(policies, case_files), random=st.randoms(use_true_random=False))
def test_any_file_keeps_its_meaning_and_its_comments(data, random):
    untidy = Untidy(random)
    text = untidy.text(data)
    path = Path("/nowhere/b.cases.yaml" if "cases" in data else "/nowhere/hate.yaml")
    once = formatted(text, path)
    assert yaml.safe_load(once) == data
    assert sorted(re.findall(r"# (c\d+) 'say", once)) == sorted(untidy.comments)
    assert formatted(once, path) == once
    assert once.endswith("\n")
    assert "\r" not in once
