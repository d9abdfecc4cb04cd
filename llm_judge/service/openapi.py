"""`python -m llm_judge.service.openapi`: write docs/openapi.json from the routes, in a checkout."""

from __future__ import annotations

import json
from pathlib import Path

from llm_judge.service.app import bare_app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def page() -> str:
    """Return what the file must hold."""
    return json.dumps(bare_app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
