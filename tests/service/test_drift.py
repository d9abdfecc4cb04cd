"""Drift of a running service: gauges of its answers against a reference."""

from __future__ import annotations

import re

import httpx
import pytest
from serving import FIRES_ON, guidelines, running, scripted

from llm_judge.content.text import from_text
from llm_judge.drift.reference import Reference, reference_of
from llm_judge.service.judges import Judges
from llm_judge.service.rollout.rollout import RolloutPlan
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.state import build


def gauge(text: str, name: str, rule: str = "R1") -> float | None:
    found = re.search(rf'judge_drift_{name}{{policy="garden/plants",rule="{rule}"}} (\S+)', text)
    return None if found is None else float(found[1])


def reference(judges: Judges) -> Reference:
    """R1 fires on a tenth."""
    texts = [FIRES_ON] * 10 + ["Water it."] * 90
    return reference_of(judges.plain.judge(from_text(text)).as_json() for text in texts)


@pytest.mark.parametrize(("share", "counted"), [(0.0, 1), (100.0, 0)])
def test_answers_of_a_candidate_are_no_drift(share: float, counted: int) -> None:
    engine = scripted()
    judges, candidate = Judges(guidelines(), engine), Judges(guidelines(), engine)
    plan = RolloutPlan(share=share)
    service = build(judges, candidate=candidate, plan=plan, reference=reference(candidate))
    with running(service) as url:
        assert httpx.post(f"{url}/v1/judge", json={"text": FIRES_ON}, timeout=60).status_code == 200
        assert f"judge_drift_items {counted}.0" in httpx.get(f"{url}/metrics", timeout=60).text
    service.close()


def test_gauges_say_how_far_answers_moved() -> None:
    judges = Judges(guidelines(), scripted())
    known = reference(judges)
    service = build(judges, ServiceSettings(drift_items=200), reference=known)
    with running(service) as url, httpx.Client(base_url=url, timeout=60) as client:
        items = [{"text": FIRES_ON}] * 25 + [{"text": "Water it."}] * 25
        for asked in range(4):
            text = client.get("/metrics").text
            assert f"judge_drift_items {50.0 * asked}" in text
            assert (gauge(text, "flag_rate") is None) == (asked < 2)  # too few items say nothing
            assert client.post("/v1/judge/batch", json={"items": items}).json()["decided"] == 50
        text = client.get("/metrics").text
        assert gauge(text, "flag_rate") == 0.5 and gauge(text, "reference_flag_rate") == 0.1
        assert gauge(text, "abstain_rate") == 0.0
        assert (gauge(text, "score_psi") or 0) > 0.25
        assert (gauge(text, "score_psi", "R2") or 0) < 0.1
    service.close()
