"""Files the content tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_judge.content.content import Content
from llm_judge.content.open import open_content

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture(scope="session")
def english_speech() -> Path:
    """About five seconds: "The garden is full of flowers this morning. Please water them." """
    return FIXTURES / "speech_en.ogg"


@pytest.fixture(scope="session")
def spanish_speech() -> Path:
    """About four seconds: "Hoy hace muy buen tiempo y vamos todos juntos a la playa." """
    return FIXTURES / "speech_es.ogg"


@pytest.fixture(scope="session")
def english_content(english_speech: Path) -> Content:
    """That clip as content, heard once for all tests."""
    return open_content(english_speech)
