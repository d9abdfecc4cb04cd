"""What goes into a bundle, and what comes out of one: policies, cases, overlays and prompts.

A folder of guidelines is checked before it is collected, and a bundle's policies are read from the bundle
itself, never from files beside it. Knows nothing about archives, signatures or compiling.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.archive import MAX_FILE_BYTES
from llm_judge.policy.cases import cases_path, load_cases
from llm_judge.policy.format import format_text
from llm_judge.policy.load import parse_policy, scan_policies, wrong_files
from llm_judge.policy.overlay import FOLDER, lay_over, overlay_files
from llm_judge.policy.shape import suggestion
from llm_judge.source import decode, quoted, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.bundle import Bundle
    from llm_judge.policy.model import Policy

POLICIES, PROMPTS = "policies", "prompts"
_OVERLAYS = f"{POLICIES}/{FOLDER}"


def collect(folder: Path, prompts: Path) -> tuple[dict[str, bytes], tuple[Policy, ...]]:
    """Return the files of a bundle and the policies among them.

    Policies with status `test` or `stable` go in, with their cases, the media those name, and the
    overlays, all YAML in canonical form.

    Args:
        folder: the folder of the guidelines, with ``overlays`` below it.
        prompts: the folder of the prompt templates.

    Raises:
        UsageError: one of them is no folder.
        PolicyError: a policy, its cases or an overlay is wrong, or there is no policy.
    """
    for place in (folder, prompts):
        if not place.is_dir():
            raise UsageError(f"there is no folder `{place}`", "name the folder of the guidelines")
    loaded = scan_policies([folder])
    if not loaded.policies:
        raise PolicyError(f"there is no policy to judge by in `{folder}`")
    files: dict[str, bytes] = {}
    for policy in loaded.policies:
        files.update(_policy_files(policy))
    for path in overlay_files(folder):
        name = f"{_OVERLAYS}/{path.name}"
        text = _text(path)
        lay_over(loaded.policies, {str(path): text})
        files[name] = _canonical(text, path, name)
    for path in sorted(prompts.glob("*/*.j2")):
        files[f"{PROMPTS}/{path.relative_to(prompts).as_posix()}"] = _read(path)
    return files, loaded.policies


def _policy_files(policy: Policy) -> dict[str, bytes]:
    path = Path(policy.at.file if policy.at else "")
    name = f"{POLICIES}/{policy.policy}"
    files = {f"{name}.yaml": _canonical(_text(path), path, f"{name}.yaml")}
    cases = cases_path(path)
    if cases.exists():
        loaded = load_cases(cases, policy)
        files[f"{name}.cases.yaml"] = _canonical(_text(cases), cases, f"{name}.cases.yaml")
        area = name.rpartition("/")[0]
        for case in loaded:
            if case.file and case.media:
                files[f"{area}/{case.file}"] = _read(case.media)
    return files


def policies_of(bundle: Bundle, overlays: Sequence[str] = ()) -> tuple[Policy, ...]:
    """Return the policies of a bundle, sorted by id, with overlays of the bundle laid over them.

    Raises:
        PolicyError: a policy or an overlay is wrong, or there is no policy.
        UsageError: the bundle has no overlay of that name.
    """
    texts = bundle.texts(POLICIES, ".yaml")
    policies: list[Policy] = []
    found: list[Diagnostic] = []
    for path, text in texts.items():
        if path.endswith(".cases.yaml") or path.startswith(f"{FOLDER}/"):
            continue
        policy, wrong = parse_policy(text, f"{bundle.name}:{POLICIES}/{path}")
        found += wrong
        if policy is not None:
            policies.append(policy)
    if found:
        raise wrong_files(found)
    if not policies:
        raise PolicyError(f"bundle `{bundle.name}` holds no policy")
    if not overlays:
        return tuple(policies)
    known = overlay_names(bundle)
    for name in overlays:
        if name not in known:
            message = f"bundle `{bundle.name}` has no overlay {quoted(name)}"
            raise UsageError(message, suggestion(name, known, "overlays"))
    chosen = {f"{bundle.name}:{_OVERLAYS}/{n}.yaml": texts[f"{FOLDER}/{n}.yaml"] for n in overlays}
    return lay_over(policies, chosen)[0]


def overlay_names(bundle: Bundle) -> list[str]:
    """Return the names of the overlays in a bundle."""
    return [path.removesuffix(".yaml") for path in bundle.texts(_OVERLAYS, ".yaml")]


def prompts_of(bundle: Bundle) -> dict[str, str]:
    """Return path below ``prompts/``, such as ``compact/rule.j2`` → text of the template."""
    return bundle.texts(PROMPTS, ".j2")


def _text(path: Path) -> str:
    text, found = decode(read(path), str(path))
    if text is None:
        raise wrong_files(found)
    return text


def _canonical(text: str, path: Path, name: str) -> bytes:
    """Return a file as ``policy fmt`` writes it: how it was laid out must not make another bundle."""
    written, found = format_text(text, Path("/bundle") / name)
    if written is None:
        raise wrong_files([replace(each, span=replace(each.span, file=str(path))) for each in found])
    return written.encode()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MAX_FILE_BYTES:
        raise PolicyError(f"`{path}` is over {MAX_FILE_BYTES // 2**20} MiB")
    return data
