"""Policy → CompiledPolicy: rendered prompt pieces, response schemas and digests.

Templates are rendered here and nowhere else, before any content is seen, so content can never reach
Jinja. Knows nothing about engines: a target model is a name, a context size and a way to count tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, DictLoader, FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llm_judge.content.content import Modality
from llm_judge.errors import BudgetExceeded, UsageError
from llm_judge.policy.model import Example, Policy, Rule
from llm_judge.resources import content_folder

YES, NO, EXCEPT = "yes", "no", "except"
NO_EXEMPTION = "none"
MAX_RATIONALE_CHARACTERS = 200
MAX_EVIDENCE = 4
# Room kept for one window of content and for an explanation, in tokens.
CONTENT_RESERVE_TOKENS = 512
ANSWER_RESERVE_TOKENS = 192

_TEMPLATES = frozenset({"policy", "area", "rule", "exemption", "explain"})
_PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")


@dataclass(frozen=True, slots=True)
class Question:
    """The last thing the model reads before it answers with one of ``labels``.

    Attributes:
        id: ``area:<policy>``, ``rule:<policy>#<rule>`` or ``exemption:<policy>#<rule>#<exemption>``.
        text: the words of the question.
        labels: the answers, each one token for the model in use, checked at engine start.
    """

    id: str
    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetModel:
    """What the compiler must know of the model that will read the prompt."""

    name: str
    context_tokens: int
    count_tokens: Callable[[str], int]
    dialect: str = "compact"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule with everything that is asked about it.

    Attributes:
        key: ``<policy>#<rule>``, unique among all policies.
        question: one-token question, with the rule's own exemptions.
        exemption_questions: one per exemption, in order, for rules with several.
        explain: last instruction of the constrained answer.
    """

    key: str
    policy: Policy
    rule: Rule
    question: Question
    exemption_questions: tuple[Question, ...]
    explain: str

    def applies_to(self, modality: Modality) -> bool:
        """Whether the rule is asked of this kind of content."""
        return modality in (self.rule.modalities or self.policy.modalities)

    def schema(self, segment_ids: Sequence[int]) -> dict[str, Any]:
        """Return the JSON schema of an explanation that may cite ``segment_ids``.

        Property order is generation order: evidence and reasons come before the verdict. Kept to
        what both xgrammar and llguidance support.
        """
        exemptions = [exemption.id for exemption in self.rule.exemptions]
        verdicts = ["violates", "clear"] + (["exempt"] if exemptions else [])
        properties = {
            "evidence": {
                "type": "array",
                "items": {"enum": list(segment_ids)},
                "minItems": 1,
                "maxItems": min(MAX_EVIDENCE, len(segment_ids)),
            },
            "exemption": {"enum": [NO_EXEMPTION, *exemptions]},
            "severity": {"enum": list(range(1, self.rule.severity + 1))},
            "rationale": {"type": "string", "minLength": 1, "maxLength": MAX_RATIONALE_CHARACTERS},
            "verdict": {"enum": verdicts},
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class CompiledArea:
    """One policy: the question that gates it, and its rules."""

    policy: Policy
    question: Question
    rules: tuple[CompiledRule, ...]


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """Policies ready to be asked about content.

    Attributes:
        prefix: the system message, shared by every request.
        areas: in the order of the policies.
        digest: SHA-256 of what the policies mean; layout, comments and ownership do not count.
        prompt_digest: SHA-256 of every rendered text and of the target's name and dialect.
        prefix_tokens: length of ``prefix`` for the target model.
        longest_question_tokens: length of the longest text that can follow the content.
    """

    prefix: str
    areas: tuple[CompiledArea, ...]
    digest: str
    prompt_digest: str
    prefix_tokens: int
    longest_question_tokens: int
    target: TargetModel

    @property
    def rules(self) -> tuple[CompiledRule, ...]:
        """All rules of all areas, in order."""
        return tuple(rule for area in self.areas for rule in area.rules)

    @property
    def content_budget(self) -> int:
        """Tokens left for one window of content once everything else is in the context."""
        fixed = self.prefix_tokens + self.longest_question_tokens + ANSWER_RESERVE_TOKENS
        return self.target.context_tokens - fixed


def compile_policies(
    policies: Sequence[Policy], target: TargetModel, prompts: Mapping[str, str] | None = None
) -> CompiledPolicy:
    """Compile policies for one target model.

    Args:
        policies: in the order they are judged.
        target: the model that will read the prompt.
        prompts: templates of a bundle, path such as ``compact/rule.j2`` → text; the shipped ones if None.

    Raises:
        UsageError: no policies, an unknown dialect, or a template that cannot be rendered.
        BudgetExceeded: prefix, question, content reserve and answer do not fit; names the rule.
    """
    if not policies:
        raise UsageError("no policies to judge by", "name at least one policy file or folder")
    try:
        templates = _templates(target.dialect) if prompts is None else _given(prompts, target.dialect)
        areas = tuple(_compile_area(policy, templates) for policy in policies)
        prefix = templates["policy"].render(areas=[_area_view(policy) for policy in policies]).strip()
    except TemplateError as error:
        raise UsageError(
            f"a prompt template of dialect `{target.dialect}` is wrong: {error.message}",
            "prompts/README.md lists the variables of each template",
        ) from error
    compiled = CompiledPolicy(
        prefix=prefix,
        areas=areas,
        digest=policy_digest(policies),
        prompt_digest=_prompt_digest(prefix, areas, target),
        prefix_tokens=target.count_tokens(prefix),
        longest_question_tokens=max(map(target.count_tokens, _after_content(areas))),
        target=target,
    )
    if compiled.content_budget < CONTENT_RESERVE_TOKENS:
        raise _does_not_fit(policies, compiled, templates)
    return compiled


def policy_digest(policies: Sequence[Policy]) -> str:
    """SHA-256 over the canonical JSON of what the policies mean.

    Owner, status, version and mappings do not change what is judged or done, and unused definitions
    are never shown to a model, so none of them counts.
    """
    meaning = [_meaning(policy) for policy in policies]
    return _sha256(json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def _meaning(policy: Policy) -> dict[str, Any]:
    left_out = {"owner", "status", "version", "maps_to", "definitions", "modalities"}
    kept = policy.model_dump(mode="json", exclude=left_out)
    kept["definitions"] = dict(_used_definitions(policy))
    # Which kinds of content a rule is asked of, wherever that is written, and as a set.
    for view, rule in zip(kept["rules"], policy.rules, strict=True):
        view["modalities"] = sorted({m.value for m in rule.modalities or policy.modalities})
        del view["floor"]  # binds overlays, not the judge
    for step in kept["actions"]:
        step["rules"] = None if step["rules"] is None else sorted(set(step["rules"]))
    return kept


def _after_content(areas: Sequence[CompiledArea]) -> Iterator[str]:
    """Every text that can follow the content."""
    for area in areas:
        yield area.question.text
        for rule in area.rules:
            yield from (rule.question.text, rule.explain, *(q.text for q in rule.exemption_questions))


def _prompt_digest(prefix: str, areas: Sequence[CompiledArea], target: TargetModel) -> str:
    pieces = [target.name, target.dialect, prefix]
    for area in areas:
        pieces.append(area.question.text)
        for rule in area.rules:
            pieces += [rule.question.text, rule.explain, *(q.text for q in rule.exemption_questions)]
            pieces.append(json.dumps(rule.schema([1]), separators=(",", ":")))
    return _sha256("\x00".join(pieces))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4)
def _templates(dialect: str) -> dict[str, Template]:
    folder = content_folder("prompts") / dialect
    if not re.fullmatch(r"[a-z]+", dialect) or not folder.is_dir():
        known = ", ".join(sorted(p.name for p in content_folder("prompts").iterdir() if p.is_dir()))
        raise UsageError(f"unknown prompt dialect `{dialect}`", f"known dialects: {known}")
    return _loaded(FileSystemLoader(folder), dialect)


def _given(prompts: Mapping[str, str], dialect: str) -> dict[str, Template]:
    """Return the templates of one dialect out of a bundle's."""
    start = f"{dialect}/"
    texts = {path.removeprefix(start): text for path, text in prompts.items() if path.startswith(start)}
    return _loaded(DictLoader(texts), dialect)


def _loaded(loader: BaseLoader, dialect: str) -> dict[str, Template]:
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Prompts are plain text: escaping would change the words the model reads.
        autoescape=False,
    )
    names = environment.list_templates(extensions=["j2"])
    templates = {Path(name).stem: environment.get_template(name) for name in names}
    if missing := sorted(_TEMPLATES - set(templates)):
        raise UsageError(f"prompt dialect `{dialect}` lacks {', '.join(f'{name}.j2' for name in missing)}")
    return templates


def _compile_area(policy: Policy, templates: dict[str, Template]) -> CompiledArea:
    view = _area_view(policy)
    text = templates["area"].render(area=view).strip()
    question = Question(f"area:{policy.policy}", text, (YES, NO))
    rules = tuple(
        _compile_rule(policy, rule, rule_view, templates)
        for rule, rule_view in zip(policy.rules, view["rules"], strict=True)
    )
    return CompiledArea(policy, question, rules)


def _compile_rule(
    policy: Policy, rule: Rule, view: dict[str, Any], templates: dict[str, Template]
) -> CompiledRule:
    key = f"{policy.policy}#{rule.id}"
    labels = (YES, NO, EXCEPT) if rule.exemptions else (YES, NO)
    asked_apart = view["exemptions"] if len(rule.exemptions) > 1 else []
    return CompiledRule(
        key=key,
        policy=policy,
        rule=rule,
        question=Question(f"rule:{key}", templates["rule"].render(rule=view).strip(), labels),
        exemption_questions=tuple(
            Question(
                f"exemption:{key}#{exemption['id']}",
                templates["exemption"].render(rule=view, exemption=exemption).strip(),
                (YES, NO),
            )
            for exemption in asked_apart
        ),
        explain=templates["explain"].render(rule=view).strip(),
    )


def _area_view(policy: Policy) -> dict[str, Any]:
    """Return the plain strings a template may see; a template never holds a live object."""
    return {
        "title": policy.title,
        "summary": policy.summary,
        "definitions": [(_spoken(term), meaning) for term, meaning in _used_definitions(policy)],
        "rules": [_rule_view(rule) for rule in policy.rules],
    }


def _rule_view(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "violates": _fill(rule.violates),
        "severity": rule.severity,
        "exemptions": [{"id": e.id, "when": _fill(e.when)} for e in rule.exemptions],
        "examples": [_example_view(example) for example in rule.examples],
    }


def _example_view(example: Example) -> dict[str, Any]:
    return example.model_dump(mode="json")


def _used_definitions(policy: Policy) -> list[tuple[str, str]]:
    """Definitions named by a rule or an exemption, sorted, so that their order carries no meaning."""
    texts = [t for rule in policy.rules for t in (rule.violates, *(e.when for e in rule.exemptions))]
    used = {name for text in texts for name in _PLACEHOLDER.findall(text)}
    return sorted((name, policy.definitions[name]) for name in used)


def _fill(text: str) -> str:
    """``because of a {protected_attribute}`` → ``because of a protected attribute``."""
    return _PLACEHOLDER.sub(lambda match: _spoken(match.group(1)), text)


def _spoken(term: str) -> str:
    return term.replace("_", " ")


def _does_not_fit(
    policies: Sequence[Policy], compiled: CompiledPolicy, templates: dict[str, Template]
) -> BudgetExceeded:
    """Find the first rule with which the prompt is over budget, by adding rules one at a time."""
    target = compiled.target
    room = compiled.content_budget + compiled.prefix_tokens - CONTENT_RESERVE_TOKENS
    if target.count_tokens(templates["policy"].render(areas=[]).strip()) > room:
        longest = max(compiled.rules, key=lambda rule: target.count_tokens(rule.explain))
        return BudgetExceeded(
            f"rule `{longest.key}` does not fit {target.name}: its question is "
            f"{target.count_tokens(longest.explain)} tokens, content and answer need "
            f"{CONTENT_RESERVE_TOKENS + ANSWER_RESERVE_TOKENS}, and there are {target.context_tokens}",
            "shorten the rule, or use a longer-context model",
        )
    sizes = ((key, target.count_tokens(text)) for key, text in _growing(policies, templates))
    key, tokens = next((key, tokens) for key, tokens in sizes if tokens > room)
    return BudgetExceeded(
        f"rule `{key}` does not fit {target.name}: the policy text up to "
        f"it is {tokens} tokens and {room} are left for it of {target.context_tokens}",
        "judge by fewer policies at once, shorten the rules, or use a longer-context model",
    )


def _growing(policies: Sequence[Policy], templates: dict[str, Template]) -> Iterator[tuple[str, str]]:
    """Yield each rule's key and the prefix up to and with it; the last one is the whole prefix."""
    shown: list[dict[str, Any]] = []
    for policy in policies:
        view = _area_view(policy)
        rules, view["rules"] = view["rules"], []
        shown.append(view)
        for rule in rules:
            view["rules"].append(rule)
            yield f"{policy.policy}#{rule['id']}", templates["policy"].render(areas=shown).strip()
