"""A typed client of ``/v1/admin``: reload, and the share that a candidate answers.

with AdminClient("http://127.0.0.1:8000") as client:
    client.set_share(0, "the candidate removes satire")
"""

from __future__ import annotations

import json

from llm_judge.client import JudgeClient, _get, _Send, _steps
from llm_judge.service.rollout.wire import ReloadReply, RolloutReply

_PATH = "/v1/admin/rollout"
_JSON = {"Content-Type": "application/json"}


class AdminClient(JudgeClient):
    """``JudgeClient`` with a key of the scope `admin`; every call raises ``ServiceError`` where it fails."""

    def reload(self) -> ReloadReply:
        """Load guidelines, calibration and adapters anew; waits until they answer or are refused."""
        return self._take(_steps(_Send("POST", "/v1/admin/reload", b"{}", _JSON), ReloadReply, 0))

    def rollout(self) -> RolloutReply:
        """Return what is in force, and how the candidate does."""
        return self._take(_steps(_get(_PATH), RolloutReply, self._retries))

    def set_share(self, percent: float, reason: str | None = None) -> RolloutReply:
        """Let the candidate answer this share of the items from now on; 0 rolls back."""
        said = {"share": percent} if reason is None else {"share": percent, "reason": reason}
        send = _Send("PUT", _PATH, json.dumps(said).encode(), _JSON)
        return self._take(_steps(send, RolloutReply, self._retries))
