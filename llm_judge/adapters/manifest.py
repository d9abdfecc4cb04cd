"""What the registry knows of an adapter and of its own past, as typed data.

Knows nothing about files or locks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=NAME)]
_Text = Annotated[str, Field(max_length=400)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseModelReference(_Strict):
    """The model an adapter belongs to: a name for people, and the SHA-256 of its weights."""

    name: _Text
    digest: Sha256


class MeasuredMetric(_Strict):
    """One figure of an eval run.

    Attributes:
        suite, kind, key, metric: what was measured, in the harness's words.
        value: the figure; None where it is not defined.
        low, high: ends of its 95 % interval; None where there is none.
        items: labelled answers it rests on.
    """

    suite: _Text
    kind: _Text
    key: _Text
    metric: _Text
    value: float | None
    low: float | None
    high: float | None
    items: Annotated[int, Field(ge=0)]


class StoredFile(_Strict):
    """One file of an adapter folder: bytes and SHA-256."""

    size: Annotated[int, Field(ge=0)]
    sha256: Sha256


class AdapterFacts(_Strict):
    """What whoever adds an adapter says about it; None and empty where nobody did.

    Attributes:
        base: the model it was trained on.
        policy_digest, prompt_digest: of what it was measured with.
        data_digest: SHA-256 of the manifest of its training data.
        metrics: how well it judges, with intervals.
        calibration_digest: of the calibration kept beside it.
    """

    base: BaseModelReference | None = None
    policy_digest: Sha256 | None = None
    prompt_digest: Sha256 | None = None
    data_digest: Sha256 | None = None
    metrics: tuple[MeasuredMetric, ...] = ()
    calibration_digest: Sha256 | None = None


class AdapterManifest(AdapterFacts):
    """An adapter in the registry.

    Attributes:
        digest: what it is addressed by; see ``lora_folder.adapter_digest``.
        rank, alpha, targets: as in its settings.
        added: ISO 8601, UTC.
        project_version: the llm-judge that added it.
        files: name → size and SHA-256, of everything in its folder.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    digest: Sha256
    rank: Annotated[int, Field(ge=1)]
    alpha: float
    targets: tuple[_Text, ...]
    added: _Text
    project_version: _Text
    files: dict[str, StoredFile]


class GatesPassed(_Strict):
    """When an adapter passed which gate; None for never.

    Attributes:
        liveness: ISO 8601, UTC.
        promotion: ISO 8601, UTC.
        against: digest of the adapter that it was compared with; None for the untuned base.
    """

    liveness: str | None = None
    promotion: str | None = None
    against: Sha256 | None = None


class Event(_Strict):
    """One change of what is current: when, ``promote`` or ``rollback``, to which adapter, and why ungated."""

    at: _Text
    action: Literal["promote", "rollback"]
    digest: Sha256
    reason: _Text | None = None


class RegistryState(_Strict):
    """All that the registry holds besides the adapters' own folders.

    Attributes:
        names: name → digest; a name never changes its adapter.
        manifests: digest → what is known.
        gates: digest → gates passed.
        promoted: what was promoted and not rolled back, the current one last.
        history: every change of it, oldest first.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    names: dict[Name, Sha256] = Field(default_factory=dict)
    manifests: dict[Sha256, AdapterManifest] = Field(default_factory=dict)
    gates: dict[Sha256, GatesPassed] = Field(default_factory=dict)
    promoted: tuple[Sha256, ...] = ()
    history: tuple[Event, ...] = ()

    @property
    def current(self) -> str | None:
        """Digest of the adapter in use, or None."""
        return self.promoted[-1] if self.promoted else None

    def names_of(self, digest: str) -> list[str]:
        """Return every name of an adapter, sorted."""
        return sorted(name for name, each in self.names.items() if each == digest)
