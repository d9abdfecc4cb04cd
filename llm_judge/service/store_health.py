"""Whether records can be kept at the moment, for readiness; asked seldom, however often readiness is.

Knows nothing about HTTP or how a store keeps.
"""

from __future__ import annotations

import asyncio
import time

from llm_judge.errors import StoreError
from llm_judge.service.engine_queue import log_error
from llm_judge.service.keeping import Records

_WRONG = "the record store cannot be used at the moment"


class StoreHealth:
    """Remembers how the last look at the store went. Used from one event loop at a time.

    Args:
        records: looked at; None is always fine.
        seconds: how long a look stays good.
    """

    def __init__(self, records: Records | None, seconds: float = 2.0) -> None:
        self._records = records
        self._seconds = seconds
        self._looking: asyncio.Task[str | None] | None = None
        self._looked_at = -float("inf")
        self.wrong: str | None = None  # what the last look found

    async def look(self) -> str | None:
        """Return why records cannot be kept, None where they can; whoever asks meanwhile shares the look."""
        if self._records is None or time.monotonic() - self._looked_at < self._seconds:
            return self.wrong
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(self._records))
        return await asyncio.shield(self._looking)

    async def _look(self, records: Records) -> str | None:
        before = self.wrong
        try:
            await asyncio.to_thread(records.check)
            self.wrong = None
        except StoreError as error:
            self.wrong = _WRONG
            if before is None:
                log_error("record store failed", error)
        self._looked_at = time.monotonic()
        return self.wrong
