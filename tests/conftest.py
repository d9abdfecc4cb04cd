"""What the tests of compiling, judging and recording share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from samples import make_content, make_policy, make_rule, opened

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.judge import Judge
from llm_judge.policy.model import Policy
from llm_judge.record import DecisionRecord

# A busy machine is no reason for a test to fail.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A ``PostgresServer``."""
    from llm_judge.reliability.postgres import PostgresServer, programs

    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(folder)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file or address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "records.sqlite3")
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture(scope="session")
def policies() -> tuple[Policy, ...]:
    """Two areas: plants with two rules, one of them with two exemptions, and sales with one."""
    plants = make_policy("garden/plants", (make_rule("R1"), make_rule("R2", ("satire", "study"))))
    return plants, make_policy("market/sales", (make_rule("S1", ("news",), severity=5),))


@pytest.fixture
def make_record(policies: tuple[Policy, ...]) -> Callable[..., DecisionRecord]:
    """Judge one text by ``policies``: R1 fires where the text says "drown"."""
    answer = {
        "evidence": [1],
        "exemption": "none",
        "severity": 2,
        "rationale": "Says so.",
        "verdict": "violates",
    }
    engine = opened(
        ("R1", "drown", {"yes": 0.95, "no": 0.05}), ("*", "", {"no": 0.98}), completions=[("drown", answer)]
    )
    target = TargetModel("words", engine.context_tokens, engine.count_tokens)
    judge = Judge(compile_policies(policies, target), engine)

    def make(text: str = "Please drown it.", id: str = "item") -> DecisionRecord:
        return judge.judge(make_content(text, id=id))

    return make
