"""A file, a folder or a git revision → the policies it holds, whatever their status, and their texts.

Knows nothing about what is done with two of them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.load import parse_policy, scan_policies, wrong_files
from llm_judge.policy.model import Policy, Status
from llm_judge.policy.revision import PREFIX, texts_at
from llm_judge.source import decode, quoted, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Diagnostic

_CASES = ".cases.yaml"
_OTHER_FOLDERS = frozenset({"schema", "overlays"})
# What a mistyped path comes to when it is taken for a revision.
_NO_REVISION = ("knows no revision", "not in a git repository")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Policies at one time.

    Attributes:
        name: as the user wrote it.
        policies: sorted by id.
        texts: policy id → the text of its file.
        cases: policy id → the text of the cases beside it, where there are any that can be read.
    """

    name: str
    policies: tuple[Policy, ...]
    texts: dict[str, str]
    cases: dict[str, str]


def open_snapshots(old: str, new: str, folder: Path) -> tuple[Snapshot, Snapshot]:
    """Read both sides of a comparison.

    Each is a path, a revision (``main``, ``git:main``) or both (``main:policies/safety``). A revision
    without a path is read at the path of the other side, or else at ``folder``.

    Raises:
        PolicyError: a file is wrong or cannot be read, or a side holds no policy.
        UsageError: neither a path nor a revision git knows.
    """
    paths = [path for path in (_path(old), _path(new)) if path is not None]
    place = paths[0] if paths else folder
    return _open(old, place), _open(new, place)


def is_policy_path(path: str) -> bool:
    """Whether a path below a folder of guidelines is a policy by its name and place."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") for part in parts)
    other = any(part in _OTHER_FOLDERS for part in parts[:-1])
    return path.endswith(".yaml") and not path.endswith(".cases.yaml") and not hidden and not other


def _open(word: str, place: Path) -> Snapshot:
    path = _path(word)
    if path is not None:
        return _from_path(word, path)
    revision, colon, inner = word.removeprefix(PREFIX).partition(":")
    if colon or word.startswith(PREFIX):
        return _from_revision(word, revision, Path(inner) if inner else place)
    try:
        return _from_revision(word, revision, place)
    except UsageError as error:
        if not any(said in error.message for said in _NO_REVISION):
            raise
        message = f"there is no file or folder {quoted(word)}, and git knows no such revision"
        raise UsageError(message, "name a file, a folder or a revision: main, HEAD~1") from None


def _path(word: str) -> Path | None:
    try:
        path = Path(word)
        return path if word.strip() and not word.startswith(PREFIX) and path.exists() else None
    except (OSError, ValueError):  # not a name the file system can hold
        return None


def _from_path(word: str, path: Path) -> Snapshot:
    # Files are named one by one: a copy of a folder, made to be compared, may stand anywhere.
    files = [path]
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*.yaml")) if is_policy_path(f.relative_to(path).as_posix())]
    policies = scan_policies(files, frozenset(Status)).policies
    texts, cases = {}, {}
    for policy in policies:
        if policy.at is not None:
            texts[policy.policy] = decode(read(Path(policy.at.file)), policy.at.file)[0] or ""
            beside = Path(policy.at.file).with_suffix(_CASES)
            if beside.is_file():
                cases[policy.policy] = decode(read(beside), str(beside))[0] or ""
    return _checked(Snapshot(word, policies, texts, cases))


def _from_revision(word: str, revision: str, folder: Path) -> Snapshot:
    policies, texts, cases = {}, {}, {}
    files = texts_at(revision, folder)
    if folder.suffix == ".yaml":  # one file: its cases were not below it
        with suppress(UsageError):  # there were none
            files |= texts_at(revision, folder.with_suffix(_CASES))
    found: list[Diagnostic] = []
    for path, text in files.items():
        if is_policy_path(path):
            policy, wrong = parse_policy(text, f"{revision}:{path}")
            found += wrong
            if policy is not None:
                policies[policy.policy], texts[policy.policy] = policy, text
                beside = str(PurePosixPath(path).with_suffix(_CASES))
                if beside in files:
                    cases[policy.policy] = files[beside]
    errors = list(_errors(found))
    if errors:
        raise wrong_files(errors)
    return _checked(Snapshot(word, tuple(policies[name] for name in sorted(policies)), texts, cases))


def _errors(found: list[Diagnostic]) -> Iterator[Diagnostic]:
    return (each for each in found if each.level == "error")


def _checked(snapshot: Snapshot) -> Snapshot:
    if not snapshot.policies:
        raise PolicyError(f"there is no policy in {quoted(snapshot.name)}", hint="policies end in `.yaml`")
    return snapshot
