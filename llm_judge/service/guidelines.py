"""What the service judges by, read once and held in memory: policies, overlays and prompts of one revision.

Files that change on disk change nothing here, so every answer comes from one revision and says which.
Knows nothing about engines or HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_judge.compile import policy_digest
from llm_judge.errors import UsageError
from llm_judge.policy.bundle_content import overlay_names, policies_of, prompts_of
from llm_judge.policy.bundle_store import BundleStore
from llm_judge.policy.load import load_policies, select
from llm_judge.policy.model import Policy
from llm_judge.policy.overlay import FOLDER, lay_over, overlay_files, policy_ids_below
from llm_judge.policy.overlay_model import Overlay, Scope
from llm_judge.resources import content_folder
from llm_judge.service.wire import Context


@dataclass(frozen=True, slots=True)
class Guidelines:
    """One revision of the guidelines.

    Attributes:
        policies: as judged without overlays.
        prompts: templates of a bundle, None for the shipped ones.
        revision: what people call it: the sequence of a bundle, or ``files``.
        digest: of the policies, without overlays.
        overlays: name → overlay, of those that change any of the policies.
    """

    policies: tuple[Policy, ...]
    prompts: dict[str, str] | None
    revision: str
    digest: str
    overlays: Mapping[str, Overlay]
    _base: tuple[Policy, ...]
    _texts: Mapping[str, str]
    _only: tuple[str, ...]
    _elsewhere: frozenset[str]

    def laid_over(self, names: Sequence[str]) -> tuple[Policy, ...]:
        """Return the policies with these overlays laid over them, in order.

        Raises:
            UsageError: there is no such overlay.
            PolicyError: they do not go together.
        """
        if unknown := [name for name in names if name not in self.overlays]:
            raise UsageError(f"there is no overlay `{unknown[0]}`")
        texts = {name: self._texts[name] for name in names}
        merged = lay_over(self._base, texts, self._elsewhere)[0] if texts else self._base
        return select(merged, self._only)

    def chosen_by(self, context: Context) -> tuple[str, ...]:
        """Return the names of the overlays that are meant for this context, sorted."""
        return tuple(name for name in sorted(self.overlays) if _fits(self.overlays[name].applies_to, context))


def from_paths(paths: Sequence[Path] | None, only: Sequence[str] | None = None) -> Guidelines:
    """Read policies and their overlays from files and folders, the shipped ones where none are given.

    Raises:
        PolicyError, UsageError: as the parts do.
    """
    shipped = content_folder("policies")
    chosen = list(paths) if paths else [shipped]
    folders = [path for path in [*chosen, shipped] if path.is_dir()]
    texts = {path.stem: path.read_text("utf-8-sig") for f in reversed(folders) for path in overlay_files(f)}
    elsewhere = frozenset(policy_ids_below(folders))
    return made(load_policies(chosen), texts, only=only, elsewhere=elsewhere)


def from_bundle(folder: Path, only: Sequence[str] | None = None) -> Guidelines:
    """Read the bundle in force in a folder, verified whole.

    Raises:
        PolicyError, UsageError: none is in force, it was changed, or ``only`` names what it does not hold.
    """
    bundle = BundleStore(folder).in_force()
    texts = bundle.texts(f"policies/{FOLDER}", ".yaml")
    named = {name: texts[f"{name}.yaml"] for name in overlay_names(bundle)}
    revision = f"bundle {bundle.manifest.sequence}"
    return made(policies_of(bundle), named, prompts_of(bundle), revision, only)


def made(
    base: tuple[Policy, ...],
    texts: Mapping[str, str],
    prompts: dict[str, str] | None = None,
    revision: str = "files",
    only: Sequence[str] | None = None,
    elsewhere: frozenset[str] = frozenset(),
) -> Guidelines:
    """Join policies that are in memory.

    Args:
        base: the policies as written.
        texts: name → YAML of each overlay; those that change none of the policies are left out.
        prompts, revision: see ``Guidelines``.
        only: policies and rules to judge by, None for all.
        elsewhere: ids of policies that exist besides; overlays may change them.

    Raises:
        PolicyError: an overlay is wrong.
        UsageError: ``only`` names what is not there.
    """
    wanted = tuple(only or ())
    overlays: dict[str, Overlay] = {}
    for name, text in sorted(texts.items()):
        try:
            overlays[name] = lay_over(base, {name: text}, elsewhere)[1][0]
        except UsageError:
            continue  # it changes none of these policies
    policies = select(base, wanted)
    digest = policy_digest(policies)
    return Guidelines(policies, prompts, revision, digest, overlays, base, texts, wanted, elsewhere)


def _fits(scope: Scope, context: Context) -> bool:
    """Whether the context meets every restriction of a scope; one without any is chosen by name only."""
    restrictions = []
    if scope.surfaces:
        restrictions.append((context.surface or "").lower() in {word.lower() for word in scope.surfaces})
    if scope.markets:
        restrictions.append(_market(context) in {market.upper() for market in scope.markets})
    if scope.min_age is not None or scope.max_age is not None:
        restrictions.append(_ages_meet(scope, context))
    return bool(restrictions) and all(restrictions)


def _market(context: Context) -> str:
    """The market, else the region of the locale: the part of two letters behind the language (BCP 47)."""
    if context.market:
        return context.market.upper()
    parts = (context.locale or "").replace("_", "-").split("-")[1:]
    return next((part.upper() for part in parts if len(part) == 2 and part.isalpha()), "")


def _ages_meet(scope: Scope, context: Context) -> bool:
    """Whether anybody of the context's ages is within the scope; nobody is where no age is given."""
    if context.age_min is None and context.age_max is None:
        return False
    youngest = context.age_min if context.age_min is not None else 0
    oldest = context.age_max if context.age_max is not None else 120
    low = scope.min_age if scope.min_age is not None else 0
    high = scope.max_age if scope.max_age is not None else 120
    return youngest <= high and oldest >= low
