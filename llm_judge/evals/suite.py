"""What to score on, as data: one labelled set a file, and how its labels map to our areas and rules.

A suite is read as strictly as a policy, with the same diagnostics; its own codes start with ``E``. Knows
nothing about rows, engines or metrics.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.diagnostics import Diagnostic
from llm_judge.errors import PolicyError, UsageError
from llm_judge.evals.suite_check import check_suite, known_rules
from llm_judge.policy.load import has_errors, scan_policies, wrong_files
from llm_judge.policy.model import Identifier, Node, Policy, Sentence, Status
from llm_judge.policy.shape import shape, suggestion
from llm_judge.resources import content_folder
from llm_judge.source import Source, decode, quoted, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Name = Annotated[str, Field(min_length=1, max_length=80)]
PolicyId = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$", max_length=80)]


class Reads(StrEnum):
    """Where the items of a suite stand."""

    TEXTS = "texts"
    IMAGES = "images"
    AUDIO = "audio"
    CASES = "cases"  # the cases beside the policies; needs no data folder


class Balance(StrEnum):
    """What a sample has equally much of; ``prevalence`` leaves the answers as frequent as they are."""

    ANSWERS = "answers"
    LANGUAGES = "languages"
    AREAS = "areas"
    PREVALENCE = "prevalence"


class AreaLabels(Node):
    """What the labels of a set say about one of our areas.

    Attributes:
        policy: id of the area.
        covered_as: values of ``areas_covered`` that mean the annotators looked at all of this area, so that
            a row without a label of it is negative.
        violates: labels that mean a rule of the area applies.
        unclear: labels that leave the area unknown, whatever was covered.
        rules: label → id of the rule it names, for labels that name exactly one.
    """

    policy: PolicyId
    covered_as: tuple[Name, ...] = ()
    violates: tuple[Name, ...] = ()
    unclear: tuple[Name, ...] = ()
    rules: dict[str, Identifier] = Field(default_factory=dict)


class Part(Node):
    """One suite of a composed suite.

    Attributes:
        suite: id of a plain suite.
        take: items to take, or all where there are fewer.
        balance: what the taken items have equally much of.
        reads: ``images`` or ``audio`` for the rendered or spoken rows of a suite of texts.
    """

    suite: Identifier
    take: Annotated[int, Field(ge=1, le=1_000_000)]
    balance: Balance = Balance.ANSWERS
    reads: Literal["images", "audio"] | None = None


class Suite(Node):
    """What one ``evals/suites/*.yaml`` holds: a plain suite with ``reads``, or a composed one.

    Attributes:
        reads: the kind of rows; None for a composed suite.
        sources: values of the column ``source``.
        languages, content_types: keep these rows only; empty means all.
        only: keep rows with one of these values in the column ``slices``; empty means all.
        agreement_at_least: rows whose annotators agreed less answer nothing.
        context: what to do with rows that have earlier turns: leave them out (None), judge the text alone
            (``ignore``), or put the turns before it (``before``).
        policies: ids of the areas to judge; empty means those of ``labels``, or all where there are none.
        harmful: labels that mean some area applies without saying which.
        slices: columns that become slices.
        partly: whether something about the rows is not known; ``unknown`` says what.
        balance: how a limit on all of it is kept, unless a sample is asked for.
        seed: of the samples of a composed suite.
        members: the suites of ``compose``, in its order, filled when loaded.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    suite: Identifier
    title: Name
    about: Sentence
    licence: Name | None = None
    split: Literal["dev", "train"] = "dev"
    reads: Reads | None = None
    sources: tuple[Name, ...] = ()
    languages: tuple[Name, ...] = ()
    content_types: tuple[Name, ...] = ()
    only: tuple[Name, ...] = ()
    agreement_at_least: Annotated[float, Field(ge=0, le=1)] | None = None
    context: Literal["ignore", "before"] | None = None
    policies: tuple[PolicyId, ...] = ()
    harmful: tuple[Name, ...] = ()
    labels: tuple[AreaLabels, ...] = ()
    slices: tuple[Literal["slices", "origin", "content_type", "target"], ...] = ()
    partly: bool = False
    unknown: Sentence | None = None
    balance: Balance = Balance.ANSWERS
    seed: Annotated[int, Field(ge=0)] = 0
    compose: tuple[Part, ...] = ()
    members: tuple[Suite, ...] = Field(default=(), exclude=True)

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """Ids of the areas to judge, sorted; empty means all there are."""
        if self.policies:
            return tuple(sorted(self.policies))
        inner = [member.policy_ids for member in self.members]
        if self.members:
            return tuple(sorted(set(chain(*inner)))) if all(inner) else ()
        return tuple(sorted(label.policy for label in self.labels))

    @property
    def needs_data(self) -> bool:
        """Whether its rows stand in the data folder."""
        return any(member.needs_data for member in self.members) or self.reads not in (None, Reads.CASES)


def suites_folder() -> Path:
    """Return the folder of the suites that ship with the project."""
    return content_folder("evals") / "suites"


def load_suites(folder: Path | None = None, policies: Sequence[Policy] | None = None) -> dict[str, Suite]:
    """Read every suite of a folder.

    Args:
        folder: holds ``*.yaml``; the shipped suites where None.
        policies: what suites may cite; the shipped policies where None.

    Returns:
        The suites by id, sorted.

    Raises:
        PolicyError: files are wrong or cannot be read; ``diagnostics`` holds every problem of every file.
    """
    folder = folder or suites_folder()
    rules, others = _known(policies), _composed(folder)
    suites: dict[str, Suite] = {}
    found: list[Diagnostic] = []
    for path in sorted(folder.glob("*.yaml")):
        suite, wrong = _read_suite(path, rules, others)
        found += wrong
        if suite is not None:
            suites[suite.suite] = suite
    if has_errors(found):
        raise wrong_files(found)
    parts = dict(suites)
    return {name: _resolved(suite, folder, rules, parts) for name, suite in suites.items()}


def load_suite(name: str | Path, policies: Sequence[Policy] | None = None) -> Suite:
    """Read one suite and, for a composed one, its parts.

    Args:
        name: id of a shipped suite, or the path of a file, whose parts stand beside it or ship with us.
        policies: as for ``load_suites``.

    Raises:
        UsageError: there is no such suite.
        PolicyError: a file is wrong or cannot be read.
    """
    shipped = {path.stem: path for path in sorted(suites_folder().glob("*.yaml"))}
    path = Path(name)
    if str(name) in shipped:
        path = shipped[str(name)]
    elif path.suffix not in (".yaml", ".yml"):
        raise UsageError(
            f"there is no suite {quoted(str(name))}", suggestion(str(name), list(shipped), "suites")
        )
    rules = _known(policies)
    return _resolved(_sound(path, rules), path.parent, rules, {})


def parse_suite(
    text: str, file: str, rules: Mapping[str, Sequence[str]], suites: Mapping[str, bool]
) -> tuple[Suite | None, list[Diagnostic]]:
    """Read one suite from text; its parts are not filled in.

    Args:
        file: shown in diagnostics; its name must be the id of the suite.
        rules: ids of the rules of each policy that may be cited.
        suites: id of each suite that may be part of it → whether it is composed itself.

    Returns:
        The suite, or None where anything is wrong, and every problem in file order.
    """
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    tree, suite, wrong = shape(root, Suite, source)
    found = sorted([*found, *wrong, *check_suite(tree, source, rules, suites)], key=lambda each: each.span)
    return None if has_errors(found) else suite, found


def areas_without_data(suites: Mapping[str, Suite], policies: Sequence[Policy]) -> list[str]:
    """Return ids of the policies for which no labelled set holds a positive, sorted.

    The guideline cases do not count: they are written beside the rules they test.
    """
    scored = {label.policy for suite in suites.values() for label in suite.labels if label.violates}
    return sorted({policy.policy for policy in policies} - scored)


def _known(policies: Sequence[Policy] | None) -> dict[str, tuple[str, ...]]:
    if policies is None:
        policies = scan_policies([content_folder("policies")], tuple(Status)).policies
    return known_rules(policies)


def _sound(path: Path, rules: Mapping[str, Sequence[str]]) -> Suite:
    suite, found = _read_suite(path, rules, _composed(path.parent))
    if suite is None:
        raise wrong_files(found)
    return suite


def _read_suite(
    path: Path, rules: Mapping[str, Sequence[str]], others: Mapping[str, bool]
) -> tuple[Suite | None, list[Diagnostic]]:
    text, found = decode(read(path), str(path))
    return (None, found) if text is None else parse_suite(text, str(path), rules, others)


def _composed(folder: Path) -> dict[str, bool]:
    """Suites that stand in a folder or ship with us → whether each is composed, by a look at its lines."""
    found: dict[str, bool] = {}
    for path in (*suites_folder().glob("*.yaml"), *folder.glob("*.yaml")):
        try:
            lines = read(path).splitlines()
        except PolicyError:  # reported when the file itself is read
            continue
        found[path.stem] = any(line.startswith(b"compose:") for line in lines)
    return found


def _resolved(
    suite: Suite, folder: Path, rules: Mapping[str, Sequence[str]], parts: dict[str, Suite]
) -> Suite:
    """Fill in the members; ``parts`` holds the suites read so far, and gains what is read here."""
    members = []
    for part in suite.compose:
        if part.suite not in parts:
            near = folder / f"{part.suite}.yaml"
            path = near if near.is_file() else suites_folder() / near.name
            parts[part.suite] = _sound(path, rules)
        members.append(_as_read(parts[part.suite], part))
    return suite.model_copy(update={"members": tuple(members)}) if members else suite


_MADE_FROM_TEXT = {"images": "rendered", "audio": "espeak"}  # prefixes of the column `source`


def _as_read(suite: Suite, part: Part) -> Suite:
    """Return a suite of texts as one of their pictures or spoken forms, where its part says so."""
    if part.reads is None or suite.reads is not Reads.TEXTS:
        return suite
    sources = tuple(f"{_MADE_FROM_TEXT[part.reads]}:{source}" for source in suite.sources)
    return suite.model_copy(update={"reads": Reads(part.reads), "sources": sources})
