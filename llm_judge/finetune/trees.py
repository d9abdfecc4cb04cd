"""Training rows → token trees: one content and all the questions about it, behind a shared policy prefix.

This is the layout the local engine reads in one forward pass, so training sees what serving sees: a question
sees the prefix, its content and itself, and its positions start after its content. Rows come from the files
of ``llm-judge finetune data``. Knows nothing about models.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.engines.tokens import BETWEEN
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from llm_judge.engines.tokens import ChatFrame, ChatTokens

KINDS = ("area", "rule", "exemption", "explanation")
EXPLANATION = KINDS.index("explanation")
_COLUMNS = ("prompt", "completion", "kind", "weight")


@dataclass(slots=True)
class Pack:
    """One content behind the prefix number ``prefix``: its tokens, then those of its questions.

    Attributes:
        lengths: of the content, then of each question.
        targets: (place in ``tokens``, token that should come next, kind: an index into ``KINDS``).
        weights: of each target.
    """

    prefix: int
    tokens: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    targets: list[tuple[int, int, int]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, ids: Sequence[int]) -> int:
        """Append the content or a question and return the place after it."""
        self.lengths.append(len(ids))
        self.tokens += ids
        return len(self.tokens)

    def aim(self, place: int, token: int, kind: int, weight: float = 1.0) -> None:
        """Say what should come after ``place``."""
        self.targets.append((place, token, kind))
        self.weights.append(weight)


@dataclass(slots=True)
class Trees:
    """Packs, and the token ids of the prefixes they stand behind."""

    packs: list[Pack]
    prefixes: list[list[int]]

    def __len__(self) -> int:
        return len(self.packs)

    @property
    def tokens(self) -> int:
        """Tokens of all packs, prefixes not counted."""
        return sum(len(pack.tokens) for pack in self.packs)

    def sample(self, answers: int, seed: int) -> Trees:
        """Whole packs in random order, until they hold so many answers."""
        found, count = [], 0
        for pack in random.Random(seed).sample(self.packs, len(self.packs)):
            if count >= answers:
                break
            found.append(pack)
            count += len(pack.targets)
        return Trees(found, self.prefixes)

    def batches(self, tokens: int, draw: random.Random) -> list[list[int]]:
        """All packs once: of one prefix and like length, ``tokens`` a batch with padding, in random order."""
        # The noise lets the neighbours of a pack differ from epoch to epoch.
        sizes = [len(pack.tokens) * draw.uniform(0.9, 1.1) for pack in self.packs]
        of_prefix: dict[int, list[int]] = {}
        for number in sorted(range(len(self.packs)), key=lambda number: sizes[number]):
            of_prefix.setdefault(self.packs[number].prefix, []).append(number)
        found = [batch for order in of_prefix.values() for batch in self._cut(order, tokens)]
        draw.shuffle(found)
        return found

    def _cut(self, order: Sequence[int], tokens: int) -> Iterator[list[int]]:
        batch: list[int] = []
        longest = 0
        for number in order:
            longest = max(longest, len(self.packs[number].tokens))
            if batch and (len(batch) + 1) * longest > tokens:
                yield batch
                batch, longest = [], len(self.packs[number].tokens)
            batch.append(number)
        if batch:
            yield batch

    def padded(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Return packs of one prefix as tensors.

        ``ids``, ``positions``: (B, L). ``mask``: (B, 1, L, L), 0 where a token may look, else lowest.
        ``row``, ``place``, ``target``, ``kind``, ``weight``: (N,), what is scored. ``prefix``: its number.
        """
        import torch

        packs = [self.packs[number] for number in numbers]
        behind = len(self.prefixes[packs[0].prefix])
        longest = max(len(pack.tokens) for pack in packs)
        ids = torch.zeros(len(packs), longest, dtype=torch.long)
        positions = torch.full((len(packs), longest), behind, dtype=torch.long)
        seen = torch.eye(longest, dtype=torch.bool).repeat(len(packs), 1, 1)  # padding sees itself
        for row, pack in enumerate(packs):
            ids[row, : len(pack.tokens)] = torch.tensor(pack.tokens)
            body, start = pack.lengths[0], 0
            for length in pack.lengths:
                own = slice(start, start + length)
                first = behind + (body if start else 0)
                positions[row, own] = torch.arange(first, first + length)
                seen[row, own, own] = torch.ones(length, length, dtype=torch.bool).tril()
                if start:
                    seen[row, own, :body] = True
                start += length
        lowest = torch.finfo(torch.bfloat16).min
        mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(~seen, lowest)
        targets = [(row, *target) for row, pack in enumerate(packs) for target in pack.targets]
        scored = torch.tensor(targets, dtype=torch.long).T
        found = dict(zip(("row", "place", "target", "kind"), scored, strict=True))
        weight = torch.tensor([weight for pack in packs for weight in pack.weights])
        return {
            "ids": ids,
            "positions": positions,
            "mask": mask[:, None],
            "prefix": packs[0].prefix,
            "weight": weight,
            **found,
        }


def read_trees(files: Sequence[Path], tokens: ChatTokens, frame: ChatFrame) -> Trees:
    """Pack the rows of Parquet files; rows about the same content behind the same policies share a tree.

    Raises:
        UsageError: a file is missing or holds other columns, or an answer is not one token of the model.
    """
    packs: dict[tuple[str, str], Pack] = {}
    prefixes: dict[str, int] = {}
    for row in _rows(files):
        prefix, user = (message["content"] for message in row["prompt"])
        body, _, question = user.partition(BETWEEN)  # a body has no blank line (llm_judge.prompt)
        number = prefixes.setdefault(prefix, len(prefixes))
        pack = packs.get((prefix, body))
        if pack is None:
            pack = packs[prefix, body] = Pack(number)
            pack.add(frame.body_ids(tokens, body))
        asked = frame.question_ids(tokens, question)
        answer = tokens.encode(row["completion"][0]["content"])
        kind = KINDS.index(row["kind"])
        if kind == EXPLANATION:
            answer.append(tokens.end_of_turn_id)
        elif len(answer) != 1:
            raise UsageError(f"the answer to a question of kind `{row['kind']}` is {len(answer)} tokens")
        start = pack.add([*asked, *answer[:-1]]) - len(answer)
        for place, token in enumerate(answer):
            pack.aim(start + place, token, kind, row["weight"])
    return Trees(list(packs.values()), [frame.prefix_ids(tokens, prefix) for prefix in prefixes])


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        try:
            with pq.ParquetFile(file) as rows:
                for batch in rows.iter_batches(columns=list(_COLUMNS)):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            hint = "make it with `llm-judge finetune data`"
            raise UsageError(f"`{file}` holds no training rows: {error}", hint) from None
