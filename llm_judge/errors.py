"""Every error a person can meet, as one tree.

* JudgeError                 base: one message, one hint, an exit code
  * UsageError               the command line or configuration asks for something impossible
  * PolicyError              guideline files are wrong; carries the diagnostics
  * BudgetExceeded           a compiled policy does not fit the target model
  * ContentError             one item cannot be judged; other items go on
    * ContentNotFound        no such file, or no permission to read it
    * ContentEmpty           nothing to judge
    * ContentTooLarge        over a byte, pixel, frame or length cap
    * ContentUnsupported     a format this build does not read
    * ContentDamaged         truncated, mislabelled or undecodable
    * ContentUnperceived     readable, but nothing in it can be judged (sound without speech)
  * PackageError             a packaged model is missing, damaged or cannot be fetched
  * EngineError              the engine cannot answer
    * EngineUnavailable      it could not be started or reached
  * StoreError               the record store cannot be used, or refuses what it was asked
    * StoreUnavailable       it cannot be reached, is locked or is full; the same call may work later
    * RecordConflict         another record is stored under this decision id
  * OutputError              results cannot be written; nothing already written is lost
  * Interrupted              stopped by the user after the current batch was written

Messages are lower case without a full stop, put the user's own words in backticks and never break
the line; the fix goes into ``hint``. Knows nothing about how errors are printed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What the shell sees.

    OK: done, nothing found. FOUND: done, a rule fired or a check failed. COULD_NOT_RUN: bad usage,
    missing file, engine down. UNDECIDED: ran, but at least one item has no decision of its own.
    """

    OK = 0
    FOUND = 1
    COULD_NOT_RUN = 2
    UNDECIDED = 3


class JudgeError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: one line that says what is wrong and where.
        hint: one line that says what to do about it, or nothing.
    """

    exit_code: ExitCode = ExitCode.COULD_NOT_RUN
    retryable: bool = False

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(JudgeError):
    """The command line or configuration asks for something impossible."""


class PolicyError(JudgeError):
    """Guideline files are wrong; ``diagnostics`` holds every problem found, in file order."""

    def __init__(self, message: str, diagnostics: Sequence[object] = (), hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.diagnostics = tuple(diagnostics)


class BudgetExceeded(JudgeError):
    """A compiled policy does not fit the target model's context."""


class ContentError(JudgeError):
    """One item cannot be judged; the others go on."""

    exit_code = ExitCode.UNDECIDED


class ContentNotFound(ContentError):
    """No such file, or no permission to read it."""

    exit_code = ExitCode.COULD_NOT_RUN


class ContentEmpty(ContentError):
    """Nothing to judge."""


class ContentTooLarge(ContentError):
    """Over a byte, pixel, frame or length cap."""


class ContentUnsupported(ContentError):
    """A format this build does not read."""


class ContentDamaged(ContentError):
    """Truncated, mislabelled or undecodable."""


class ContentUnperceived(ContentError):
    """Readable, but nothing in it can be judged, such as sound without speech."""


class PackageError(JudgeError):
    """A packaged model is missing, damaged or cannot be fetched."""


class EngineError(JudgeError):
    """The engine cannot answer."""


class EngineUnavailable(EngineError):
    """The engine could not be started or reached."""

    retryable = True


class StoreError(JudgeError):
    """The record store cannot be used, or refuses what it was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked or is full; nothing was written."""

    retryable = True


class RecordConflict(StoreError):
    """Another record is stored under this decision id; the stored one stays."""


class OutputError(JudgeError):
    """Results cannot be written; what was written before stays."""


class Interrupted(JudgeError):
    """Stopped by the user after the current batch was written."""

    exit_code = ExitCode.UNDECIDED
