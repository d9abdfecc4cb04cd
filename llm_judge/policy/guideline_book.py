"""The guidelines as one HTML page that people read and print.

Self-contained: no script, no font and no address outside. Every text of a policy is escaped, and texts of
any language keep their direction. Writes no files.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from llm_judge.policy.in_words import ANSWERS, Term, ladder, listed, parts, severity, spoken, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_judge.policy.model import Example, Policy, Rule

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #555d6b; --paper: #fff; --line: #d5d9e0;
  --tint: #f4f6f9; --link: #0b57d0; --bad: #a3170f; --good: #0c6b3b; --exempt: #7a4b00; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e7e9ee; --soft: #adb4c0; --paper: #14171c;
  --line: #3a404b; --tint: #1d2229; --link: #9cc2ff; --bad: #ff9d94; --good: #7fdba8; --exempt: #f2c070; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 54rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: break-word; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 .5rem; }
h1 { font-size: 2rem; margin-top: 0; } h2 { font-size: 1.6rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1.35rem; } h4 { font-size: 1.1rem; }
p, ul, table { margin: .5rem 0 1rem; } a { color: var(--link); } a:focus-visible { outline: 3px solid; }
.soft, caption { color: var(--soft); } .lead { font-size: 1.1rem; }
nav ul { list-style: none; padding-left: 1rem; } nav li { margin: .15rem 0; }
table { width: 100%; border-collapse: collapse; font-size: .95rem; }
caption { text-align: left; padding: .25rem 0; font-weight: 600; }
th, td { border: 1px solid var(--line); padding: .4rem .6rem; vertical-align: top; text-align: start; }
th { background: var(--tint); }
.examples { table-layout: fixed; } .examples th { width: 33%; }
.examples th:nth-child(2) { width: 20%; } .examples th:first-child { width: 47%; }
.rule { border-left: 4px solid var(--line); padding-left: 1rem; margin: 1.5rem 0; }
.rule h4 { margin-top: 0; } .id { color: var(--soft); font-weight: 400; }
.violates { color: var(--bad); } .clear { color: var(--good); } .exempt { color: var(--exempt); }
.answer { font-weight: 600; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: 1rem; }
@media print { @page { margin: 18mm 16mm; } body { max-width: none; padding: 0; font-size: 10.5pt; }
  .policy, .group > h2 { break-before: page; } .group > h2 + .policy { break-before: avoid; }
  h2, h3, h4, caption { break-after: avoid; } tr, .rule > p, li { break-inside: avoid; }
  a { color: inherit; text-decoration: none; } nav a::after { content: none; } .skip { display: none; } }
"""


def guideline_book(policies: Sequence[Policy], title: str = "Community Guidelines") -> str:
    """Return the page: a table of contents, then every policy, group by group.

    Anchors stay the same as long as ids do: ``#safety/hate`` for a policy, ``#safety/hate:HS1`` for a rule.
    """
    groups: dict[str, list[Policy]] = {}
    for policy in sorted(policies, key=lambda policy: policy.policy):
        groups.setdefault(policy.policy.split("/")[0], []).append(policy)
    rules = sum(len(policy.rules) for policy in policies)
    body = [
        '<a class="skip" href="#text">Skip the contents</a>',
        f"<header><h1>{_text(title)}</h1>",
        f'<p class="soft">{len(policies)} policies, {rules} rules.</p></header>',
        _contents(groups),
        '<main id="text">',
        *(_group(name, members) for name, members in groups.items()),
        "</main>",
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<!-- Written by `llm-judge policy docs`: edit the policies instead. -->\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(body) + "\n</body>\n</html>\n"


def _text(text: str) -> str:
    return escape(visible(text), quote=True)


def _free(tag: str, text: str) -> str:
    """Return an element for a text of any language, which then cannot turn what stands around it."""
    return f'<{tag} dir="auto">{_text(text)}</{tag}>'


def _contents(groups: dict[str, list[Policy]]) -> str:
    rows = []
    for name, members in groups.items():
        links = "".join(f'<li><a href="#{p.policy}">{_text(p.title)}</a></li>' for p in members)
        rows.append(f'<li><a href="#{name}">{_text(spoken(name).capitalize())}</a><ul>{links}</ul></li>')
    return f'<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ul>{"".join(rows)}</ul></nav>'


def _group(name: str, members: Iterable[Policy]) -> str:
    inside = "\n".join(_policy(policy) for policy in members)
    heading = f'<h2 id="{name}">{_text(spoken(name).capitalize())}</h2>'
    return f'<section class="group" aria-labelledby="{name}">{heading}\n{inside}</section>'


def _policy(policy: Policy) -> str:
    name = policy.policy
    trial = " · on trial" if policy.status == "test" else ""
    facts = f"{name} · version {policy.version}{trial} · {policy.owner} · for {', '.join(policy.modalities)}"
    rows = [
        f'<section class="policy" aria-labelledby="{name}">',
        f'<h3 id="{name}" dir="auto">{_text(policy.title)}</h3>',
        f'<p class="lead" dir="auto">{_text(policy.summary)}</p>',
        _free('p class="soft"', facts).replace('</p class="soft">', "</p>"),
        _definitions(policy),
        *(_rule(rule, policy) for rule in policy.rules),
        _ladder(policy),
        "</section>",
    ]
    return "\n".join(row for row in rows if row)


def _definitions(policy: Policy) -> str:
    rows = (
        f'<li id="{policy.policy}:{name}"><strong>{_text(spoken(name))}</strong>: '
        f"<bdi>{_text(text)}</bdi></li>"
        for name, text in policy.definitions.items()
    )
    inside = "".join(rows)
    return f"<p>In this policy:</p><ul>{inside}</ul>" if inside else ""


def _rule(rule: Rule, policy: Policy) -> str:
    anchor = f"{policy.policy}:{rule.id}"
    only = f" Only for {_text(listed(rule.modalities))}." if rule.modalities else ""
    floor = " Applies everywhere." if rule.floor else ""
    rows = [
        f'<div class="rule"><h4 id="{anchor}"><span class="id">{_text(rule.id)}</span> '
        f"<bdi>{_text(rule.title)}</bdi></h4>",
        f'<p dir="auto">{_with_terms(rule.violates, policy)}</p>',
        f'<p class="soft">Severity {_text(severity(rule.severity))}.{only}{floor}</p>',
    ]
    if rule.exemptions:
        allowed = "".join(
            f"<li><em>{_text(spoken(e.id))}</em>: <bdi>{_with_terms(e.when, policy)}</bdi></li>"
            for e in rule.exemptions
        )
        rows.append(f"<p>Allowed all the same:</p><ul>{allowed}</ul>")
    if rule.examples:
        head = '<tr><th scope="col">Example</th><th scope="col">Answer</th><th scope="col">Because</th></tr>'
        cells = "".join(_example(example) for example in rule.examples)
        rows.append(f'<table class="examples"><thead>{head}</thead><tbody>{cells}</tbody></table>')
    return "\n".join(rows) + "</div>"


def _example(example: Example) -> str:
    reason = f" ({_text(spoken(example.exemption))})" if example.exemption else ""
    answer = f'<td class="answer {example.verdict}">{ANSWERS[example.verdict]}{reason}</td>'
    return f"<tr>{_free('td', example.content)}{answer}{_free('td', example.because)}</tr>"


def _ladder(policy: Policy) -> str:
    cells = "".join(f"<tr><td>{_text(when)}</td><td>{_text(what)}</td></tr>" for when, what in ladder(policy))
    head = '<tr><th scope="col">When</th><th scope="col">What is done</th></tr>'
    caption = "What is done: the first line that fits counts"
    return f"<table><caption>{caption}</caption><thead>{head}</thead><tbody>{cells}</tbody></table>"


def _with_terms(text: str, policy: Policy) -> str:
    shown = (
        f'<a href="#{policy.policy}:{part.name}">{_text(part.words)}</a>'
        if isinstance(part, Term)
        else _text(part)
        for part in parts(text, policy)
    )
    return "".join(shown)
