"""What a well-formed overlay can still mean wrongly, against the policies it is laid over.

P130 it loosens a floor rule; P131 it names an unknown policy; P132 an unknown rule or exemption; P133
part of it changes nothing; and, as in a policy, P101 an id is used twice, P104 an unknown definition,
P105 an example that cites no exemption of its rule, P107 an action that names an unknown rule. Works on
the source tree, so it also runs where the shape is wrong. Knows nothing about files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.policy.check import PLACEHOLDER, blocks, repeated_ids
from llm_judge.policy.model import Action
from llm_judge.policy.shape import suggestion
from llm_judge.source import Kind, Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import Exemption, Policy, Rule

_DELETE = "delete this line"
_LOOSENING = {
    "switch_off": "switch it off",
    "lower_severity_to": "lower its severity",
    "add_exemptions": "give it an exemption",
}


def check_overlay(
    tree: SourceNode, source: Source, policies: Sequence[Policy], elsewhere: Collection[str] = ()
) -> list[Diagnostic]:
    """Return what is wrong with the meaning of one overlay.

    Args:
        tree: the overlay.
        source: its text.
        policies: what it is laid over.
        elsewhere: ids of policies that exist but are not judged by here; their changes are not checked.
    """
    found: list[Diagnostic] = [*_ages(tree.get("applies_to"), source)]
    first: dict[str, int] = {}
    for change in blocks(tree, "changes"):
        named = change.get("policy")
        if named is None or not named.text:
            continue
        base = next((policy for policy in policies if policy.policy == named.text), None)
        if named.text in first:
            message = f"{quoted(named.text)} is already changed"
            help_line = f"put it with the changes at line {first[named.text]}"
            found.append(source.error("P101", named.span, message, help_line))
        elif base is not None:
            found += _check_change(change, base, source)
        elif named.text not in elsewhere:
            known = sorted({*(policy.policy for policy in policies), *elsewhere})
            message = f"there is no policy {quoted(named.text)}"
            found.append(source.error("P131", named.span, message, suggestion(named.text, known, "policies")))
        first.setdefault(named.text, named.span.line)
    return found


def _ages(scope: SourceNode | None, source: Source) -> Iterator[Diagnostic]:
    low, high = (scope.get("min_age"), scope.get("max_age")) if scope else (None, None)
    if low and high and isinstance(low.value, int) and isinstance(high.value, int) and low.value > high.value:
        message = f"`max_age` is below `min_age`, so nobody is from {low.value} to {high.value}"
        yield source.error("P133", high.span, message, "swap them")


def _check_change(change: SourceNode, base: Policy, source: Source) -> Iterator[Diagnostic]:
    named = change.get("policy")
    if named and not {key.text for key, _ in change.entries} - {"policy", "because"}:
        message = f"nothing changes in {quoted(base.policy)}"
        yield source.error("P133", named.span, message, "write what changes, or delete this block")
    for key, value in change.entries:
        yield from _empty(key, value, source)
    rules = blocks(change, "rules")
    yield from _repeated(rules, source)
    for each in rules:
        yield from _check_rule(each, base, source)
    added = blocks(change, "add_rules")
    yield from repeated_ids(added, "rule", source)
    yield from _taken(added, "rule", {rule.id: rule for rule in base.rules}, source)
    for rule in added:
        known = [_word(exemption, "id") for exemption in blocks(rule, "exemptions")]
        yield from repeated_ids(blocks(rule, "exemptions"), "exemption", source)
        yield from _examples(blocks(rule, "examples"), known, source)
    yield from _definitions(change, base, source)
    yield from _ladder(change, base, added, source)


def _check_rule(change: SourceNode, base: Policy, source: Source) -> Iterator[Diagnostic]:
    named = change.get("rule")
    if named is None or not named.text:
        return
    rule = next((rule for rule in base.rules if rule.id == named.text), None)
    if rule is None:
        message = f"policy `{base.policy}` has no rule {quoted(named.text)}"
        help_line = suggestion(named.text, [rule.id for rule in base.rules], "rules")
        yield source.error("P132", named.span, message, help_line)
        return
    if len(change.entries) == 1:
        message = f"nothing changes in rule `{rule.id}`"
        yield source.error("P133", named.span, message, "write what changes, or delete this block")
    yield from _loosened(change, rule, source)
    yield from _idle(change, rule, source)
    yield from _exemptions(change, rule, source)


def _loosened(change: SourceNode, rule: Rule, source: Source) -> Iterator[Diagnostic]:
    for key, value in change.entries:
        lower = key.text != "lower_severity_to" or _number(value, rule.severity) < rule.severity
        if rule.floor and key.text in _LOOSENING and lower and value.value is not False:
            message = f"rule `{rule.id}` is a floor: an overlay may not {_LOOSENING[key.text]}"
            yield source.error("P130", key.span, message, _floor_help(rule))


def _idle(change: SourceNode, rule: Rule, source: Source) -> Iterator[Diagnostic]:
    """Yield P133 for keys that leave the rule as it is."""
    for key, value in change.entries:
        yield from _empty(key, value, source)
        number = _number(value, 0)
        raised = key.text == "raise_severity_to" and 0 < number <= rule.severity
        lowered = key.text == "lower_severity_to" and number >= rule.severity
        if raised or lowered:
            message = f"this changes nothing: the severity of rule `{rule.id}` is {rule.severity}"
            yield source.error("P133", value.span, message, _DELETE)
        if key.text == "floor" and value.value is True and rule.floor:
            yield source.error("P133", value.span, f"rule `{rule.id}` is a floor already", _DELETE)
        if key.text in ("floor", "switch_off") and value.value is False:
            yield source.error("P133", value.span, f"`{key.text}: false` changes nothing", _DELETE)


def _exemptions(change: SourceNode, rule: Rule, source: Source) -> Iterator[Diagnostic]:
    own = {exemption.id: exemption for exemption in rule.exemptions}
    gone = change.get("remove_exemptions")
    for name in gone.items if gone else ():
        if name.text and name.text not in own:
            message = f"rule `{rule.id}` has no exemption {quoted(name.text)}"
            help_line = suggestion(name.text, list(own), "exemptions of this rule")
            yield source.error("P132", name.span, message, help_line)
    added = blocks(change, "add_exemptions")
    yield from repeated_ids(added, "exemption", source)
    yield from _taken(added, "exemption", own, source)
    left = set(own) - {name.text for name in (gone.items if gone else ())}
    known = [*left, *(_word(exemption, "id") for exemption in added)]
    yield from _examples(blocks(change, "add_examples"), sorted(known), source)


def _examples(examples: Sequence[SourceNode], known: list[str], source: Source) -> Iterator[Diagnostic]:
    for example in examples:
        verdict, cited = example.get("verdict"), example.get("exemption")
        if verdict and (verdict.text == "exempt") != (cited is not None):
            message = "an example cites an exemption exactly where its verdict is `exempt`"
            help_line = suggestion("", known, "exemptions of this rule")
            yield source.error("P105", verdict.span, message, help_line)
        elif cited and cited.text and cited.text not in known:
            message = f"unknown exemption {quoted(cited.text)}"
            help_line = suggestion(cited.text, known, "exemptions of this rule")
            yield source.error("P105", cited.span, message, help_line)


def _definitions(change: SourceNode, base: Policy, source: Source) -> Iterator[Diagnostic]:
    given = change.get("definitions")
    entries = given.entries if given and given.kind is Kind.MAPPING else ()
    for key, value in entries:
        if base.definitions.get(key.text, value.text) != value.text:
            message = f"{quoted(key.text)} is already defined in `{base.policy}`"
            help_line = "choose another name: a definition of the base keeps its meaning"
            yield source.error("P101", key.span, message, help_line)
    known = [*base.definitions, *(key.text for key, _ in entries)]
    rules = blocks(change, "add_rules")
    exempting = [
        *(exemption for rule in rules for exemption in blocks(rule, "exemptions")),
        *(exemption for rule in blocks(change, "rules") for exemption in blocks(rule, "add_exemptions")),
    ]
    texts = [*(rule.get("violates") for rule in rules), *(each.get("when") for each in exempting)]
    for text in filter(None, texts):
        for name in dict.fromkeys(PLACEHOLDER.findall(text.text)):
            if name not in known:
                span = source.find(text, f"{{{name}}}")
                message = f"{quoted('{' + name + '}')} is not defined"
                yield source.error("P104", span, message, suggestion(name, known, "definitions"))


def _ladder(
    change: SourceNode, base: Policy, added: Sequence[SourceNode], source: Source
) -> Iterator[Diagnostic]:
    known = [*(rule.id for rule in base.rules), *(_word(rule, "id") for rule in added)]
    floors = [rule for rule in base.rules if rule.floor]
    raised = {
        _word(each, "rule"): _number(severity, 1)
        for each in blocks(change, "rules")
        if (severity := each.get("raise_severity_to"))
    }
    for step in blocks(change, "actions_first"):
        cited = step.get("rules")
        for name in cited.items if cited else ():
            if name.text and name.text not in known:
                message = f"unknown rule {quoted(name.text)}"
                yield source.error("P107", name.span, message, suggestion(name.text, known, "rules"))
        hit = next((rule for rule in floors if _milder_step(step, rule, base, raised.get(rule.id, 1))), None)
        if hit:
            did = step.get("do") or step
            strictest = _strictest(hit, base)
            message = f"rule `{hit.id}` is a floor: this step comes before `{strictest}` and is milder"
            yield source.error("P130", did.span, message, "name other rules in this step: `rules: […]`")
    for key, now in (("otherwise", base.otherwise.value), ("on_error", base.on_error.value)):
        value = change.get(key)
        if value and value.text == now:
            yield source.error("P133", value.span, f"`{key}` is `{now}` already", _DELETE)
        elif value and floors and value.text in set(Action) and _rank(value.text) < _rank(now):
            message = f"rule `{floors[0].id}` is a floor: `{key}` may not be milder than `{now}`"
            yield source.error("P130", value.span, message, _floor_help(floors[0]))


def _milder_step(step: SourceNode, rule: Rule, base: Policy, raised: int) -> bool:
    """Whether a step can take a floor rule away from a stricter step of the base.

    Predicates hold from a bound upward, so a step that can match the rule at all also matches where the
    rule is certain and severe: there it stands before every step of the base.
    """
    cited, at_least = step.get("rules"), step.get("severity_at_least")
    if cited and rule.id not in [name.text for name in cited.items]:
        return False
    if at_least and _number(at_least, 1) > max(rule.severity, raised):
        return False
    did = _word(step, "do")
    return did in set(Action) and _rank(did) < _strictest(rule, base).strictness


def _strictest(rule: Rule, base: Policy) -> Action:
    """The strictest action that the base can take for a rule."""
    matching = (
        step.do
        for step in base.actions
        if (step.rules is None or rule.id in step.rules) and (step.severity_at_least or 1) <= rule.severity
    )
    return max((base.otherwise, *matching), key=lambda action: action.strictness)


def _rank(action: str) -> int:
    return Action(action).strictness


def _repeated(changes: Sequence[SourceNode], source: Source) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for named in filter(None, (change.get("rule") for change in changes)):
        if named.text and named.text in first:
            message = f"rule {quoted(named.text)} is already changed"
            help_line = f"put it with the changes at line {first[named.text]}"
            yield source.error("P101", named.span, message, help_line)
        first.setdefault(named.text, named.span.line)


def _taken(
    added: Sequence[SourceNode], what: str, own: dict[str, Rule] | dict[str, Exemption], source: Source
) -> Iterator[Diagnostic]:
    for node in added:
        named = node.get("id")
        other = own.get(named.text) if named else None
        if named and other:
            where = f" at {other.at.file}:{other.at.line}" if other.at else ""
            message = f"{what} id {quoted(named.text)} is already used{where}"
            yield source.error("P101", named.span, message, "choose another id")


def _empty(key: SourceNode, value: SourceNode, source: Source) -> Iterator[Diagnostic]:
    if value.kind is Kind.SEQUENCE and not value.items:
        yield source.error("P133", key.span, f"{quoted(key.text)} is empty, so it changes nothing", _DELETE)


def _floor_help(rule: Rule) -> str:
    place = rule.place("floor")
    where = f" ({place.file}:{place.line})" if place else ""
    return f"tighten it or leave it alone; only its owner can lift `floor: true`{where}"


def _number(node: SourceNode, otherwise: int) -> int:
    return node.value if isinstance(node.value, int) and node.kind is Kind.INTEGER else otherwise


def _word(node: SourceNode, name: str) -> str:
    value = node.get(name)
    return value.text if value else ""
