"""The share of a candidate, kept so that a rollback outlives the process that made it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from llm_judge.durable import replace_file
from llm_judge.json_file import read_json
from llm_judge.record import now
from llm_judge.service.rollout.comparison import Identity

_AGAIN = "remove the file; --candidate-share says what to begin with"


class ShareState(BaseModel):
    """What was last set, and for which candidate.

    Attributes:
        share: percent of the items that the candidate answers.
        reason: why, where somebody or a limit said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    at: str
    candidate: Identity
    share: Annotated[float, Field(ge=0, le=100)]
    reason: str | None


_SHAPE = TypeAdapter(ShareState)


def read_share(path: Path, candidate: Identity) -> ShareState | None:
    """Return what was last set for this candidate; None where nothing was.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    if not os.path.lexists(path):
        return None
    found = read_json(path, _SHAPE, "the state of a rollout", _AGAIN)
    return found if found.candidate == candidate else None


def write_share(path: Path, candidate: Identity, share: float, reason: str | None) -> None:
    """Keep what was set, at once; raises ``OutputError`` where it cannot be."""
    state = ShareState(schema=1, at=now(), candidate=candidate, share=share, reason=reason)
    replace_file(path, state.model_dump_json(by_alias=True, indent=1) + "\n")
