"""Mild labelled items and outcomes for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_judge.evals.outcomes import ANY, Answer, EvalItem, ItemOutcome, Kind


def eval_item(name: str, text: str | None, **more: object) -> EvalItem:
    """An English text about which nothing is known but what is given."""
    given: dict[str, object] = {
        "suite": "garden",
        "source": "set",
        "media": None,
        "modality": "text",
        "lang": "en",
        "slices": ("plain",),
        "group": name,
        "areas": {},
        "rules": {},
        "harmful": None,
    }
    return EvalItem(id=name, text=text, **(given | more))  # type: ignore[arg-type]


def outcome(
    name: str,
    says: str | None,
    truth: bool | None,
    slices: Sequence[str] = (),
    areas: Mapping[str, tuple[str, bool | None]] | None = None,
) -> ItemOutcome:
    """The answer to "anything at all" and to areas; None is an error."""
    answers = [Answer(Kind.AREA, key, true, None, 0, 1, said) for key, (said, true) in (areas or {}).items()]
    if says is not None:
        answers.insert(0, Answer(Kind.ITEM, ANY, truth, None, 0, 1, says))
    error = None if answers else "ContentDamaged: broken"
    return ItemOutcome(
        name, "0" * 64, "garden", "set", "text", "en", tuple(slices), name, tuple(answers), "", error=error
    )
