"""Compose file, manifests and images: the shape their tools want, options that exist, nothing left open."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
from deploy_files import DEPLOY, YAML_FILES, document, documents
from jsonschema import Draft202012Validator

from llm_judge.cli.main import app
from llm_judge.engines.vllm.address import parse_address

KUBERNETES = ("1.31", "1.34")
MANIFESTS = [
    each
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for each in documents(path)
]
COMPOSE = document("compose.yaml")
PODS = [each for each in MANIFESTS if each["kind"] == "Deployment"]


def named(kind: str, name: str) -> Any:
    (found,) = [m for m in MANIFESTS if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def options_of_serve() -> set[str]:
    group: Any = typer.main.get_command(app)
    return {name for parameter in group.commands["serve"].params for name in parameter.opts}


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_is_read_strictly(path: Any) -> None:
    assert all(documents(path))


def test_compose_has_the_shape_that_its_schema_asks_for() -> None:
    schema = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    Draft202012Validator(json.loads(schema.read_text("utf-8"))).validate(COMPOSE)


def test_what_compose_names_is_there() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"]), name
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            if isinstance(volume, str):
                assert volume.partition(":")[0] in COMPOSE["volumes"]
            elif volume["source"].startswith("./"):
                assert (DEPLOY / volume["source"]).is_dir()
        build = service.get("build")
        if build:
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    variables = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    example = (DEPLOY / ".env.example").read_text("utf-8")
    assert variables == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_compose_leaves_nothing_open() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged") and service.get("network_mode") is None, name
        if "image" in service and "build" not in service:
            assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: an image without a version changes"
    inner = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    for name in ("vllm", "vllm-second", "postgres", "vllm-router"):
        assert set(COMPOSE["services"][name]["networks"]) <= inner, name


def test_secrets_come_from_outside() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            found = re.findall(
                r"(?im)^[ \t]*(?:- )?\w*(?:password|api_key|secret)\w*[ \t]*[:=][ \t]*(\S+)", text
            )
            assert all(value.startswith(("$", "{", '"$')) for value in found), (path.name, found)
    assert all(each["kind"] != "Secret" for each in MANIFESTS)


def arguments() -> list[tuple[str, list[str]]]:
    pod = named("Deployment", "judge")["spec"]["template"]["spec"]["containers"][0]
    return [("compose", COMPOSE["services"]["judge"]["command"]), ("kubernetes", pod["args"])]


@pytest.mark.parametrize(("where", "words"), arguments())
def test_options_of_the_judge_are_options_of_serve(where: str, words: list[str], tmp_path: Path) -> None:
    given = dict(word.split("=", 1) for word in words)
    assert set(given) <= options_of_serve()
    kind, _, address = given["--engine"].partition(":")
    assert kind == "vllm"
    parsed = parse_address(address.replace("tokenizer=/model", f"tokenizer={tmp_path}"))
    (server,) = parsed.urls
    vllm = COMPOSE["services"]["vllm"]["command"]
    if where == "kubernetes":
        vllm = named("Deployment", "vllm")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--served-model-name={parsed.model}" in vllm and server == "http://vllm:8000"
    assert parsed.wait_s >= 60
    for word in vllm:
        name, _, value = word.partition("=")
        if value.startswith("{"):
            assert json.loads(value), name


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda m: f"{m['kind']}-{m['metadata']['name']}")
def test_manifests_have_the_shape_of_kubernetes(manifest: Any, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("deployment", PODS, ids=lambda each: each["metadata"]["name"])
def test_pods_are_restricted(deployment: Any) -> None:
    """What the `restricted` pod security standard asks for, and a read-only root beside it."""
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod["volumes"])
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        hardened = container["securityContext"]
        assert hardened["readOnlyRootFilesystem"] is True and hardened["allowPrivilegeEscalation"] is False
        assert hardened["capabilities"] == {"drop": ["ALL"]}
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_probes_ask_the_right_question() -> None:
    """A judge that cannot judge gets no requests, and is not restarted for what is not its fault."""
    (container,) = named("Deployment", "judge")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    pod = named("Deployment", "judge")["spec"]["template"]["spec"]
    drain = 30 + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > drain


def test_selectors_find_pods_and_scaling_finds_its_deployment() -> None:
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in PODS}
    for name in ("judge", "vllm"):
        wanted = labels[name].items()
        assert named("Service", name)["spec"]["selector"].items() <= wanted
        assert named("Deployment", name)["spec"]["selector"]["matchLabels"].items() <= wanted
        assert named("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"].items() <= wanted
        assert named("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"].items() <= wanted
    scaler = named("HorizontalPodAutoscaler", "judge")["spec"]
    assert (
        scaler["scaleTargetRef"]["name"] == "judge" and "replicas" not in named("Deployment", "judge")["spec"]
    )
    assert scaler["metrics"][0]["pods"]["metric"]["name"] == "judge_queue_items"


def test_everything_is_closed_that_is_not_opened() -> None:
    closed = named("NetworkPolicy", "nothing")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "egress" not in named("NetworkPolicy", "vllm")["spec"]  # content goes in, and nothing goes out


def test_the_kustomization_names_every_file() -> None:
    listed = document("kubernetes/kustomization.yaml")["resources"]
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == there


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_kustomization() -> None:
    words = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.count("\nkind:") + done.stdout.startswith("kind:") == len(MANIFESTS)


def test_the_image_is_small_runs_as_nobody_and_starts_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    steps = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = steps[max(i for i, step in enumerate(steps) if step.startswith("FROM ")) :]
    assert last.index("USER 10001:10001") < [step.split()[0] for step in last].index("ENTRYPOINT")
    assert not [step for step in last if "pip install" in step]
    (entry,) = [step.partition(" ")[2] for step in last if step.startswith("ENTRYPOINT")]
    program, command, *options = json.loads(entry)
    assert (program, command) == ("llm-judge", "serve") and set(options[::2]) <= options_of_serve()
    for step in steps:
        if step.startswith("COPY ") and "--from" not in step:
            for source in shlex.split(step)[1:-1]:
                assert (DEPLOY.parent / source).exists(), source
    extras = re.search(r"ARG EXTRAS=(\S+)", text)
    assert extras is not None
    project = (DEPLOY.parent / "pyproject.toml").read_text("utf-8")
    built = COMPOSE["services"]["judge"]["build"]["args"]["EXTRAS"]
    for extra in {*extras[1].split(","), *built.split(",")}:
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = {
        s
        for step in steps
        if step.startswith("COPY ") and "--from" not in step
        for s in shlex.split(step)[1:-1]
    }
    assert ignored[0] == "*" and {line[1:] for line in ignored if line.startswith("!")} == copied
