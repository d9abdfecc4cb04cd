"""What a request asks for → which revision judges each of its items, and how.

Knows nothing about HTTP, queues or contents beyond their digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from llm_judge.content.limits import Limits
from llm_judge.engines.protocol import limits_for
from llm_judge.service.arms import Arm, Arms
from llm_judge.service.judges import JudgeKey, Judges
from llm_judge.service.media_url import MediaUrl
from llm_judge.service.problems import Code, Problem
from llm_judge.service.revision import Revision
from llm_judge.service.wire import Options


@dataclass(frozen=True, slots=True)
class Wanted:
    """One content to judge, not opened yet.

    Attributes:
        id: the caller's name for it, None to name it by its digest.
        data: the bytes of a file, or a text.
        name: file name to show.
        url: where the bytes are to be fetched; there are no ``data`` until then.
    """

    id: str | None
    data: str | bytes
    name: str | None = None
    url: MediaUrl | None = None

    @property
    def content(self) -> bytes:
        """The bytes that the digest in its record is of."""
        return self.data if isinstance(self.data, bytes) else self.data.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Way:
    """By which revision one item is judged, and how."""

    arm: Arm
    revision: Revision
    key: JudgeKey
    asked: frozenset[str] | None

    @property
    def on_error(self) -> str:
        """What to do with content that gets no decision."""
        return self.revision.judges.on_error.value

    def limits(self, caps: Limits) -> Limits:
        """How contents are opened for it: with pictures where its engine sees them."""
        return limits_for(self.revision.judges.engine, caps)


@dataclass(frozen=True, slots=True)
class Order:
    """One item and its ways.

    Attributes:
        way: which answers.
        instead: answers where a candidate fails; None for the stable revision.
        beside: judges it too, after the answer and without a say; None where there is no other revision.
    """

    wanted: Wanted
    way: Way
    instead: Way | None = None
    beside: Way | None = None


def orders_of(options: Options, groups: Sequence[Sequence[Wanted]], arms: Arms) -> list[Order]:
    """Return one order for each content, in order; a group is answered by one revision.

    An item belongs to the arm of its user, else of its id, else of its bytes. Where the candidate has no such
    policy or overlay, the stable revision answers alone.

    Raises:
        Problem: the stable revision has no such policy or overlay.
    """
    stable = _way(options, Arm.STABLE, arms.stable)
    candidate = _candidate(options, arms)
    if candidate is None:
        return [Order(wanted, stable) for group in groups for wanted in group]
    orders = []
    for group in groups:
        if arms.share > 0 and arms.arm_of(_sticky(options, group)) is Arm.CANDIDATE:
            orders += [Order(wanted, candidate, stable, stable) for wanted in group]
        else:
            orders += [Order(wanted, stable, None, candidate) for wanted in group]
    return orders


def judge_key(options: Options, judges: Judges) -> JudgeKey:
    """Return which judge a request asks for; raises ``Problem`` for an overlay that is not there."""
    guidelines = judges.guidelines
    if options.overlays is not None:
        names = tuple(dict.fromkeys(options.overlays))
    else:
        names = guidelines.chosen_by(options.context) if options.context else ()
    if unknown := [name for name in names if name not in guidelines.overlays]:
        hint = f"overlays: {', '.join(sorted(guidelines.overlays)) or 'none'}"
        raise Problem(Code.UNKNOWN_OVERLAY, f"there is no overlay `{unknown[0]}`", hint)
    return JudgeKey(names, options.explain)


def asked_policies(options: Options, judges: Judges) -> frozenset[str] | None:
    """Return the policies to ask about; raises ``Problem`` for one that is not there."""
    if options.policies is None:
        return None
    known = {policy.policy for policy in judges.guidelines.policies}
    if unknown := [name for name in options.policies if name not in known]:
        hint = "GET /v1/policies lists them"
        raise Problem(Code.UNKNOWN_POLICY, f"there is no policy `{unknown[0]}`", hint)
    return frozenset(options.policies)


def _way(options: Options, arm: Arm, revision: Revision) -> Way:
    judges = revision.judges
    return Way(arm, revision, judge_key(options, judges), asked_policies(options, judges))


def _candidate(options: Options, arms: Arms) -> Way | None:
    if arms.candidate is None:
        return None
    try:
        return _way(options, Arm.CANDIDATE, arms.candidate)
    except Problem:
        return None


def _sticky(options: Options, group: Sequence[Wanted]) -> str:
    """A name that is the same whenever the same item comes again."""
    if options.context is not None and options.context.user is not None:
        return f"user\x00{options.context.user}"
    ids = [wanted.id or hashlib.sha256(wanted.content).hexdigest() for wanted in group]
    return "\x00".join(["item", *ids])
