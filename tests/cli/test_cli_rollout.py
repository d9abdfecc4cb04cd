"""`llm-judge rollout` against a served process: a trial from its first comparison to its end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cli_runs import FIRES, POLICY

sys.path.insert(0, str(Path(__file__).parent.parent / "service"))
from processes import address_in, start

CANDIDATE = POLICY.replace("version: 1.0.0", "version: 2.0.0").replace("do: remove", "do: review")


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """A service that tries a candidate which reviews what is removed."""
    (folder / "next.yaml").write_text(CANDIDATE)
    process, log = start(folder, "--shadow-policies", "next.yaml", "--shadow-log", "compared.jsonl")
    try:
        yield address_in(log, process)
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_trial_from_the_first_comparison_to_its_end(llm_judge, folder: Path, url: str) -> None:
    for number in range(4):
        text = FIRES if number else "A calm day."
        assert httpx.post(f"{url}/v1/judge", json={"text": text}, timeout=60).status_code == 200
    ends = time.monotonic() + 60
    while len((folder / "compared.jsonl").read_text().splitlines()) < 4:
        assert time.monotonic() < ends
        time.sleep(0.05)

    shown = llm_judge("rollout", "report", "compared.jsonl")
    assert shown.code == 0 and "1/4 25 % (5–70)" in shown.out
    assert "remove" in shown.out and "3/4" in shown.out
    one = json.loads(llm_judge("rollout", "report", "compared.jsonl", "--json").out)
    other = json.loads(llm_judge("rollout", "report", "--url", url, "--json").out)
    assert one == other
    assert one["agreement"]["count"] == 1 and one["compared"] == 4
    assert one["flips"] == [{"stable": "remove", "candidate": "review", "count": 3}]
    assert one["stable"]["policy_digest"] != one["candidate"]["policy_digest"]

    said = llm_judge("rollout", "set", "100", "--url", url, "--reason", "it looks good").out
    assert "share      100 % (it looks good)" in said
    reply = httpx.post(f"{url}/v1/judge", json={"text": FIRES}, timeout=60).json()
    assert (reply["action"], reply["arm"], reply["policies"]) == (
        "review",
        "candidate",
        {"demo/sales": "2.0.0"},
    )
    assert "share      0 %" in llm_judge("rollout", "set", "0", "--url", url).out
    assert httpx.post(f"{url}/v1/judge", json={"text": FIRES}, timeout=60).json()["action"] == "remove"
    assert "candidate  files, policies" in llm_judge("rollout", "status", "--url", url).out

    (folder / "sales.yaml").write_text(POLICY.replace("severity: 2", "severity: 3"))
    said = llm_judge("rollout", "reload", "--url", url).out
    assert "stable: files is in force; policy digest, prompt digest changed" in said
    assert "candidate: files is in force; nothing changed" in said
    (folder / "next.yaml").write_text("schema: 1\n")
    refused = llm_judge("rollout", "reload", "--url", url)
    assert refused.code == 2 and "candidate: " in refused.err and "stable: in force" in refused.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "none.jsonl"), "cannot read"),
        (("report", "sales.yaml"), "sales.yaml:1: this is no comparison"),
        (("report", "empty.jsonl"), "holds no comparison yet"),
        (("status", "--url", "localhost"), "not the address"),
        (("status", "--url", "http://127.0.0.1:1"), "cannot be reached"),
        (("set", "0", "--reason", "two\nlines"), "one line"),
    ],
)
def test_every_wrong_word_is_one_line(llm_judge, folder: Path, words: tuple[str, ...], told: str) -> None:
    (folder / "empty.jsonl").touch()
    ended = llm_judge("rollout", *words)
    assert ended.code == 2 and told in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--candidate-share", "5"), "need a candidate"),
        (("--shadow-log", "c.jsonl"), "need a candidate"),
        (("--shadow-policies", "sales.yaml", "--shadow-bundle", "b"), "does not go with"),
        (("--shadow-policies", "none.yaml"), "none.yaml"),
        (("--shadow-engine", "nothing"), "unknown engine"),
        (("--shadow-engine", "scripted:script.json", "--rollback-at", "speed=1"), "unknown limit"),
        (("--shadow-engine", "scripted:script.json", "--rollback-at", "p95_ms=fast"), "is no number"),
        (("--shadow-engine", "scripted:script.json", "--rollback-at", "undecided=2"), "out of range"),
        (("--shadow-engine", "scripted:script.json", "--rollback-at", "minimum=5000"), "over window"),
        (("--shadow-engine", "scripted:script.json", "--shadow-log", "none/c.jsonl"), "cannot write"),
    ],
)
def test_serve_refuses_a_trial_that_cannot_be(
    llm_judge, folder: Path, words: tuple[str, ...], told: str
) -> None:
    ended = llm_judge("serve", "-p", "sales.yaml", "-e", "scripted:script.json", "--port", "0", *words)
    assert ended.code == 2 and told in ended.err
