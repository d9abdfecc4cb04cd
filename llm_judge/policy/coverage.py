"""Which rules and exemptions have cases, and which have none.

Knows nothing about how cases are judged, or where their file stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.policy.codes import report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import Policy
    from llm_judge.source import Source


def uncovered(
    policy: Policy, cases: Sequence[Case] | None, file: str, source: Source
) -> Iterator[Diagnostic]:
    """Yield P122 and P123; a policy without any cases gives one finding, not one for every rule.

    Args:
        policy: the policy.
        cases: its cases, or None where there is no file of them.
        file: name of the cases file.
        source: text of the policy.
    """
    if cases is None:
        if policy.at:
            message = f"policy `{policy.policy}` has no cases"
            yield report(source, "P122", policy.at, message, f"write them to `{file}`")
        return
    exempt = {(case.rule, case.exemption) for case in cases if case.expect == "exempt"}
    fired = {case.rule for case in cases if case.expect != "clear"}
    for rule in policy.rules:
        if rule.id not in fired and rule.at:
            message = f"rule `{rule.id}` has no case that must fire"
            yield report(
                source, "P122", rule.at, message, f"add `expect: violates, rule: {rule.id}` to `{file}`"
            )
            continue
        for exemption in rule.exemptions:
            if (rule.id, exemption.id) not in exempt and exemption.at:
                message = f"exemption `{exemption.id}` of rule `{rule.id}` has no case"
                wanted = f"expect: exempt, rule: {rule.id}, exemption: {exemption.id}"
                yield report(source, "P123", exemption.at, message, f"add `{wanted}` to `{file}`")
