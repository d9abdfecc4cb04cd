"""Guideline files as they were at a git revision: a revision and a folder in, texts out.

Asks the ``git`` command with fixed argument lists, no shell and no network, and reads objects only, so
the working tree and its hooks never come into play. Knows nothing about what the files mean.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llm_judge.errors import UsageError
from llm_judge.policy.load import wrong_files
from llm_judge.source import MAX_BYTES, decode, quoted, too_large

if TYPE_CHECKING:
    from llm_judge.diagnostics import Diagnostic

PREFIX = "git:"
_SUFFIXES = (".yaml", ".yml")
_PLAIN_FILES = ("100644", "100755")  # neither links nor submodules
_TIMEOUT_S = 60
_MAX_FILES = 10_000


class _Blob(NamedTuple):
    id: str
    size: int
    path: str


def texts_at(revision: str, folder: Path) -> dict[str, str]:
    """Return the YAML files below a folder as they were at a revision.

    Args:
        revision: anything git resolves to a commit, such as ``main`` or ``v1.2``, with or without ``git:``.
        folder: a folder or one file of a repository; it need not exist any more.

    Returns:
        Path below ``folder`` (for one file its name) → text, in the order of the paths.

    Raises:
        UsageError: git is missing, the folder is in no repository, the revision is unknown, or there
            was no such folder then.
        PolicyError: a file is too large or is not UTF-8.
    """
    name = revision.removeprefix(PREFIX)
    place = Path(os.path.normpath(Path.cwd() / folder))  # not resolve(): a link may lead out of it
    start = next(parent for parent in (place, *place.parents) if parent.is_dir())
    top = _top(start, folder)
    commit = _commit(start, name)
    try:
        below = (start.resolve() / place.relative_to(start)).relative_to(top).as_posix()
    except ValueError:
        raise UsageError(f"`{folder}` is outside the repository `{top}`") from None
    blobs = [blob for blob in _listed(start, commit, below) if blob.path.endswith(_SUFFIXES)]
    if not blobs:
        raise UsageError(
            f"there is no YAML file in `{folder}` at revision {quoted(name)}",
            "choose a revision that has it: git log --oneline -- FOLDER",
        )
    return _texts(start, blobs, below, name)


def _top(start: Path, folder: Path) -> Path:
    code, out, err = _git(start, "rev-parse", "--show-toplevel")
    if code == 0:
        return Path(os.fsdecode(out.removesuffix(b"\n"))).resolve()
    if b"dubious ownership" in err:
        hint = "tell git to trust it: git config --global --add safe.directory FOLDER"
        raise UsageError(f"the repository of `{folder}` belongs to another user", hint)
    raise UsageError(f"`{folder}` is not in a git repository", "name a file or folder instead of a revision")


def _commit(start: Path, name: str) -> str:
    # Words that git would read as an option, a range or a path inside the tree are no revision.
    if name and not name.startswith("-") and ".." not in name and name.isprintable():
        code, out, _ = _git(start, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if code == 0:
            return out.decode("ascii").strip()
    raise UsageError(
        f"git knows no revision {quoted(name)}", "name a commit, a branch or a tag: git log --oneline"
    )


def _listed(start: Path, commit: str, below: str) -> list[_Blob]:
    paths = [] if below == "." else ["--", below]
    code, out, err = _git(start, "ls-tree", "-r", "-z", "-l", "--full-tree", commit, *paths)
    if code != 0:
        raise UsageError(f"git cannot list revision `{commit[:12]}`: {_first_line(err)}")
    blobs = []
    for entry in out.split(b"\0")[:-1]:
        head, _, path = entry.partition(b"\t")
        mode, _, blob, size = head.decode("ascii").split()
        if mode in _PLAIN_FILES and size.isdigit():
            blobs.append(_Blob(blob, int(size), path.decode("utf-8", "surrogateescape")))
    if len(blobs) > _MAX_FILES:
        raise UsageError(f"there are over {_MAX_FILES:,} files", "name the folder of the policies")
    return blobs


def _texts(start: Path, blobs: list[_Blob], below: str, name: str) -> dict[str, str]:
    """Read every file through one git process; problems of all files are raised together."""
    found: list[Diagnostic] = [too_large(f"{name}:{blob.path}") for blob in blobs if blob.size > MAX_BYTES]
    if found:
        raise wrong_files(found)
    asked = "".join(f"{blob.id}\n" for blob in blobs).encode("ascii")
    code, out, err = _git(start, "cat-file", "--batch", given=asked)
    if code != 0:
        raise UsageError(f"git cannot read revision {quoted(name)}: {_first_line(err)}")
    texts: dict[str, str] = {}
    at = 0
    for blob in blobs:
        at = out.index(b"\n", at) + 1  # after the line `ID blob SIZE`
        text, wrong = decode(out[at : at + blob.size], f"{name}:{blob.path}")
        at += blob.size + 1
        found += wrong
        texts[_key(blob.path, below)] = text or ""
    if found:
        raise wrong_files(found)
    return texts


def _key(path: str, below: str) -> str:
    if below == ".":
        return path
    return path.rpartition("/")[2] if path == below else path[len(below) + 1 :]


def _git(start: Path, *words: str, given: bytes | None = None) -> tuple[int, bytes, bytes]:
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(start), *words],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("the command `git` is not installed", "install git, or name files") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git took over {_TIMEOUT_S} seconds", "name a smaller folder") from None
    return done.returncode, done.stdout, done.stderr


def _first_line(err: bytes) -> str:
    return (err.decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[0]
