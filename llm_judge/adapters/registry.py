"""The adapters of one machine: content-addressed folders, names for them, and which one is current.

```text
REGISTRY/adapters/<digest>/    adapter_config.json, adapter_model.safetensors, …: never changed once there
REGISTRY/registry.json         names, manifests, gates passed, history; replaced by one rename
```

A folder appears by a rename before anything names it, and everything else is one small file, so a process
that is killed leaves the registry as it was or as it was to be. Writers take turns; readers need no lock.
Adapters are checked whole before they are used. Knows nothing about how adapters are judged.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from llm_judge import __version__
from llm_judge.adapters.lora_folder import adapter_digest, read_settings
from llm_judge.adapters.manifest import NAME, AdapterManifest, Event, GatesPassed, RegistryState
from llm_judge.adapters.stored_folder import copy_in, problems_of
from llm_judge.durable import reason_of, replace_file, sync_folder
from llm_judge.errors import EngineError, OutputError, UsageError
from llm_judge.json_file import read_json
from llm_judge.packaged import one_at_a_time
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_judge.adapters.manifest import AdapterFacts

CURRENT = "current"
_RESERVED = (CURRENT, "base")
_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_STATE = "registry.json"
_SHAPE = TypeAdapter(RegistryState)


def registry_folder() -> Path:
    """Return ``$LLM_JUDGE_ADAPTERS``, ``$XDG_DATA_HOME/llm-judge/adapters`` or ``~/.local/share/…``."""
    own = os.environ.get("LLM_JUDGE_ADAPTERS")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "llm-judge" / "adapters"


class AdapterRegistry:
    """The adapters of one folder.

    Args:
        folder: where they are; made by the first ``add``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state(self) -> RegistryState:
        """Return names, manifests and history; empty where nothing was ever added.

        Raises:
            UsageError: ``registry.json`` cannot be read or was damaged.
        """
        path = self.folder / _STATE
        if not os.path.lexists(path):
            return RegistryState()
        return read_json(path, _SHAPE, "a registry of adapters", "put back a copy, or add the adapters again")

    def add(
        self, source: Path, name: str, facts: AdapterFacts, more: Mapping[str, Path] | None = None
    ) -> AdapterManifest:
        """Copy an adapter in and name it. The same adapter again keeps its folder and gets a further name.

        Args:
            source: a PEFT LoRA folder.
            name: what to call it.
            facts: what is known about it; of an adapter that is there already, they change nothing.
            more: further files to keep with it, by the name they get.

        Raises:
            UsageError: the name cannot be used or is another adapter's, or a file is a link or unreadable.
            EngineError: it is no LoRA adapter, or its weights are no safetensors.
            OutputError: the registry cannot be written.
        """
        check_name(name)
        read_settings(source)
        with self._writing() as state:
            manifest = self._store(source, facts, more or {}, state)
            if state.names.get(name, manifest.digest) != manifest.digest:
                raise UsageError(f"`{name}` is another adapter already", "choose another --name")
            names = {**state.names, name: manifest.digest}
            self._write(state, names=names, manifests={**state.manifests, manifest.digest: manifest})
        return manifest

    def resolve(self, reference: str, state: RegistryState | None = None) -> str | None:
        """Return the digest that a name, ``current``, or the first 8 or more digits of a digest stand for.

        Raises:
            UsageError: the digits fit several adapters.
        """
        state = state or self.state()
        if reference == CURRENT:
            return state.current
        if reference in state.names:
            return state.names[reference]
        if not _PREFIX.fullmatch(reference):
            return None
        found = [digest for digest in state.manifests if digest.startswith(reference)]
        if len(found) > 1:
            raise UsageError(f"`{reference}` fits {len(found)} adapters", "give more digits")
        return found[0] if found else None

    def manifest(self, reference: str) -> AdapterManifest:
        """Return what is known about an adapter, unchecked; raises ``UsageError`` where there is none."""
        state = self.state()
        digest = self.resolve(reference, state)
        if digest is None or digest not in state.manifests:
            raise self._unknown(reference, state)
        return state.manifests[digest]

    def open(self, reference: str) -> tuple[Path, AdapterManifest]:
        """Return the folder of an adapter, checked whole, and its manifest.

        Raises:
            UsageError: there is no such adapter.
            EngineError: its folder was changed or is gone.
        """
        manifest = self.manifest(reference)
        folder = self.path_of(manifest.digest)
        for problem in problems_of(folder, manifest):
            raise EngineError(
                f"the adapter `{manifest.digest[:12]}` in the registry is damaged: {problem}",
                "remove its folder and add it again, or roll back",
            )
        return folder, manifest

    def path_of(self, digest: str) -> Path:
        """Return where the adapter with this digest is."""
        return self.folder / "adapters" / digest

    def problems(self, reference: str | None = None) -> dict[str, list[str]]:
        """Check adapters whole: every one, or one.

        Returns:
            Digest → what is wrong with it, empty where nothing is; folders that no manifest tells of are
            named too.

        Raises:
            UsageError: there is no such adapter.
        """
        state = self.state()
        if reference is not None:
            manifest = self.manifest(reference)
            return {manifest.digest: list(problems_of(self.path_of(manifest.digest), manifest))}
        found = {d: list(problems_of(self.path_of(d), manifest)) for d, manifest in state.manifests.items()}
        root = self.folder / "adapters"
        strays = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        for name in strays:
            if name not in state.manifests and not name.startswith("."):
                found[name] = ["the registry does not know it: add it, or remove its folder"]
        return found

    def passed(self, digest: str, gates: GatesPassed) -> None:
        """Remember that an adapter passed gates, besides those it passed before.

        Raises:
            UsageError: the registry does not hold it.
            OutputError: the registry cannot be written.
        """
        with self._writing() as state:
            if digest not in state.manifests:
                raise self._unknown(digest, state)
            known = state.gates.get(digest, GatesPassed())
            new = known.model_copy(update={k: v for k, v in gates.model_dump().items() if v is not None})
            if gates.promotion is not None:
                new = new.model_copy(update={"against": gates.against})
            self._write(state, gates={**state.gates, digest: new})

    def promote(self, reference: str, reason: str | None = None) -> AdapterManifest:
        """Make an adapter the current one.

        Args:
            reference: which.
            reason: why it need not have passed its gates; kept in the history.

        Raises:
            UsageError: there is no such adapter, it is current already, or it has not passed its gates.
            EngineError: its folder was changed or is gone.
            OutputError: the registry cannot be written.
        """
        with self._writing() as state:
            _, manifest = self.open(reference)
            if state.current == manifest.digest:
                raise UsageError(f"{quoted(reference)} is the current adapter already")
            if reason is None:
                _check_gates(state, manifest.digest)
            event = Event(at=now(), action="promote", digest=manifest.digest, reason=reason)
            self._write(state, promoted=(*state.promoted, manifest.digest), history=(*state.history, event))
        return manifest

    def rollback(self) -> AdapterManifest:
        """Make the adapter current that was so before.

        Raises:
            UsageError: none was.
            EngineError: its folder was changed or is gone.
            OutputError: the registry cannot be written.
        """
        with self._writing() as state:
            if len(state.promoted) < 2:
                raise UsageError("there is no earlier adapter to go back to", "promote another one")
            _, manifest = self.open(state.promoted[-2])
            event = Event(at=now(), action="rollback", digest=manifest.digest)
            self._write(state, promoted=state.promoted[:-1], history=(*state.history, event))
        return manifest

    def _store(
        self, source: Path, facts: AdapterFacts, more: Mapping[str, Path], state: RegistryState
    ) -> AdapterManifest:
        root = self.folder / "adapters"
        for leftover in root.glob(".adding.*"):  # of a killed process: the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".adding.", dir=root))
        try:
            files = copy_in(source, partial, more)
            settings, digest = read_settings(partial), adapter_digest(partial)
            known, folder = state.manifests.get(digest), self.path_of(digest)
            if known is not None and not any(problems_of(folder, known)):
                return known
            if os.path.lexists(folder):  # damaged, or a process was killed before it was named
                folder.rename(root / f".adding.replaced.{digest[:12]}")  # swept up by the next one
            partial.chmod(0o755)
            partial.rename(folder)
            sync_folder(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return AdapterManifest(
            **dict(facts),
            digest=digest,
            rank=settings.rank,
            alpha=settings.alpha,
            targets=settings.targets,
            added=now(),
            project_version=__version__,
            files=files,
        )

    @contextmanager
    def _writing(self) -> Iterator[RegistryState]:
        """One writer at a time; what it writes is made from the state it is given."""
        try:
            with one_at_a_time(self.folder / "registry"):
                yield self.state()
        except OSError as error:
            raise OutputError(
                f"the registry `{self.folder}` cannot be written: {reason_of(error)}",
                "set LLM_JUDGE_ADAPTERS to a folder you can write to",
            ) from error

    def _write(self, state: RegistryState, **changes: object) -> None:
        new = state.model_copy(update=changes)
        replace_file(self.folder / _STATE, new.model_dump_json(indent=1, by_alias=True) + "\n")

    def _unknown(self, reference: str, state: RegistryState) -> UsageError:
        if reference == CURRENT:
            return UsageError("no adapter is current", "run `llm-judge finetune adapters promote NAME`")
        known = ", ".join(sorted(state.names)[:8]) or "none yet"
        return UsageError(f"the registry has no adapter {quoted(reference)}", f"it has {known}")


def check_name(name: str) -> None:
    """Make sure that a name can be one: plain, not reserved, and no beginning of a digest.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"{quoted(name)} cannot be the name of an adapter",
            "use at most 64 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first",
        )
    if name in _RESERVED or _PREFIX.fullmatch(name):
        why = "is reserved" if name in _RESERVED else "reads as the beginning of a digest"
        raise UsageError(f"`{name}` {why}", "choose another name")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_gates(state: RegistryState, digest: str) -> None:
    passed = state.gates.get(digest, GatesPassed())
    hint = "run `llm-judge finetune gate` on it, or say why not with --ungated REASON"
    if passed.liveness is None:
        raise UsageError(f"the adapter `{digest[:12]}` has not passed the liveness gate", hint)
    if passed.promotion is None:
        raise UsageError(f"the adapter `{digest[:12]}` has not passed the promotion gate", hint)
    if state.current is not None and passed.against != state.current:
        against = passed.against[:12] if passed.against else "the untuned base"
        raise UsageError(
            f"the adapter `{digest[:12]}` was compared with {against}, not with the current one,"
            f" {state.current[:12]}",
            hint,
        )
