"""What is not installed is named, with the extra that brings it."""

from __future__ import annotations

import sys

import pytest

from llm_judge.cli.extras import require_extra
from llm_judge.errors import UsageError


def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra("this", "some", ("json",))
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"^this needs uvicorn, no_such_module$") as caught:
        require_extra("this", "some", ("json", "uvicorn", "no_such_module"))
    assert caught.value.hint == "pip install 'llm-judge[some]'"
