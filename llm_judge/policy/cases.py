"""Cases: what must fire, must not fire or is exempt, kept beside each policy.

``hate.cases.yaml`` stands beside ``hate.yaml``. Read as strictly as a policy, with the same
diagnostics. Knows nothing about how cases are judged.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.policy.check import MOST_PROBLEMS, repeated_ids
from llm_judge.policy.load import has_errors, wrong_files
from llm_judge.policy.model import Identifier, Node, Policy
from llm_judge.policy.shape import shape, suggestion
from llm_judge.source import Kind, Source, SourceNode, decode, quoted, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.diagnostics import Diagnostic

    Rules = Mapping[str, tuple[str, ...]]  # ids of the exemptions of each rule, by its id


class Case(Node):
    """One content with the answer a policy must give.

    Attributes:
        content: the text, or None where ``file`` names a picture, sound or video.
        file: path of the media file, relative to the cases file.
        expect: the right verdict.
        rule: the rule that must give it; for ``clear``, the rule that must not fire, or None for all.
        exemption: the exemption that must be found, for ``exempt`` only.
        lang: ISO 639 code of the content's language.
        todo: known to fail; counted apart.
        media: the resolved path of ``file``, filled when loaded.
    """

    id: Identifier | None = None
    content: Annotated[str, Field(min_length=1)] | None = None
    file: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    expect: Literal["violates", "clear", "exempt"]
    rule: Identifier | None = None
    exemption: Identifier | None = None
    lang: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")] | None = None
    note: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    todo: bool = False
    media: Path | None = Field(default=None, exclude=True)

    @property
    def name(self) -> str:
        """The id, or ``line 12`` for a case without one."""
        return self.id or (f"line {self.at.line}" if self.at else "case")


class CaseFile(Node):
    """What one ``*.cases.yaml`` holds."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    policy: Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$", max_length=80)]
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


def cases_path(policy_path: Path) -> Path:
    """Return where the cases of a policy file stand: ``hate.cases.yaml`` for ``hate.yaml``."""
    return policy_path.with_suffix(".cases.yaml")


def load_cases(path: Path, policy: Policy) -> tuple[Case, ...]:
    """Read the cases of one policy, in file order.

    Raises:
        PolicyError: the file cannot be read, or is wrong; ``diagnostics`` holds every problem.
    """
    text, found = decode(read(path), str(path))
    if text is None:
        raise wrong_files(found)
    cases, found = parse_cases(text, str(path), policy)
    if cases is None:
        raise wrong_files(found)
    return cases


def parse_cases(text: str, file: str, policy: Policy) -> tuple[tuple[Case, ...] | None, list[Diagnostic]]:
    """Read cases from text; ``file`` is shown in diagnostics and media paths are relative to it.

    Returns:
        The cases, or None where anything is wrong, and every problem in file order.
    """
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, parsed, wrong = shape(root, CaseFile, source)
    rules = {rule.id: tuple(each.id for each in rule.exemptions) for rule in policy.rules}
    found = [*found, *wrong, *wrong_names(tree, source, policy.policy, rules)]
    found.sort(key=lambda diagnostic: diagnostic.span)
    if parsed is None or has_errors(found):
        return None, found
    folder = Path(file).parent
    return tuple(
        c.model_copy(update={"media": folder / c.file}) if c.file else c for c in parsed.cases
    ), found


def names_in(tree: SourceNode) -> tuple[str, Rules] | None:
    """Return the id of a policy, and the exemptions of each rule, or None where one of them has no name."""
    named, rules = tree.get("policy"), tree.get("rules")
    ids = _ids(rules)
    if named is None or not named.text or rules is None or not ids:
        return None
    exempt = [_ids(each) if (each := rule.get("exemptions")) else () for rule in rules.items]
    found = {name: some for name, some in zip(ids, exempt, strict=True) if some is not None}
    return (named.text, found) if len(found) == len(exempt) else None


def _ids(listed: SourceNode | None) -> tuple[str, ...] | None:
    found = [item.get("id") for item in listed.items] if listed else []
    names = tuple(each.text for each in found if each and each.text)
    return names if listed and listed.kind is Kind.SEQUENCE and len(names) == len(found) else None


def wrong_names(tree: SourceNode, source: Source, policy: str, rules: Rules) -> list[Diagnostic]:
    """Return what is wrong with the names and contents of cases, ``MOST_PROBLEMS`` at most.

    Args:
        tree: the cases file.
        policy: id of the policy it stands beside.
        rules: ids of the exemptions of each rule, by its id.
    """
    return list(islice(_check(tree, source, policy, rules), MOST_PROBLEMS))


def _check(tree: SourceNode, source: Source, policy: str, rules: Rules) -> Iterator[Diagnostic]:
    named, cases = tree.get("policy"), tree.get("cases")
    if named and named.text and named.text != policy:
        message = f"these cases are for policy {quoted(named.text)}, not `{policy}`"
        yield source.error("P112", named.span, message, f"write `policy: {policy}`, or move the file")
        return
    blocks = [case for case in (cases.items if cases else ()) if case.kind is Kind.MAPPING]
    yield from repeated_ids(blocks, "case", source)
    for case in blocks:
        yield from _check_subject(case, source)
        yield from _check_names(case, source, policy, rules)


def _check_subject(case: SourceNode, source: Source) -> Iterator[Diagnostic]:
    content, file = case.get("content"), case.get("file")
    if content is None and file is None:
        yield source.error("P001", case.span, "missing key `content` or `file`", "add what is to be judged")
    elif content and file:
        yield source.error(
            "P113", file.span, "a case has `content` or `file`, not both", "make two cases of it"
        )
    elif file and file.text.strip():
        yield from _check_file(file, source)


def _check_file(file: SourceNode, source: Source) -> Iterator[Diagnostic]:
    path = Path(file.text)
    if path.is_absolute() or ".." in path.parts:
        message = f"{quoted(file.text)} is not beside the cases"
        yield source.error("P113", file.span, message, "write a path below the folder of this file")
        return
    try:
        there = (Path(source.file).parent / path).is_file()
    except (OSError, ValueError):  # a name the file system cannot hold
        there = False
    if not there:
        help_line = "paths start at the folder of this file"
        yield source.error("P113", file.span, f"there is no file {quoted(file.text)}", help_line)


def _check_names(case: SourceNode, source: Source, policy: str, rules: Rules) -> Iterator[Diagnostic]:
    expect, cited = case.get("expect"), case.get("rule")
    rule = cited.text if cited and cited.text in rules else None
    ids = list(rules)
    if cited is None and expect and expect.text in ("violates", "exempt"):
        yield source.error(
            "P001", expect.span, f"`expect: {expect.text}` needs a `rule`", suggestion("", ids, "rules")
        )
    if cited and cited.text and rule is None:
        message = f"policy `{policy}` has no rule {quoted(cited.text)}"
        yield source.error("P108", cited.span, message, suggestion(cited.text, ids, "rules"))
    yield from _check_exemption(case, source, rule, rules.get(rule, ()) if rule else ())


def _check_exemption(
    case: SourceNode, source: Source, rule: str | None, known: Sequence[str]
) -> Iterator[Diagnostic]:
    expect, exemption = case.get("expect"), case.get("exemption")
    if exemption is None and expect and expect.text == "exempt":
        choices = suggestion("", known, "exemptions of this rule") if rule else None
        yield source.error("P001", expect.span, "`expect: exempt` needs an `exemption`", choices)
    if exemption is None or not exemption.text:
        return
    if expect and expect.text in ("violates", "clear"):
        message = f"a case with `expect: {expect.text}` cannot cite an exemption"
        yield source.error("P109", exemption.span, message, "write `expect: exempt`, or delete this line")
    elif rule and exemption.text not in known:
        message = f"rule `{rule}` has no exemption {quoted(exemption.text)}"
        help_line = suggestion(exemption.text, known, "exemptions of this rule")
        yield source.error("P109", exemption.span, message, help_line)
