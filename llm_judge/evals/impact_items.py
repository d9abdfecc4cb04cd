"""Cases files, folders of them and JSONL suites → items to judge under two versions of the policies.

A case may cite what only one version has, such as an exemption that the other one removes. Knows nothing
about judging.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.batch.items import MAX_ROW_BYTES, Item
from llm_judge.content.open import open_content
from llm_judge.content.text import from_text
from llm_judge.diagnostics import Diagnostic
from llm_judge.errors import PolicyError, UsageError
from llm_judge.evals.grading import Expectation
from llm_judge.evals.impact import ImpactItem
from llm_judge.policy.cases import cases_path, load_cases
from llm_judge.policy.load import wrong_files
from llm_judge.source import decode, quoted, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llm_judge.content.content import Content
    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import Exemption, Policy, Rule

_VERDICTS = ("violates", "clear", "exempt")


def read_items(path: Path, old: Sequence[Policy], new: Sequence[Policy]) -> list[ImpactItem]:
    """Return the items of a cases file, a folder of cases files or a JSONL file.

    A JSONL row holds ``text``, and optionally ``id``, ``lang``, ``policy``, ``rule``, ``expect`` (violates,
    clear or exempt) and ``exemption``; other keys are left alone.

    Raises:
        PolicyError: a cases file is wrong or cannot be read; holds every problem of every file.
        UsageError: there is no item, or a row is wrong.
    """
    if path.suffix.lower() == ".jsonl":
        items = list(_rows(path))
    else:
        items = _from_cases(path, merged_policies(old, new))
    if not items:
        raise UsageError(
            f"there is no item in `{path}`", "name a `*.cases.yaml`, a folder of them or a JSONL file"
        )
    return items


def merged_policies(old: Sequence[Policy], new: Sequence[Policy]) -> dict[str, Policy]:
    """Return policies by id with the rules and exemptions of both versions, to check names against."""
    found = {policy.policy: policy for policy in old}
    for policy in new:
        earlier = found.get(policy.policy)
        rules = policy.rules if earlier is None else _merged_rules(earlier.rules, policy.rules)
        found[policy.policy] = policy.model_copy(update={"rules": rules})
    return found


def _merged_rules(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    found = {rule.id: rule for rule in old}
    for rule in new:
        earlier = found.get(rule.id)
        exemptions: dict[str, Exemption] = {e.id: e for e in (earlier.exemptions if earlier else ())}
        exemptions.update({e.id: e for e in rule.exemptions})
        found[rule.id] = rule.model_copy(update={"exemptions": tuple(exemptions.values())})
    return tuple(found.values())


def _from_cases(path: Path, policies: dict[str, Policy]) -> list[ImpactItem]:
    searched = path.is_dir()
    files = sorted(path.rglob("*.cases.yaml")) if searched else [_beside(path)]
    items: list[ImpactItem] = []
    wrong: list[Diagnostic] = []
    for file in files:
        name = _policy_name(file)
        policy = policies.get(name)
        if policy is None:
            if searched:
                continue  # cases of a policy that is not compared
            if not name:
                hint = "name a `*.cases.yaml`, a folder of them or a JSONL file"
                raise UsageError(f"`{file}` holds no cases: it has no key `policy`", hint)
            raise UsageError(f"`{file}` holds cases of {quoted(name)}, a policy that neither version has")
        try:
            items += [_case_item(policy.policy, case) for case in load_cases(file, policy)]
        except PolicyError as error:
            problems = [each for each in error.diagnostics if isinstance(each, Diagnostic)]
            if not problems:
                raise
            wrong += problems
    if wrong:
        raise wrong_files(wrong)
    return items


def _beside(path: Path) -> Path:
    return path if path.name.endswith(".cases.yaml") or path.suffix != ".yaml" else cases_path(path)


def _policy_name(file: Path) -> str:
    """The id of the policy that a cases file is for, empty where it does not say."""
    text, found = decode(read(file), str(file))
    if text is None:
        raise wrong_files(found)
    root, found = parse(text, str(file))
    if root is None:
        raise wrong_files(found)
    named = root.get("policy")
    return named.text if named else ""


def _case_item(policy: str, case: Case) -> ImpactItem:
    name = f"{policy}/{case.name}"
    expected = Expectation(policy, case.expect, case.rule, case.exemption)
    shown = case.content or case.file or ""
    media, content = case.media, case.content or ""

    def opened() -> Content:
        return open_content(media, id=name) if media is not None else from_text(content, id=name)

    return ImpactItem(Item(name, case.file, opened), shown, case.lang, expected)


def _rows(path: Path) -> Iterator[ImpactItem]:
    try:
        with path.open("rb") as handle:
            number = 0
            while line := handle.readline(MAX_ROW_BYTES + 1):
                number += 1
                if line.strip():
                    yield _row_item(line, f"{path}:{number}")
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None


def _row_item(line: bytes, place: str) -> ImpactItem:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: not valid JSON", 'write {"id": "…", "text": "…", "lang": "en"}') from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{place}: a row needs `text`", 'write {"id": "…", "text": "…", "lang": "en"}')
    name = str(row.get("id", place))
    lang = _word(row, "lang", place)
    return ImpactItem(Item(name, None, _opener(text, name)), text, lang, _expected(row, place))


def _opener(text: str, name: str) -> Callable[[], Content]:
    return lambda: from_text(text, id=name)


def _expected(row: dict[str, Any], place: str) -> Expectation | None:
    verdict = _word(row, "expect", place)
    if verdict is None:
        return None
    if verdict not in _VERDICTS:
        raise UsageError(
            f"{place}: unknown `expect` {quoted(verdict)}", f"choose from {', '.join(_VERDICTS)}"
        )
    policy, rule, exemption = (_word(row, name, place) for name in ("policy", "rule", "exemption"))
    if rule is not None and policy is None:
        raise UsageError(f"{place}: `rule` needs `policy`", 'write "policy": "safety/hate", "rule": "HS1"')
    if rule is None and verdict != "clear":
        raise UsageError(f"{place}: `expect: {verdict}` needs `policy` and `rule`")
    if verdict == "exempt" and exemption is None:
        raise UsageError(f"{place}: `expect: exempt` needs an `exemption`")
    return Expectation(policy or "", verdict, rule, exemption if verdict == "exempt" else None)


def _word(row: dict[str, Any], name: str, place: str) -> str | None:
    value = row.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise UsageError(f"{place}: `{name}` must be a text")
