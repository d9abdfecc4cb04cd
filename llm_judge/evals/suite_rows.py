"""The rows of a suite as labelled items: Parquet files or guideline cases in, what is true of each out.

A missing label is unknown, never negative. A row that answers nothing is left out. Knows nothing about
engines, records or metrics.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import EvalItem
from llm_judge.evals.policy_test import read_cases
from llm_judge.evals.suite import Balance, Reads, Suite
from llm_judge.evals.suite_files import rows_file, rows_of
from llm_judge.evals.suite_sample import sample_items
from llm_judge.policy.shape import suggestion
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.evals.policy_test import PolicyCase
    from llm_judge.policy.model import Policy

DATA_VARIABLE = "LLM_JUDGE_DATA"
_MODALITY = {Reads.TEXTS: "text", Reads.IMAGES: "image", Reads.AUDIO: "audio"}
Truth = tuple[dict[str, bool], dict[str, str], bool | None]  # areas, rules, harmful


def data_folder(option: Path | None) -> Path | None:
    """Return the folder of the labelled sets: the option, else ``LLM_JUDGE_DATA``, else None.

    Raises:
        UsageError: it is not a folder.
    """
    named = option if option is not None else os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        by = "--data" if option is not None else DATA_VARIABLE
        raise UsageError(f"{by} names {quoted(str(folder))}, which is not a folder")
    return folder


def asked_policies(suite: Suite, policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """Return those of ``policies`` that a suite is about, all of them where it names none."""
    return tuple(p for p in policies if not suite.policy_ids or p.policy in suite.policy_ids)


def read_items(
    suite: Suite,
    data: Path | None,
    policies: Sequence[Policy],
    *,
    limit: int | None = None,
    sample: str | None = None,
    seed: int = 0,
) -> list[EvalItem]:
    """Read the items of a suite.

    Args:
        suite: a plain or composed suite; every item carries its id.
        data: folder of the labelled sets, None where there is none.
        policies: exactly what will be judged, as a rule ``asked_policies``; labels of other areas are left
            out, and an item is harmless only where all of these are known not to apply.
        limit: items to take at most.
        sample: how the limit is kept, a value of ``Balance``; as the suite says where None.
        seed: of that sample.

    Returns:
        Items with unique ids, in the order of the suite and its files.

    Raises:
        UsageError: there is no data folder, a file of it is missing or not usable, it holds no row of the
            suite or none that says anything about ``policies``, or an argument makes no sense.
        PolicyError: a cases file is wrong.
    """
    balance = suite.balance if sample is None else _balance(sample)
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} items leaves nothing", "give 1 or more")
    items = list(
        _composed_items(suite, data, policies) if suite.compose else plain_items(suite, data, policies)
    )
    if not items:
        shown = ", ".join(f"`{policy.policy}`" for policy in policies[:5]) or "no policy"
        wanted = ", ".join(f"`{name}`" for name in suite.policy_ids[:5]) or "any policy with cases"
        raise UsageError(f"suite `{suite.suite}` says nothing about {shown}", f"it is about {wanted}")
    return items if limit is None else sample_items(items, limit, balance, seed)


def _balance(sample: str) -> Balance:
    known = [each.value for each in Balance]
    if sample not in known:
        raise UsageError(f"there is no sample {quoted(sample)}", suggestion(sample, known, "samples"))
    return Balance(sample)


def _composed_items(suite: Suite, data: Path | None, policies: Sequence[Policy]) -> Iterator[EvalItem]:
    """A sample of each part; an item that two parts hold counts for the first."""
    seen: set[str] = set()
    for part, member in zip(suite.compose, suite.members, strict=True):
        named = member.model_copy(update={"suite": suite.suite})
        items = [item for item in plain_items(named, data, policies) if item.id not in seen]
        taken = sample_items(items, part.take, part.balance, suite.seed)
        seen.update(item.id for item in taken)
        yield from taken


def plain_items(suite: Suite, data: Path | None, policies: Sequence[Policy]) -> Iterator[EvalItem]:
    """Yield the items of a plain suite; arguments and errors as of ``read_items``, but none may be left."""
    if suite.reads is Reads.CASES:
        yield from _case_items(suite, policies)
        return
    if data is None:
        raise UsageError(
            f"suite `{suite.suite}` needs the labelled sets, which are not part of the project",
            f"give their folder with --data, or set {DATA_VARIABLE}",
        )
    path = rows_file(data, suite)
    seen: set[str] = set()
    for row in rows_of(path, suite.sources, _MODALITY[suite.reads or Reads.TEXTS]):
        if row["id"] in seen:
            raise UsageError(f"`{path}` holds two rows with the id {quoted(str(row['id']))}")
        seen.add(row["id"])
        item = _row_item(row, suite, policies)
        if item is not None:
            yield item
    if not seen:
        shown = ", ".join(f"`{source}`" for source in suite.sources)
        raise UsageError(f"`{path}` holds no row of {shown}", "compare `sources` and `split` of the suite")


def _row_item(row: Mapping[str, Any], suite: Suite, policies: Sequence[Policy]) -> EvalItem | None:
    """Return a row as an item, or None where it answers nothing or the suite does not want it."""
    if suite.languages and row["lang"] not in suite.languages:
        return None
    if suite.content_types and row.get("content_type") not in suite.content_types:
        return None
    if suite.only and not set(suite.only) & set(row.get("slices") or ()):
        return None
    text = _text(row, suite) if suite.reads is Reads.TEXTS else None
    areas, rules, harmful = truth_of(row, suite, policies)
    unusable = (suite.reads is Reads.TEXTS and text is None) or (not areas and harmful is None)
    if unusable:
        return None
    return EvalItem(
        id=row["id"],
        suite=suite.suite,
        source=row["source"],
        text=text,
        media=None if suite.reads is Reads.TEXTS else row.get("media"),
        modality=_MODALITY[suite.reads or Reads.TEXTS],
        lang=row["lang"] or "und",
        slices=_slices(row, suite),
        group=row.get("pair_group") or row.get("parent_id") or row["id"],
        areas=areas,
        rules=rules,
        harmful=harmful,
        target=row.get("target"),
    )


def truth_of(row: Mapping[str, Any], suite: Suite, policies: Sequence[Policy]) -> Truth:
    """Return what the labels of one row say about ``policies``.

    An area applies where a label says so; it does not where the annotators looked at it, or at everything,
    and found nothing; else it is unknown. The item as a whole is harmless only where everything was looked
    at, or every one of ``policies`` is known not to apply. A label that leaves the area open makes it harmful
    only where all areas it may mean are among ``policies``.
    """
    agreement, least = row.get("agreement"), suite.agreement_at_least
    disputed = least is not None and agreement is not None and agreement < least
    violates, labels = row["violates"], set(row["labels"] or ())
    if violates is None or disputed or (violates and not labels) or (labels and not violates):
        return {}, {}, None  # not judged, disputed, or at odds with itself
    covered = set(row["areas_covered"] or ())
    harmless = not violates and "any" in covered
    by_id = {policy.policy: policy for policy in policies}
    areas = dict.fromkeys(by_id, False) if harmless else {}
    rules: dict[str, str] = {}
    for known in suite.labels:
        if known.policy not in by_id:
            continue
        if labels & set(known.violates):
            areas[known.policy] = True
            rules |= {f"{known.policy}#{known.rules[one]}": "yes" for one in labels if one in known.rules}
        elif covered & set(known.covered_as) and not labels & set(known.unclear):
            areas[known.policy] = False
    of_some = labels & set(suite.harmful) and all(known.policy in by_id for known in suite.labels)
    clear = [by_id[area] for area, applies in areas.items() if not applies]
    rules |= {f"{policy.policy}#{rule.id}": "no" for policy in clear for rule in policy.rules}
    if any(areas.values()) or of_some:
        return areas, rules, True
    return areas, rules, False if harmless or (by_id and len(clear) == len(by_id)) else None


def _text(row: Mapping[str, Any], suite: Suite) -> str | None:
    """What is judged, or None for a row whose earlier turns the suite does not use."""
    text: str = row["text"] or ""
    turns = row.get("context")
    if turns in (None, "", "[]") or suite.context == "ignore":
        return text
    if suite.context is None:
        return None
    try:
        earlier = json.loads(turns or "[]")
    except ValueError:
        earlier = turns
    listed = earlier if isinstance(earlier, list) else [earlier]
    return "\n\n".join([*(str(turn) for turn in listed), text])


def _slices(row: Mapping[str, Any], suite: Suite) -> tuple[str, ...]:
    found: list[str] = []
    for column in suite.slices:
        value = row.get(column)
        if column == "slices":
            found += value or ()
        elif value:
            found.append(f"{column}:{value}")
    return tuple(dict.fromkeys(found))


def _case_items(suite: Suite, policies: Sequence[Policy]) -> Iterator[EvalItem]:
    for cases in read_cases(policies).values():
        for each in cases:
            if each.case.content is not None:  # a media file beside the policy stands in no tar
                yield _case_item(each, suite, policies)


def _case_item(each: PolicyCase, suite: Suite, policies: Sequence[Policy]) -> EvalItem:
    case, policy = each.case, each.policy
    areas, rules = _case_truth(each)
    return EvalItem(
        id=f"{policy.policy}#{case.name}",
        suite=suite.suite,
        source=policy.policy,
        text=case.content,
        media=None,
        modality="text",
        lang=case.lang or "und",
        slices=(f"expect:{case.expect}", *(("todo",) if case.todo else ())),
        group=f"{policy.policy}#{case.name}",
        areas=areas,
        rules=rules,
        harmful=True if any(areas.values()) else False if areas and len(policies) == 1 else None,
    )


def _case_truth(each: PolicyCase) -> tuple[dict[str, bool], dict[str, str]]:
    """What the author of a case knew: its own rule, or that no rule of the policy applies.

    An exempt rule does not apply, yet its area is not "no": other rules were not looked at, and the area has
    to be read as met for its rules to be asked.
    """
    case, policy = each.case, each.policy
    key = f"{policy.policy}#{case.rule}"
    if case.expect == "violates":
        return {policy.policy: True}, {key: "yes"}
    if case.expect == "exempt":
        return {}, {key: "except"}
    if case.rule:
        return {}, {key: "no"}
    return {policy.policy: False}, {f"{policy.policy}#{rule.id}": "no" for rule in policy.rules}
