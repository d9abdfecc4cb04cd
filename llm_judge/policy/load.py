"""Guideline files and folders in, policies out, or every problem in every file at once.

Knows nothing about prompts, models or how diagnostics are printed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Diagnostic, Level, Span
from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.check import check_policy
from llm_judge.policy.model import Policy, Status
from llm_judge.policy.shape import shape, suggestion
from llm_judge.source import Source, decode, quoted, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

JUDGED = frozenset({Status.TEST, Status.STABLE})
_OTHER_FOLDERS = frozenset({"schema", "overlays"})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a folder that was left out, and why."""

    file: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a set of paths holds: policies sorted by id, and the files left out."""

    policies: tuple[Policy, ...]
    skipped: tuple[Skipped, ...]


def parse_policy(text: str, file: str) -> tuple[Policy | None, list[Diagnostic]]:
    """Read one policy from text.

    Args:
        text: the YAML.
        file: the name to show in diagnostics.

    Returns:
        The policy, or None where anything is wrong, and every problem in file order.
    """
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, policy, wrong = shape(root, Policy, source)
    found = sorted([*found, *wrong, *check_policy(tree, source)], key=lambda diagnostic: diagnostic.span)
    return None if has_errors(found) else policy, found


def load_policy(path: Path) -> Policy:
    """Read one policy file, whatever its status.

    Raises:
        PolicyError: the file cannot be read, or is wrong; ``diagnostics`` holds every problem.
    """
    policy, found = _read_policy(path)
    if policy is None:
        raise wrong_files(found)
    return policy


def load_policies(paths: Sequence[Path]) -> tuple[Policy, ...]:
    """Read policy files and folders; see ``scan_policies``.

    Raises:
        PolicyError: as ``scan_policies``, and where the paths hold no policy to judge by.
    """
    loaded = scan_policies(paths)
    if not loaded.policies:
        shown = ", ".join(f"`{path}`" for path in paths) or "no path"
        hint = "; ".join(f"`{left.file}` is left out: {left.reason}" for left in loaded.skipped[:3])
        if any("status" in left.reason for left in loaded.skipped[:3]):
            hint += "; set `status: test`, or name the file itself"
        raise PolicyError(
            f"there is no policy to judge by in {shown}", hint=hint or "policies end in `.yaml`"
        )
    return loaded.policies


def scan_policies(paths: Sequence[Path], statuses: Collection[Status] = JUDGED) -> Loaded:
    """Read policy files and folders.

    A file named outright is read whatever its status. A folder is searched for ``*.yaml``, without
    ``*.cases.yaml``, hidden files and the folders ``schema`` and ``overlays``; its policies must have
    one of ``statuses``, and their id must end the path: ``safety/hate`` in ``safety/hate.yaml``.

    Raises:
        PolicyError: a path cannot be read, or a file is wrong; ``diagnostics`` holds every problem
            of every file, in the order of the files.
    """
    policies: list[Policy] = []
    skipped: list[Skipped] = []
    found: list[Diagnostic] = []
    for path, searched in _files(paths):
        if path.suffix == ".yml":
            skipped.append(Skipped(path, "its name must end in `.yaml`"))
            continue
        policy, wrong = _read_policy(path)
        if policy is not None and searched:
            wrong += misplaced(policy, path)
        found += wrong
        if policy is not None and searched and policy.status not in statuses:
            skipped.append(Skipped(path, f"its status is `{policy.status}`"))
        elif policy is not None:
            policies.append(policy)
    found += repeated_policies(policies)
    if has_errors(found):
        raise wrong_files(found)
    return Loaded(tuple(sorted(policies, key=lambda policy: policy.policy)), tuple(skipped))


def select(policies: Sequence[Policy], wanted: Sequence[str]) -> tuple[Policy, ...]:
    """Pick policies by ``policy`` id, or single rules of them by ``policy#rule``.

    Args:
        policies: what there is.
        wanted: ids; none means all. A policy named both ways is taken whole.

    Returns:
        The policies in their given order, those named by rules with these rules only.

    Raises:
        UsageError: no such policy or rule.
    """
    rules: dict[str, set[str]] = {}
    for name in wanted:
        policy = _named(policies, name.partition("#")[0])
        known = [rule.id for rule in policy.rules]
        _, mark, rule_id = name.partition("#")
        if mark and rule_id not in known:
            help_line = suggestion(rule_id, known, f"rules of `{policy.policy}`")
            raise UsageError(f"policy `{policy.policy}` has no rule {quoted(rule_id)}", help_line)
        rules.setdefault(policy.policy, set()).update([rule_id] if mark else known)
    if not wanted:
        return tuple(policies)
    return tuple(
        policy.model_copy(update={"rules": tuple(r for r in policy.rules if r.id in rules[policy.policy])})
        for policy in policies
        if policy.policy in rules
    )


def has_errors(found: Sequence[Diagnostic]) -> bool:
    """Return whether anything found stops the command."""
    return any(diagnostic.level is Level.ERROR for diagnostic in found)


def wrong_files(found: Sequence[Diagnostic]) -> PolicyError:
    """Return the exception that carries diagnostics, with a one-line summary."""
    count = sum(diagnostic.level is Level.ERROR for diagnostic in found)
    files = list(dict.fromkeys(diagnostic.span.file for diagnostic in found))
    where = f"`{files[0]}`" if len(files) == 1 else f"{len(files)} files"
    return PolicyError(f"{count} error{'s' if count > 1 else ''} in {where}", found)


def _named(policies: Sequence[Policy], name: str) -> Policy:
    for policy in policies:
        if policy.policy == name:
            return policy
    known = [policy.policy for policy in policies]
    raise UsageError(f"there is no policy {quoted(name)}", suggestion(name, known, "policies"))


def _read_policy(path: Path) -> tuple[Policy | None, list[Diagnostic]]:
    text, found = decode(read(path), str(path))
    return (None, found) if text is None else parse_policy(text, str(path))


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield each file once, and whether it was found by searching a folder."""
    named = {path.resolve() for path in paths}
    seen: set[Path] = set()
    for path in paths:
        searched = path.is_dir()
        for file in _search(path) if searched else (path,):
            real = file.resolve()
            if real in seen or (searched and real in named):
                continue
            seen.add(real)
            yield file, searched


def _search(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(n for n in folders if n not in _OTHER_FOLDERS and not n.startswith("."))
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.endswith(".cases.yaml") and name[0] != ".":
                yield Path(parent) / name


def _unreadable(error: OSError) -> None:
    raise PolicyError(f"`{error.filename}` cannot be read", hint="check its permissions")


def misplaced(policy: Policy, path: Path) -> list[Diagnostic]:
    """Return P110 where the id of a policy does not end the path of its file."""
    parts = policy.policy.split("/")
    real = path.absolute().with_suffix("").parts[-len(parts) :]
    if list(real) == parts:
        return []
    message = f"policy id `{policy.policy}` does not match the file's place"
    return [_at(policy, "P110", message, f"write `policy: {'/'.join(real)}`, or move the file")]


def repeated_policies(policies: Sequence[Policy]) -> Iterator[Diagnostic]:
    """Yield P111 for every policy whose id an earlier one has."""
    first: dict[str, Policy] = {}
    for policy in policies:
        earlier = first.setdefault(policy.policy, policy)
        if earlier is not policy:
            where = f"{earlier.at.file}:{earlier.at.line}" if earlier.at else "another file"
            message = f"policy id `{policy.policy}` is already used"
            yield _at(policy, "P111", message, f"first used at {where}")


def _at(policy: Policy, code: str, message: str, help_line: str) -> Diagnostic:
    line = f"policy: {policy.policy}"
    return Diagnostic(code, Level.ERROR, policy.at or Span("?", 1, 1), message, help_line, line)
