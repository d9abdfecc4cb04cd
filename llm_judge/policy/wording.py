"""Wording that models and people read in two ways: vague words, double negatives, mixed conditions.

Every check is a short list of English patterns, chosen to be silent rather than wrong, and works on
the source tree. Other languages give no findings. Knows nothing about prompts beyond the few strings
an answer is made of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llm_judge.policy.check import PLACEHOLDER, blocks
from llm_judge.policy.codes import report
from llm_judge.source import Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Diagnostic

EXAMPLE_TOKENS = 120  # rough tokens one example may cost; every request reads every example

_TOO_LONG = 4000  # characters; such a text is refused anyway

_VAGUE = re.compile(
    r"\b(inappropriate(?:ly)?|offensive(?:ly)?|objectionable|unacceptabl[ey]|improper(?:ly)?|problematic|"
    r"questionable|indecent(?:ly)?|harmful(?:ly)?|abusive(?:ly)?|toxic|disturbing|unsuitable|undesirable|"
    r"bad|nasty|sensitive|excessive(?:ly)?|in poor taste|low[- ]quality|etc|and so on|and the like|"
    r"or similar|or the like|and more)\b",
    re.I,
)
_SECOND_CONDITION = re.compile(
    r"[.!?]\s+(?=[A-Z{])|;\s|\b(?:additionally|furthermore|moreover|in addition|and also|or also)\b|"
    r"\b(?:and|or) (?:if|when|where|whenever)\b|\band/or\b"
)
_NEGATION = r"(?:not|no|never|none|nobody|nothing|without|neither|cannot|unless|[a-z]+n['’]t)"
# Two negations with no joint between them, or one before a word that is a negation itself.
_DOUBLE = re.compile(
    rf"\b{_NEGATION}\b(?:\s+(?!and\b|or\b|nor\b|but\b|that\b)[\w'’{{}}-]+){{0,3}}\s+{_NEGATION}\b|"
    r"\b(?:not|never|cannot|isn['’]t|aren['’]t)\s+(?:be\s+)?(?:un(?!der|til|less|ion|it|ique|ivers|cle)[a-z]{4,}|"
    r"illegal(?:ly)?|unlawful|impossible|improper|incorrect|inaccurate|dishonest|irrelevant|absent|lacking|"
    r"fail(?:s|ed)?\s+to|refuse(?:s|d)?\s+to|prohibit(?:s|ed)?|forbid(?:s|den)?)\b",
    re.I,
)
_INTENT = re.compile(
    r"^(?:(?:content|posts?|texts?|anything|something|messages?|material)\s+)?"
    r"(?:(?:that|which)\s+)?(?:is\s+|are\s+)?"
    r"(?:(?:intend|want|wish|hope|aim|mean|plan)(?:s|ed|ing)?\s+to|"
    r"(?:intended|meant|designed|aimed)\s+(?:to|at)|"
    r"(?:has|have|with)\s+(?:the|an|a)?\s*(?:intent|intention|aim|purpose|goal)(?:ion)?\s+(?:to|of))\b",
    re.I,
)
_CONTROL_TOKEN = re.compile(
    r"<\|[^|<>]{1,40}\|>|\[/?INST\]|</?s>|<</?SYS>>|</?think>|<(?:start|end)_of_turn>", re.I
)
_FENCE = "```"
_ANSWER_KEY = re.compile(
    r"[{,]\s*\"[^\"]{1,40}\"\s*:|\"(?:verdict|evidence|rationale|severity|exemption)\"|```"
)
_ANSWER_ORDER = re.compile(
    r"\b(?:answer|reply|respond|output|return)\s+(?:only\s+|with\s+)*[\"'“‘`]?(?:yes|no|except)[\"'”’`]?"
    r"(?=\s*(?:[.,;:!?]|$))|\b(?:say|write)\s+[\"'“‘`](?:yes|no|except)[\"'”’`]",
    re.I,
)


class _Text(NamedTuple):
    """One text of a policy and what it is: ``violates``, ``when``, ``content`` and so on."""

    key: str
    node: SourceNode


def check_wording(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Yield P201 to P206 for the texts of one policy."""
    definitions = tree.get("definitions")
    terms = [key.text for key, _ in definitions.entries] if definitions else []
    for text in _texts(tree):
        if text.key in ("violates", "when"):
            yield from _vague(text.node, terms, source)
            yield from _double_negative(text.node, source)
        if text.key == "violates":
            yield from _conditions(text.node, source)
            yield from _intent(text.node, source)
        if text.key == "content":
            yield from _over_budget(text.node, source)
        yield from _collision(text, source)


def _texts(tree: SourceNode) -> Iterator[_Text]:
    definitions = tree.get("definitions")
    yield from _named(tree, "title", "summary")
    for _, value in definitions.entries if definitions else ():
        if len(value.text) <= _TOO_LONG:
            yield _Text("definition", value)
    for rule in blocks(tree, "rules"):
        yield from _named(rule, "title", "violates")
        for exemption in blocks(rule, "exemptions"):
            yield from _named(exemption, "when")
        for example in blocks(rule, "examples"):
            yield from _named(example, "content", "because")


def _named(node: SourceNode, *keys: str) -> Iterator[_Text]:
    yield from (
        _Text(key, value)
        for key in keys
        if (value := node.get(key)) and 0 < len(value.text.strip()) <= _TOO_LONG
    )


def _vague(node: SourceNode, terms: list[str], source: Source) -> Iterator[Diagnostic]:
    plain = PLACEHOLDER.sub(lambda match: " " * len(match.group()), node.text)
    for word in dict.fromkeys(_VAGUE.findall(plain)):
        term = next((t for t in terms if word.casefold() in t.casefold().split("_")), None)
        help_line = f"write `{{{term}}}`" if term else "say what can be seen or heard, or define the word"
        message = f"{quoted(word)} means something else to every reader"
        yield report(source, "P201", source.find(node, word), message, help_line)


def _conditions(node: SourceNode, source: Source) -> Iterator[Diagnostic]:
    if match := _SECOND_CONDITION.search(node.text):
        words = match.group()
        if not words.strip()[-1:].isalpha():  # a full stop or semicolon: show where the second one begins
            words += node.text[match.end() :].split(maxsplit=1)[0] if node.text[match.end() :].strip() else ""
        message = "this rule holds two conditions"
        help_line = "make two rules of it, so that each can be judged apart"
        yield report(source, "P202", source.find(node, words), message, help_line)


def _double_negative(node: SourceNode, source: Source) -> Iterator[Diagnostic]:
    for clause in re.split(r"[.,;:]\s", node.text):
        if match := _DOUBLE.search(clause):
            span = source.find(node, match.group())
            yield report(
                source, "P203", span, f"{quoted(match.group())} is a double negative", "say it positively"
            )
            return


def _intent(node: SourceNode, source: Source) -> Iterator[Diagnostic]:
    if match := _INTENT.match(node.text):
        message = "this rule rests on an intent that nobody can see"
        help_line = "say what is done, said or shown, and leave the intent out"
        yield report(source, "P204", source.find(node, match.group().strip()), message, help_line)


def _over_budget(node: SourceNode, source: Source) -> Iterator[Diagnostic]:
    cost = rough_tokens(node.text)
    if cost > EXAMPLE_TOKENS:
        message = f"this example takes about {cost} tokens of every request, {EXAMPLE_TOKENS} are the budget"
        yield report(source, "P205", node.span, message, "shorten it, or make a case of it")


def rough_tokens(text: str) -> int:
    """Return about how many tokens a text is: one for four ASCII characters, one for any other character.

    An upper guess for small vocabularies; no tokenizer is loaded for it.
    """
    ascii_characters = sum(char < "\x80" for char in text)
    return -(-ascii_characters // 4) + len(text) - ascii_characters


def _collision(text: _Text, source: Source) -> Iterator[Diagnostic]:
    """What a model could take for an order or an answer; examples may quote orders, we may not give any."""
    for pattern, what in (
        (_CONTROL_TOKEN, "is a control token of chat models"),
        (_ANSWER_KEY, "looks like the answer the model must write"),
        (_ANSWER_ORDER, "reads as an order how to answer"),
    ):
        if pattern is _ANSWER_ORDER and text.key == "content":
            continue
        if match := pattern.search(text.node.text):
            words = match.group().strip()
            shown = "a code fence" if words == _FENCE else quoted(words)
            span = source.find(text.node, words)
            yield report(source, "P206", span, f"{shown} {what}", "describe it in other words")
