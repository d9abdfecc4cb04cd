"""Overlay files in, policies with the overlays laid over them out, or every problem at once.

An overlay changes the guidelines for a market, a surface or an age band; it stands in the folder
``overlays`` below the policies. ``overlay_model`` says what it holds, ``overlay_check`` what can be wrong
with it and ``merge`` what it does. Read as strictly as a policy. Knows nothing about prompts or models.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError
from llm_judge.policy.load import has_errors, wrong_files
from llm_judge.policy.merge import apply_overlays
from llm_judge.policy.overlay_check import check_overlay
from llm_judge.policy.overlay_model import Overlay
from llm_judge.policy.shape import shape, suggestion
from llm_judge.source import Source, decode, quoted, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import Policy

FOLDER = "overlays"
# What only shows where several overlays meet.
_BETWEEN_OVERLAYS = ("P101", "P130")


def parse_overlay(
    text: str,
    file: str,
    policies: Sequence[Policy],
    elsewhere: Collection[str] = (),
    merged: Sequence[Policy] | None = None,
) -> tuple[Overlay | None, list[Diagnostic]]:
    """Read one overlay from text.

    Args:
        text: the YAML.
        file: the name to show in diagnostics.
        policies: the policies as written.
        elsewhere: ids of policies that exist besides; changes of them are not checked.
        merged: the policies with earlier overlays laid over them, where there are any.

    Returns:
        The overlay, or None where anything is wrong, and every problem in file order.
    """
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, overlay, wrong = shape(root, Overlay, source)
    meant = check_overlay(tree, source, policies, elsewhere)
    if merged is not None:
        known = {*elsewhere, *(policy.policy for policy in policies)}
        between = check_overlay(tree, source, merged, known)
        meant += [each for each in between if each.code in _BETWEEN_OVERLAYS and each not in meant]
    found = sorted([*found, *wrong, *meant], key=lambda diagnostic: diagnostic.span)
    return None if has_errors(found) else overlay, found


def lay_over(
    policies: Sequence[Policy], texts: Mapping[str, str], elsewhere: Collection[str] = ()
) -> tuple[tuple[Policy, ...], tuple[Overlay, ...]]:
    """Read overlays in order and lay each over what the earlier ones made.

    Args:
        policies: the policies as written.
        texts: file name → text of each overlay.
        elsewhere: see ``parse_overlay``.

    Returns:
        The merged policies, and the overlays.

    Raises:
        PolicyError: an overlay is wrong; ``diagnostics`` holds every problem of every overlay.
        UsageError: an overlay changes none of the policies.
    """
    merged, overlays, found = tuple(policies), [], []
    for file, text in texts.items():
        overlay, wrong = parse_overlay(text, file, policies, elsewhere, merged)
        found += wrong
        if overlay is not None:
            overlays.append(overlay)
            merged = apply_overlays(merged, [overlay])
    if has_errors(found):
        raise wrong_files(found)
    here = {policy.policy for policy in policies}
    for overlay in overlays:
        if not here & {change.policy for change in overlay.changes}:
            names = ", ".join(f"`{change.policy}`" for change in overlay.changes)
            raise UsageError(
                f"overlay `{overlay.overlay}` changes none of these policies", f"it changes {names}"
            )
    return merged, tuple(overlays)


def load_overlays(
    policies: Sequence[Policy], wanted: Sequence[str], folders: Sequence[Path]
) -> tuple[tuple[Policy, ...], tuple[Overlay, ...]]:
    """Find overlays by name or path and lay them over the policies, in the given order.

    Args:
        policies: the policies as written.
        wanted: names (``age_teen``) or files (``house/night.yaml``).
        folders: folders of policies; overlays with a name stand in the folder ``overlays`` of one.

    Raises:
        UsageError: no overlay has that name, or one changes none of the policies.
        PolicyError: a file cannot be read, or is wrong.
    """
    paths = list(dict.fromkeys(_find(name, folders) for name in wanted))
    texts: dict[str, str] = {}
    found: list[Diagnostic] = []
    for path in paths:
        text, wrong = decode(read(path), str(path))
        found += wrong
        texts[str(path)] = text or ""
    if found:
        raise wrong_files(found)
    return lay_over(policies, texts, policy_ids_below([*folders, *(path.parent.parent for path in paths)]))


def overlay_files(folder: Path) -> list[Path]:
    """Return the overlays of a folder of policies, sorted by name."""
    return sorted(path for path in (folder / FOLDER).glob("*.yaml") if not path.name.startswith("."))


def _find(name: str, folders: Sequence[Path]) -> Path:
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    known = {path.stem: path for folder in reversed(folders) for path in overlay_files(folder)}
    if name not in known:
        raise UsageError(f"there is no overlay {quoted(name)}", suggestion(name, sorted(known), "overlays"))
    return known[name]


def policy_ids_below(folders: Sequence[Path]) -> set[str]:
    """Return the id of every policy file below the folders: it is the file's path."""
    return {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders
        for path in folder.glob("*/*.yaml")
        if not path.name.endswith(".cases.yaml") and path.parent.name != FOLDER
    }
