"""Every check over every policy, cases file and overlay below some paths, as one report.

Reads each file once, goes on after every problem, and applies levels and waivers at the end. Knows
nothing about how a report is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Diagnostic, Level, Span
from llm_judge.policy.cases import CaseFile, cases_path, names_in, parse_cases, wrong_names
from llm_judge.policy.check import check_policy
from llm_judge.policy.check_config import CheckConfig, Waiver
from llm_judge.policy.check_files import OVERLAYS, CheckedFiles, policy_files, policy_path
from llm_judge.policy.codes import report
from llm_judge.policy.coverage import uncovered
from llm_judge.policy.ladder import check_ladder
from llm_judge.policy.load import misplaced, parse_policy, repeated_policies
from llm_judge.policy.meaning import idle_exemptions, similar_rules, unused_definitions
from llm_judge.policy.model import Policy
from llm_judge.policy.overlay import parse_overlay
from llm_judge.policy.shape import shape
from llm_judge.policy.unfinished import unfinished
from llm_judge.policy.versions import changed_without_version
from llm_judge.policy.wording import check_wording
from llm_judge.resources import content_folder
from llm_judge.source import Source, SourceNode, decode, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        files: how many files were checked.
        diagnostics: what counts, by file and in file order.
        waived: what a waiver lets through, with the waiver.
    """

    files: int
    diagnostics: tuple[Diagnostic, ...]
    waived: tuple[tuple[Diagnostic, Waiver], ...] = ()

    def count(self, level: Level) -> int:
        """Return how many diagnostics have this level."""
        return sum(found.level is level for found in self.diagnostics)


@dataclass
class Document:
    """One policy file: its text and what became of it.

    Attributes:
        file: its name.
        policy: the typed policy, also where its meaning is wrong, or None where its shape is.
        name: the id it gives, also where the rest is wrong.
        tree: its values, also where the policy is None; None where the syntax is wrong.
        source: its text, or None where the bytes are not text.
        found: every problem, in any order.
    """

    file: str
    policy: Policy | None = None
    name: str = ""
    tree: SourceNode | None = None
    source: Source | None = None
    found: list[Diagnostic] = field(default_factory=list)


def check_document(data: bytes, file: str, thresholds: Collection[str]) -> Document:
    """Check one policy by itself; never raises for what the bytes hold.

    Args:
        data: the bytes of the file.
        file: the name to show in diagnostics.
        thresholds: names that may follow ``calibrated.``.
    """
    text, found = decode(data, file)
    if text is None:
        return Document(file, found=found)
    root, found = parse(text, file)
    source = Source(file, text)
    if root is None:
        return Document(file, source=source, found=found)
    tree, policy, wrong = shape(root, Policy, source)
    found += [
        *wrong,
        *check_policy(tree, source),
        *unused_definitions(tree, source),
        *check_wording(tree, source),
        *unfinished(tree, source),
    ]
    if policy is not None:
        found += [*idle_exemptions(policy, source), *check_ladder(policy, tree, source, thresholds)]
    named = tree.get("policy")
    return Document(file, policy, named.text if named else "", tree, source, found)


def check_paths(
    paths: Sequence[Path],
    thresholds: Collection[str],
    config: CheckConfig | None = None,
    base: Mapping[str, Policy] | None = None,
) -> CheckReport:
    """Check policies, their cases and overlays.

    A folder is searched for YAML files but for hidden ones and the folder ``schema``. A policy that
    is named brings its cases along.

    Args:
        paths: files and folders.
        thresholds: names that may follow ``calibrated.``.
        config: levels and waivers.
        base: older policies by id, whose rules must not have changed without a new version.

    Raises:
        PolicyError: a path cannot be read.
        UsageError: there is nothing to check.
    """
    files = CheckedFiles(paths)
    documents = {path: check_document(read(path), str(path), thresholds) for path in files.policies}
    for path in files.policies:
        document = documents[path]
        if path in files.searched and document.policy and document.source:
            document.found += (_with_line(each, document.source) for each in misplaced(document.policy, path))
    found = [*_across(documents.values(), base or {}), *files.never_read()]
    for path in files.cases:
        found += _check_cases(path, documents.get(policy_path(path)), thresholds)
    bases = _Bases(documents)
    for path in files.overlays:
        found += bases.check(path)
    for path, document in documents.items():
        found += document.found
        if document.policy and document.source and not cases_path(path).is_file():
            found += uncovered(document.policy, None, cases_path(path).name, document.source)
    return _report(files, found, config or CheckConfig())


def _across(documents: Iterable[Document], base: Mapping[str, Policy]) -> Iterator[Diagnostic]:
    """What only several policies, or an older version of one, can show."""
    placed = [(each.policy, each.source) for each in documents if each.policy and each.source]
    yield from similar_rules(placed)
    sources = {source.file: source for _, source in placed}
    for each in repeated_policies([policy for policy, _ in placed]):
        yield _with_line(each, sources[each.span.file])
    for policy, source in placed:
        if policy.policy in base:
            yield from changed_without_version(base[policy.policy], policy, source)


def _check_cases(path: Path, document: Document | None, thresholds: Collection[str]) -> list[Diagnostic]:
    text, found = decode(read(path), str(path))
    if text is None:
        return found
    beside = policy_path(path)
    if document is None and beside.is_file():
        document = check_document(read(beside), str(beside), thresholds)
    if document is None:
        source = Source(str(path), text)
        message = f"these cases are never read: there is no policy `{beside.name}` beside them"
        return [report(source, "P124", Span(str(path), 1, 1), message, "rename the file, or delete it")]
    source = Source(str(path), text)
    root, found = parse(text, str(path))
    if root is None:
        return found
    if document.policy is None or document.source is None:
        return [*found, *_cases_of_broken(root, source, document), *unfinished(root, source)]
    cases, found = parse_cases(text, str(path), document.policy)
    if cases is not None:
        document.found += uncovered(document.policy, cases, path.name, document.source)
    return [*found, *unfinished(root, source)]


def _cases_of_broken(root: SourceNode, source: Source, document: Document) -> list[Diagnostic]:
    """Check cases against what can be read of their policy: its shape is wrong, its names may still stand."""
    tree, _, found = shape(root, CaseFile, source)
    names = names_in(document.tree) if document.tree else None
    return found if names is None else [*found, *wrong_names(tree, source, *names)]


class _Bases:
    """What overlays may change: the policies that are checked, and those around the overlay's folder.

    A base that is wrong itself has its own diagnostics: of what an overlay does to it nothing is said.
    """

    def __init__(self, documents: Mapping[Path, Document]) -> None:
        self._documents = list(documents.values())
        self._seen = {path.resolve() for path in documents}
        self._around: dict[Path, list[Document]] = {}

    def check(self, path: Path) -> list[Diagnostic]:
        """Return every problem of one overlay."""
        text, found = decode(read(path), str(path))
        if text is None:
            return found
        bases = [*self._documents, *self._others(path)]
        policies = [each.policy for each in bases if each.policy]
        return parse_overlay(text, str(path), policies, {each.name for each in bases})[1]

    def _others(self, path: Path) -> list[Document]:
        if path.absolute().parent.name == OVERLAYS:
            folder = path.parent.parent
        elif self._documents:
            return []
        else:
            folder = content_folder("policies")
        if folder not in self._around:
            files = (file for file in policy_files(folder) if file.resolve() not in self._seen)
            self._around[folder] = [_read_base(file) for file in files]
        return self._around[folder]


def _read_base(file: Path) -> Document:
    text, found = decode(read(file), str(file))
    policy = parse_policy(text, str(file))[0] if text is not None else None
    return Document(str(file), policy, "/".join(file.absolute().with_suffix("").parts[-2:]), found=found)


def _with_line(found: Diagnostic, source: Source) -> Diagnostic:
    return replace(found, line_text=source.lines[found.span.line - 1])


def _report(files: CheckedFiles, found: Iterable[Diagnostic], config: CheckConfig) -> CheckReport:
    kept: list[Diagnostic] = []
    waived: list[tuple[Diagnostic, Waiver]] = []
    for each in sorted(found, key=lambda each: (files.order.get(each.span.file, 0), each.span, each.code)):
        leveled = config.level(each)
        if leveled is None:
            continue
        waiver = config.waiver(leveled)
        if waiver is None:
            kept.append(leveled)
        else:
            waived.append((leveled, waiver))
    about = [*config.found, *config.unused(waiver for _, waiver in waived)]
    about = [leveled for each in about if (leveled := config.level(each))]
    return CheckReport(len(files.order), (*about, *kept), tuple(waived))
