"""What a suite cites and how its keys fit together, checked with the place of each mistake.

Knows nothing about how suites are read from files or what their rows hold.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.policy.shape import suggestion
from llm_judge.source import Kind, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import Policy
    from llm_judge.source import Source, SourceNode

    Rules = Mapping[str, Sequence[str]]  # ids of the rules of each policy

MOST_PROBLEMS = 100
CODES = {
    "E101": "the suite cites an unknown policy",
    "E102": "the suite cites an unknown rule",
    "E103": "the suite is composed of a suite that does not exist, or is composed itself",
    "E104": "keys of the suite do not fit together",
    "E105": "the id of the suite is not the name of its file",
}
_PLAIN_ONLY = frozenset(
    {"sources", "languages", "content_types", "only", "agreement_at_least", "context", "harmful", "labels"}
)


def known_rules(policies: Sequence[Policy]) -> dict[str, tuple[str, ...]]:
    """Return the ids of the rules of each policy."""
    return {policy.policy: tuple(rule.id for rule in policy.rules) for policy in policies}


def check_suite(
    tree: SourceNode, source: Source, rules: Rules, suites: Mapping[str, bool]
) -> list[Diagnostic]:
    """Return what is wrong beyond the shape, ``MOST_PROBLEMS`` at most.

    Args:
        tree: the suite.
        rules: ids of the rules of each policy that may be cited.
        suites: id of each suite that may be a part → whether it is composed itself.
    """
    return list(islice(_check(tree, source, rules, suites), MOST_PROBLEMS))


def _check(
    tree: SourceNode, source: Source, rules: Rules, suites: Mapping[str, bool]
) -> Iterator[Diagnostic]:
    if tree.kind is not Kind.MAPPING:
        return
    yield from _check_name(tree, source)
    yield from _check_keys(tree, source)
    for node in _items(tree, "policies"):
        yield from _check_policy(node, source, rules)
    seen: set[str] = set()
    for block in _items(tree, "labels"):
        yield from _check_labels(block, source, rules, seen)
    for part in _items(tree, "compose"):
        yield from _check_part(part, source, suites)


def _check_name(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    named, stem = tree.get("suite"), Path(source.file).stem
    if named and named.text and named.text != stem:
        message = f"suite {quoted(named.text)} stands in {quoted(Path(source.file).name)}"
        yield source.error("E105", named.span, message, f"write `suite: {stem}`, or rename the file")


def _check_keys(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    reads, compose = tree.get("reads"), tree.get("compose")
    if (reads is None) == (compose is None):
        at = compose or tree.get("suite") or tree
        help_line = "a plain suite has `reads`, a composed one `compose`"
        yield source.error(
            "E104", at.span, "a suite has `reads` or `compose`, and only one of them", help_line
        )
    elif reads and reads.text in ("texts", "images", "audio") and not tree.get("sources"):
        message = f"`reads: {reads.text}` needs `sources`"
        yield source.error("E104", reads.span, message, "name values of the column `source`")
    for key, _ in tree.entries:
        if compose and key.text in _PLAIN_ONLY:
            message = f"a composed suite has no `{key.text}` of its own"
            yield source.error("E104", key.span, message, "write it in the suites it is composed of")
    partly = tree.get("partly")
    if partly and partly.value is True and not tree.get("unknown"):
        yield source.error("E104", partly.span, "`partly: true` needs `unknown`", "say what is not known")


def _check_policy(node: SourceNode, source: Source, rules: Rules) -> Iterator[Diagnostic]:
    if node.text and node.text not in rules:
        message = f"there is no policy {quoted(node.text)}"
        yield source.error("E101", node.span, message, suggestion(node.text, list(rules), "policies"))


def _check_labels(block: SourceNode, source: Source, rules: Rules, seen: set[str]) -> Iterator[Diagnostic]:
    policy = block.get("policy")
    if policy is None or not policy.text:
        return
    if policy.text in seen:
        message = f"{quoted(policy.text)} has labels twice"
        yield source.error("E104", policy.span, message, "make one block of them")
    seen.add(policy.text)
    yield from _check_policy(policy, source, rules)
    positive = {node.text for node in _items(block, "violates")}
    for node in _items(block, "unclear"):
        if node.text in positive:
            message = f"label {quoted(node.text)} is in `violates` and in `unclear`"
            yield source.error("E104", node.span, message, "keep one of them")
    named = block.get("rules")
    for label, rule in named.entries if named else ():
        if label.text not in positive:
            message = f"label {quoted(label.text)} names a rule but is not in `violates`"
            yield source.error(
                "E104", label.span, message, suggestion(label.text, sorted(positive), "labels")
            )
        known = rules.get(policy.text)
        if known is not None and rule.text and rule.text not in known:
            message = f"policy `{policy.text}` has no rule {quoted(rule.text)}"
            yield source.error("E102", rule.span, message, suggestion(rule.text, known, "rules"))


def _check_part(part: SourceNode, source: Source, suites: Mapping[str, bool]) -> Iterator[Diagnostic]:
    named = part.get("suite")
    if named is None or not named.text:
        return
    if named.text not in suites:
        plain = sorted(name for name, composed in suites.items() if not composed)
        message = f"there is no suite {quoted(named.text)}"
        yield source.error("E103", named.span, message, suggestion(named.text, plain, "suites"))
    elif suites[named.text]:
        message = f"suite `{named.text}` is composed itself"
        yield source.error("E103", named.span, message, "name the suites it is composed of")


def _items(block: SourceNode, key: str) -> tuple[SourceNode, ...]:
    listed = block.get(key)
    return listed.items if listed and listed.kind is Kind.SEQUENCE else ()
