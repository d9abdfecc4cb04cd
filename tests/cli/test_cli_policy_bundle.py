"""Bundles and overlays as a person uses them, up to the judge that serves the bundle in force."""

from __future__ import annotations

import json

import pytest
from cli_runs import FIRES, POLICY

OVERLAY = """\
schema: 1
overlay: night
version: 1.2.0
title: Late at night
owner: demo-team
applies_to: {surfaces: [night]}
changes:
  - policy: demo/sales
    because: Nobody reads at night.
    actions_first:
      - {rules: [MS1], do: review}
"""


@pytest.fixture
def guidelines(folder):
    """Guidelines in ``policies``, with the overlay ``night``; a key pair ``k``."""
    (folder / "policies" / "demo").mkdir(parents=True)
    (folder / "policies" / "overlays").mkdir()
    (folder / "empty").mkdir()
    (folder / "policies" / "demo" / "sales.yaml").write_text(POLICY)
    (folder / "policies" / "overlays" / "night.yaml").write_text(OVERLAY)
    return folder


@pytest.fixture
def bundle(guidelines, llm_judge):
    assert llm_judge("policy", "bundle", "keygen", "k").code == 0

    def run(*words):
        return llm_judge("policy", "bundle", *words)

    return run


def build(bundle, name, sequence, *words):
    run = bundle("build", "-p", "policies", "-o", name, "--sequence", str(sequence), *words)
    assert (run.code, run.err) == (0, "")


def test_a_refused_bundle_leaves_the_judge_serving_the_last_good_one(guidelines, bundle, llm_judge):
    def judged(*words):
        run = llm_judge("judge", FIRES, "--bundle", "store", "-e", "scripted:script.json", "--json", *words)
        return run.records[0]

    build(bundle, "1.tar", 1, "--key", "k")
    assert bundle("install", "1.tar", "--into", "store", "--key", "k.pub").code == 0
    first = judged()
    assert (first["action"], first["policies"]) == ("remove", {"demo/sales": "1.0.0"})
    shown = json.loads(bundle("show", "1.tar", "--json").out)
    assert shown["policy_digest"] == first["run"]["policy_digest"]

    sales = guidelines / "policies" / "demo" / "sales.yaml"
    sales.write_text(POLICY.replace("1.0.0", "2.0.0").replace("do: remove", "do: label"))
    build(bundle, "2.tar", 2, "--key", "k")
    good = (guidelines / "2.tar").read_bytes()
    (guidelines / "2.tar").write_bytes(good.replace(b"do: label", b"do: allow", 1))
    run = bundle("install", "2.tar", "--into", "store")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "error: bundle `2.tar` is refused: `policies/demo/sales.yaml` was changed\n"
        "  = help: sequence 1 stays in force\n"
    )
    assert "sequence 1, " in bundle("show", "store").out
    assert json.loads(bundle("show", "store", "--json").out) == shown
    assert "nothing was in force before" in bundle("install", "2.tar", "--into", "other").err
    build(bundle, "unsigned.tar", 3)
    assert "it is not signed" in bundle("install", "unsigned.tar", "--into", "store").err
    assert judged()["policies"] == {"demo/sales": "1.0.0"}

    (guidelines / "2.tar").write_bytes(good)
    assert bundle("install", "2.tar", "--into", "store").code == 0
    assert (judged()["action"], judged()["policies"]) == ("label", {"demo/sales": "2.0.0"})
    run = bundle("install", "1.tar", "--into", "store")
    assert "is older than the one in force (sequence 1, in force 2)" in run.err
    assert judged("--overlay", "night")["policies"] == {"demo/sales": "2.0.0+night.1.2.0"}


def test_the_judge_uses_the_prompts_of_the_bundle(guidelines, bundle, llm_judge):
    from shutil import copytree

    from llm_judge.resources import content_folder

    copytree(content_folder("prompts"), guidelines / "prompts")
    build(bundle, "1.tar", 1, "--prompts", "prompts")
    rule = guidelines / "prompts" / "compact" / "rule.j2"
    rule.write_text(rule.read_text() + " Think twice.")
    build(bundle, "2.tar", 2, "--prompts", "prompts")
    digests = []
    for name in ("1.tar", "2.tar"):
        assert bundle("install", name, "--into", "store").code == 0
        run = llm_judge("judge", "Hello.", "--bundle", "store", "-e", "scripted:script.json", "--json")
        digests.append((run.records[0]["run"]["policy_digest"], run.records[0]["run"]["prompt_digest"]))
    assert digests[0][0] == digests[1][0]
    assert digests[0][1] != digests[1][1]
    rule.write_text("{{ no_such_variable }}")
    run = bundle("build", "-p", "policies", "--prompts", "prompts", "-o", "3.tar")
    assert run.code == 2
    assert "a prompt template of dialect `compact` is wrong" in run.err


def test_verify_says_good_or_why_not(guidelines, bundle, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    assert bundle("build", "-p", "policies", "-o", "a.tar", "--key", "k").code == 0
    assert bundle("build", "-p", "policies", "-o", "b.tar", "--key", "k").code == 0
    assert (guidelines / "a.tar").read_bytes() == (guidelines / "b.tar").read_bytes()
    run = bundle("verify", "a.tar", "--key", "k.pub")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("good: sequence 1767225600, 2026-01-01T00:00:00Z, ")
    assert "who signed it was not checked" in bundle("verify", "a.tar").err
    bundle("keygen", "other")
    assert bundle("verify", "a.tar", "--key", "other.pub").code == 1
    assert "policies/demo/sales.yaml" in bundle("show", "a.tar").out
    (guidelines / "a.tar").write_bytes(b"nothing")
    run = bundle("verify", "a.tar")
    assert (run.code, run.err) == (1, "error: bundle `a.tar` is refused: it is not a bundle\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "none.tar"], "there is no bundle `none.tar`"),
        (["verify", "policies"], "there is no bundle `policies`"),
        (["verify", "a.tar", "--key", "none.pub"], "there is no key file `none.pub`"),
        (["verify", "a.tar", "--key", "k"], "`k` is not an Ed25519 public key"),
        (["build", "-o", "x.tar", "--key", "k.pub"], "private key `k.pub` can be read by others"),
        (["build", "-o", "none/x.tar", "-p", "policies"], "`none/x.tar` cannot be written"),
        (["build", "-o", "x.tar", "-p", "none"], "there is no folder `none`"),
        (["build", "-o", "x.tar", "-p", "empty"], "there is no policy to judge by"),
        (["install", "a.tar", "--into", "sales.yaml"], "`sales.yaml` cannot be written"),
        (["show", "policies"], "no bundle is in force in `policies`"),
        (["keygen", "k"], "`k.pub` is there already"),
        (["keygen", "none/k"], "`none/k.pub` cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(guidelines, bundle, words, message):
    build(bundle, "a.tar", 1)
    run = bundle(*words)
    assert run.code == 2
    assert run.err.startswith(f"error: {message}")
    assert not (guidelines / "x.tar").exists()


def test_a_bundle_does_not_mix_with_policies_and_must_be_there(folder, llm_judge):
    run = llm_judge("judge", "Hi.", "--bundle", "store", "-p", "sales.yaml", "-e", "scripted:script.json")
    assert (run.code, "--bundle does not go with --policies" in run.err) == (2, True)
    run = llm_judge("judge", "Hi.", "--bundle", "store", "-e", "scripted:script.json")
    assert (run.code, "no bundle is in force in `store`" in run.err) == (2, True)


def test_an_overlay_changes_the_decision_and_shows_in_the_record(guidelines, llm_judge):
    def record(*words):
        run = llm_judge(
            "judge",
            FIRES,
            "-p",
            "policies",
            "-e",
            "scripted:script.json",
            "--json",
            "--only",
            "demo/sales",
            *words,
        )
        return run.records[0]

    plain, laid = record(), record("--overlay", "night")
    assert (plain["action"], laid["action"]) == ("remove", "review")
    assert laid["policies"] == {"demo/sales": "1.0.0+night.1.2.0"}
    assert laid["run"]["policy_digest"] != plain["run"]["policy_digest"]
    assert record("--overlay", "policies/overlays/night.yaml")["run"] == laid["run"]


def test_show_prints_the_origin_of_every_line(guidelines, llm_judge):
    run = llm_judge("policy", "show", "demo/sales", "-p", "policies", "--overlay", "night")
    lines = {
        text.strip(): origin
        for text, _, origin in (line.partition(" # from ") for line in run.out.splitlines())
    }
    assert lines["- {rules: [MS1], do: review}"] == "policies/overlays/night.yaml:11"
    assert lines["severity: 4"] == "policies/demo/sales.yaml:13"
    assert all(lines.values())
    data = json.loads(llm_judge("policy", "show", "demo/sales", "-p", "policies", "--json").out)
    assert (data["overlays"], data["merged"]["rules"][0]["id"]) == ([], "MS1")
    assert data["lines"][1] == {"text": "policy: demo/sales", "file": "policies/demo/sales.yaml", "line": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["policy", "show", "demo/sales", "-p", "policies", "--overlay", "nihgt"], "did you mean `night`?"),
        (["policy", "show", "demo/slaes", "-p", "policies"], "did you mean `demo/sales`?"),
        (
            ["show", "prompt", "Hi.", "-p", "policies", "--overlay", "none.yaml"],
            "there is no file `none.yaml`",
        ),
    ],
)
def test_wrong_names_are_told(guidelines, llm_judge, words, message):
    run = llm_judge(*words)
    assert (run.code, run.out) == (2, "")
    assert message in run.err
