"""What a well-formed policy can still mean wrongly: ids used twice, names that lead nowhere.

Works on the source tree, so it also runs where the shape is wrong, and one pass shows everything.
Knows nothing about files, prompts or models.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from llm_judge.policy.shape import suggestion
from llm_judge.source import Kind, Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_judge.diagnostics import Diagnostic

PLACEHOLDER = re.compile(r"\{([^{}\s]*)\}")
# Each may come with a suggestion, which takes time: a file with more is not mended one by one anyway.
MOST_PROBLEMS = 200


def check_policy(tree: SourceNode, source: Source) -> list[Diagnostic]:
    """Return what is wrong with the meaning of one policy, ``MOST_PROBLEMS`` at most.

    P101 an id is used twice; P104 a definition is used but not defined, or used where it is not
    replaced; P105 an example and its exemption do not fit; P107 an action names an unknown rule.
    """
    return list(islice(_problems(tree, source), MOST_PROBLEMS))


def _problems(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    rules = blocks(tree, "rules")
    yield from repeated_ids(rules, "rule", source)
    yield from _placeholders(tree, rules, source)
    for rule in rules:
        exemptions = blocks(rule, "exemptions")
        yield from repeated_ids(exemptions, "exemption", source)
        known = [_word(exemption, "id") for exemption in exemptions]
        for example in blocks(rule, "examples"):
            yield from _example(example, known, source)
    yield from _actions(tree, [_word(rule, "id") for rule in rules], source)


def repeated_ids(nodes: Iterable[SourceNode], what: str, source: Source) -> Iterator[Diagnostic]:
    """Yield P101 for every id that an earlier node of the list already has."""
    first: dict[str, int] = {}
    for node in nodes:
        at = node.get("id")
        if at is None or not at.text:
            continue
        if at.text in first:
            help_line = f"first used at line {first[at.text]}; ids appear in results and must be unique"
            yield source.error("P101", at.span, f"{what} id {quoted(at.text)} is already used", help_line)
        first.setdefault(at.text, at.span.line)


def _placeholders(tree: SourceNode, rules: tuple[SourceNode, ...], source: Source) -> Iterator[Diagnostic]:
    definitions = tree.get("definitions")
    entries = definitions.entries if definitions else ()
    if definitions is None or definitions.kind is Kind.MAPPING:
        known = {key.text: key for key, _ in entries}
        exempting = (exemption for rule in rules for exemption in blocks(rule, "exemptions"))
        filled = (rule.get("violates") for rule in rules), (item.get("when") for item in exempting)
        for text, name in _used(node for group in filled for node in group):
            if name not in known:
                span = source.find(text, f"{{{name}}}")
                message = f"{quoted('{' + name + '}')} is not defined"
                yield source.error("P104", span, message, suggestion(name, list(known), "definitions"))
    plain = (tree.get("summary"), *(rule.get("title") for rule in rules), *(value for _, value in entries))
    for text, name in _used(plain):
        message = f"{quoted('{' + name + '}')} is not replaced here"
        help_line = "write the words out; definitions are replaced in `violates` and `when` only"
        yield source.error("P104", source.find(text, f"{{{name}}}"), message, help_line)


def _used(texts: Iterable[SourceNode | None]) -> Iterator[tuple[SourceNode, str]]:
    for text in texts:
        for name in dict.fromkeys(PLACEHOLDER.findall(text.text if text else "")):
            if text:
                yield text, name


def _example(example: SourceNode, known: list[str], source: Source) -> Iterator[Diagnostic]:
    verdict, cited = example.get("verdict"), example.get("exemption")
    if verdict and verdict.text == "exempt" and cited is None:
        message = "verdict `exempt` needs an `exemption`"
        yield source.error("P105", verdict.span, message, suggestion("", known, "exemptions of this rule"))
    if cited is None or not cited.text:
        return
    if cited.text not in known:
        message = f"unknown exemption {quoted(cited.text)}"
        yield source.error(
            "P105", cited.span, message, suggestion(cited.text, known, "exemptions of this rule")
        )
    if verdict and verdict.text in ("violates", "clear"):
        message = f"an example with verdict `{verdict.text}` cannot cite an exemption"
        yield source.error("P105", cited.span, message, "write `verdict: exempt`, or delete this line")


def _actions(tree: SourceNode, known: list[str], source: Source) -> Iterator[Diagnostic]:
    ids = set(known)
    for step in blocks(tree, "actions"):
        cited = step.get("rules")
        for name in cited.items if cited else ():
            if name.text and name.text not in ids:
                message = f"unknown rule {quoted(name.text)}"
                yield source.error("P107", name.span, message, suggestion(name.text, known, "rules"))


def blocks(node: SourceNode, name: str) -> tuple[SourceNode, ...]:
    """Return the blocks in the list under a key, and nothing where there is no such list."""
    value = node.get(name)
    return tuple(item for item in value.items if item.kind is Kind.MAPPING) if value else ()


def _word(node: SourceNode, name: str) -> str:
    value = node.get(name)
    return value.text if value else ""
