"""Pages for readers: never stale, complete, and nothing a policy says can break out of them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from samples import make_policy, make_rule

from llm_judge.policy.cases import Case, cases_path, load_cases
from llm_judge.policy.codes import CODES
from llm_judge.policy.docs import doc_files, escaped, policy_page
from llm_judge.policy.guideline_book import guideline_book
from llm_judge.policy.load import scan_policies
from llm_judge.policy.model import Example, Policy, Status
from llm_judge.resources import content_folder

DOCS = Path(__file__).parent.parent.parent / "docs"
POLICIES = content_folder("policies")
HOSTILE = '<script>alert(1)</script> & "quotes" | `code` [a](b) **bold** # no'


def shipped() -> dict[str, str]:
    policies = scan_policies([POLICIES], frozenset(Status)).policies
    cases = {p.policy: load_cases(cases_path(POLICIES / f"{p.policy}.yaml"), p) for p in policies}
    return doc_files(policies, cases)


def test_the_pages_are_not_stale():
    made = shipped()
    there = {
        str(path.relative_to(DOCS))
        for path in [
            *(DOCS / "policies").rglob("*.md"),
            *(DOCS / "checks").rglob("*.md"),
            DOCS / "guidelines.html",
        ]
    }
    assert there == set(made), "run `llm-judge policy docs`"
    stale = [name for name, text in made.items() if (DOCS / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run `llm-judge policy docs`"


def test_links_between_pages_lead_somewhere():
    made = shipped()
    for name, text in made.items():
        for link in re.findall(r"\]\(([^)#]+\.(?:md|html))\)", text) if name.endswith(".md") else ():
            assert str((Path("/") / name).parent.joinpath(link).resolve())[1:] in made, (name, link)


def test_every_code_has_a_page_and_a_line_in_the_index():
    made = shipped()
    for code in CODES:
        assert f"checks/{code}.md" in made
        assert f"[{code}]({code}.md)" in made["checks/README.md"]


def policy_saying(text: str) -> Policy:
    rule = make_rule("R1", ("news",))
    rule = rule.model_copy(
        update={
            "title": text,
            "violates": f"{text} {{term}}",
            "exemptions": tuple(each.model_copy(update={"when": text}) for each in rule.exemptions),
            "examples": (Example(content=text, verdict="exempt", exemption="news", because=text),),
        }
    )
    update = {
        "title": text,
        "summary": text,
        "owner": text,
        "definitions": {"term": text},
        "maps_to": {text: (text,)},
    }
    return make_policy("a/b", (rule,)).model_copy(update=update)


class _Page(HTMLParser):
    """Collects tags, ids, links and the text outside the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_the_book_is_one_page_without_scripts_whose_links_lead_somewhere():
    page = _Page(shipped()["guidelines.html"])
    assert {"script", "link", "img", "iframe"} & set(page.tags) == set()
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "safety/hate:HS1" in ids
    links = [value for name, value in page.attributes if name == "href"]
    assert all(link and link.startswith("#") for link in links)
    assert {link[1:] for link in links if link} <= set(ids)


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"]), min_size=1)
    | st.just(HOSTILE)
)
def test_texts_of_a_policy_stay_texts_in_the_book(text):
    page, plain = (_Page(guideline_book([policy_saying(each)])) for each in (text, "plain"))
    assert page.tags == plain.tags
    assert [value for name, value in page.attributes if name == "id"] == [
        v for n, v in plain.attributes if n == "id"
    ]
    assert sum(text in each for each in page.texts) >= 7


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"]), min_size=1)
    | st.sampled_from(
        [
            HOSTILE,
            "1. one",
            "- a",
            "+",
            "===",
            "---",
            "> x",
            "~~~",
            "&lt;",
            "a_b_c",
            "\\",
            "|",
            "2) x",
            "http://x.y",
        ]
    )
)
def test_texts_of_a_policy_stay_texts_in_markdown(text):
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse(f"| {escaped(text)} | x |\n|---|---|\n\n{escaped(text)}\n")
    )
    shown = [token for token in tokens if token.type == "inline"]
    assert [token.type for token in tokens].count("paragraph_open") == 1
    assert len(shown) == 3
    for inline in (shown[0], shown[2]):
        assert {child.type for child in inline.children or ()} <= {"text", "text_special"}
        assert "".join(child.content for child in inline.children or ()) == text


def test_cases_are_counted_by_rule_and_by_what_they_expect():
    policy = make_policy("a/b", (make_rule("R1", ("news",)),))
    case = {"content": "x", "expect": "violates", "rule": "R1"}
    cases = [Case(**case), Case(**case, todo=True), Case(content="y", expect="clear")]
    page = policy_page(policy, cases)
    assert "| R1 | 2 | 0 | 0 | 1 |" in page
    assert "| no rule | 0 | 1 | 0 | 0 |" in page


@pytest.mark.parametrize("text", ["مرحبا (1)", "你好", "Grüße"])
def test_texts_of_any_direction_stand_alone(text):
    assert f'<td dir="auto">{text}</td>' in guideline_book([policy_saying(text)])
