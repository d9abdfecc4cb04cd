"""Alerts and the dashboard ask for what the service exports, by labels it has, and have a page to read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
from deploy_files import DEPLOY, document
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parent.parent / "service"))
from serving import FAILS_ON, FIRES_ON, UNSURE_ON, running, scripted, service_with

PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/llm-judge.json").read_text("utf-8"))
GUIDE = DEPLOY.parent / "docs/observability.md"
SCRAPED = {
    "up": {"job", "instance"},
    "judge_drift_score_psi": {"policy", "rule"},
}  # the latter of a reference
# Labels of counters that nothing was counted in: nothing was fetched, reloaded or rolled back.
NOT_SEEN = {
    "judge_media_fetches_total": {"outcome"},
    "judge_reloads_total": {"arm", "result"},
    "judge_rollbacks_total": {"limit"},
}
# Those of vLLM 0.33 that are asked for, from its source; a counter gets `_total`, a histogram `_bucket`.
VLLM = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
    "vllm:time_to_first_token_seconds_bucket",
}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Every series of a service that was asked a few things, and the labels of it."""
    service = service_with(scripted())
    with running(service) as url:
        for text in (FIRES_ON, UNSURE_ON, FAILS_ON):
            httpx.post(f"{url}/v1/judge", json={"text": text})
        text = httpx.get(f"{url}/metrics").text
    service.close()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        for suffix in suffixes.get(family.type, ("",)):
            found[family.name + suffix] = set()
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """The name of each series that a query asks for, and the labels it asks by."""
    found = []

    def visit(expression: Any) -> None:
        if isinstance(expression, promql_parser.MatrixSelector):
            expression = expression.vector_selector
        if isinstance(expression, promql_parser.VectorSelector):
            found.append((expression.name, {each.name for each in expression.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in document("prometheus/alerts.yml")["groups"] for rule in group["rules"]]


def queries_of_dashboard() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


@pytest.mark.parametrize("query", [rule["expr"] for rule in alerts()] + list(queries_of_dashboard()))
def test_a_query_asks_for_what_is_exported(query: str, exported: dict[str, set[str]]) -> None:
    asked = selectors(query)
    assert asked
    for name, labels in asked:
        if name.startswith("vllm:"):
            assert name in VLLM
        else:
            known = (exported | SCRAPED)[name] | {"instance", "job"} | NOT_SEEN.get(name, set())
            assert labels <= known, (name, labels - known)


def test_grouping_is_by_labels_that_are_there(exported: dict[str, set[str]]) -> None:
    known = set().union(*exported.values()) | {"instance"}.union(*NOT_SEEN.values())
    for query in [*(rule["expr"] for rule in alerts()), *queries_of_dashboard()]:
        grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
        assert {label.strip() for labels in grouped for label in labels.split(",")} <= known


def test_every_metric_of_the_service_is_on_the_page_about_it(exported: dict[str, set[str]]) -> None:
    text = GUIDE.read_text("utf-8")
    names = {re.sub("_(bucket|count|sum)$", "", name) for name in exported}
    assert {name for name in names if f"`{name}`" not in text and f"`{name}{{" not in text} == set()


def test_every_alert_has_a_severity_a_summary_and_a_section_to_read() -> None:
    headings = {
        re.sub("[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in GUIDE.read_text("utf-8").splitlines()
        if line.startswith("#")
    }
    assert len({rule["alert"] for rule in alerts()}) == len(alerts())
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/observability.md" and anchor in headings, rule["alert"]


def test_the_dashboard_is_whole() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["title"] and (panel["type"] == "row" or panel["targets"])
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__all"} == variables
    folder = document("grafana/provisioning/dashboards/llm-judge.yaml")["providers"][0]["options"]["path"]
    mounts = document("compose.yaml")["services"]["grafana"]["volumes"]
    assert folder in [mount["target"] for mount in mounts if isinstance(mount, dict)]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "--lint-fatal", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
)
def test_promtool_finds_nothing_wrong(words: list[str]) -> None:
    done = subprocess.run(["promtool", *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_alerts_watch_begins_at_zero() -> None:
    service = service_with(scripted())
    text = service.metrics.text().decode()
    service.close()
    for reason in ("abstained", "record_not_kept"):
        assert f'judge_fail_mode_total{{mode="review",reason="{reason}"}} 0.0' in text
