"""What must not change between two versions of a policy unless its version number does.

Records and cases cite rules by id, so an id must keep its meaning within a version. Knows nothing
about where the older version comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.policy.check import PLACEHOLDER
from llm_judge.policy.codes import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import Policy, Rule
    from llm_judge.source import Source


def changed_without_version(old: Policy, new: Policy, source: Source) -> Iterator[Diagnostic]:
    """Yield P121 for every rule that changed or went away while ``version`` did not rise.

    Args:
        old: the policy as it was.
        new: the policy as it is, read from ``source``.
    """
    if _number(new.version) > _number(old.version):
        return
    after = {rule.id: rule for rule in new.rules}
    fix = f"raise `version` above `{old.version}`"
    for rule in old.rules:
        now = after.get(rule.id)
        if now is None and new.at:
            message = f"rule `{rule.id}` is gone, but the version is still `{new.version}`"
            yield report(source, "P121", new.at, message, fix)
        elif now is not None and now.at and (parts := _changed(_meaning(old, rule), _meaning(new, now))):
            message = (
                f"rule `{rule.id}` changed ({', '.join(parts)}), but the version is still `{new.version}`"
            )
            yield report(source, "P121", now.at, message, fix)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _meaning(policy: Policy, rule: Rule) -> dict[str, Any]:
    """What decides a verdict of this rule; titles and examples only illustrate it."""
    texts = (rule.violates, *(exemption.when for exemption in rule.exemptions))
    used = {name for text in texts for name in PLACEHOLDER.findall(text)}
    return {
        "violates": " ".join(rule.violates.split()),
        "severity": rule.severity,
        "modalities": sorted(rule.modalities or policy.modalities),
        "exemptions": {e.id: " ".join(e.when.split()) for e in rule.exemptions},
        "definitions": {name: policy.definitions.get(name) for name in sorted(used)},
    }


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"`{key}`" for key in old if old[key] != new[key]]
