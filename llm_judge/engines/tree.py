"""Many contents and all their questions in one flat row of tokens, behind one cached prefix.

What a token sees is a tree: a content's tokens see the prefix and the content so far; a question's tokens
see the prefix, its whole content and the question so far. Positions of every question restart after its
content, so each path from the root reads exactly like a prompt of its own. Attention is computed in two
parts that never copy the prefix: all tokens against the prefix keys at once, and each content and question
against its own keys; the two are joined by their log-sum-exps, as in flash-decoding:
``out = (e^a·A + e^b·B) / (e^a + e^b)`` for parts A, B with log-sum-exps a, b.
Knows nothing about text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

ATTENTION = "llm_judge_tree"


@dataclass(frozen=True, slots=True)
class Branches:
    """One content and its questions as token ids."""

    body: list[int]
    questions: list[list[int]]

    @property
    def size(self) -> int:
        """Tokens to compute."""
        return len(self.body) + sum(map(len, self.questions))


@dataclass(frozen=True, slots=True)
class PrefixCache:
    """Keys and values of the prefix: per layer, each ``[1, key heads, prefix length, head size]``."""

    layers: list[tuple[Tensor, Tensor]]
    length: int


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of queries and the keys they see, padded to a rectangle.

    Attributes:
        queries: ``[rows, longest query]`` places in the flat row; padding points at place 0.
        keys: ``[rows, longest key]`` places in the flat row.
        mask: ``[rows, 1, longest query, longest key]``, 0 where seen and very negative elsewhere.
        real: which entries of ``queries``, flattened, are not padding.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor
    real: Tensor


@dataclass(frozen=True, slots=True)
class Tree:
    """A batch ready for one forward: ``ids`` and ``positions`` are ``[1, tokens]``.

    Attributes:
        answers: place of the last token of every question, in request order.
        blocks: contents against themselves, and questions against their content and themselves.
    """

    prefix: PrefixCache
    ids: Tensor
    positions: Tensor
    answers: Tensor
    blocks: list[Block]


def build_tree(prefix: PrefixCache, batch: Sequence[Branches], dtype: torch.dtype) -> Tree:
    """Lay the batch out flat; every ``Branches`` needs at least one token in its body and each question."""
    import torch

    ids: list[int] = []
    positions: list[int] = []
    answers: list[int] = []
    bodies: list[tuple[range, range]] = []
    questions: list[tuple[range, range]] = []
    for branches in batch:
        body = range(len(ids), len(ids) + len(branches.body))
        ids += branches.body
        positions += range(prefix.length, prefix.length + len(body))
        bodies.append((body[:0], body))
        for question in branches.questions:
            place = range(len(ids), len(ids) + len(question))
            ids += question
            start = prefix.length + len(body)
            positions += range(start, start + len(question))
            questions.append((body, place))
            answers.append(place[-1])
    blocks = [_block(rows, dtype) for rows in (bodies, questions) if rows]
    return Tree(prefix, torch.tensor([ids]), torch.tensor([positions]), torch.tensor(answers), blocks)


def _block(rows: Sequence[tuple[range, range]], dtype: torch.dtype) -> Block:
    """Each row is (what is seen whole, what is seen as far as it has been read)."""
    import torch

    longest = max(len(own) for _, own in rows)
    longest_key = max(len(before) + len(own) for before, own in rows)
    queries = torch.zeros(len(rows), longest, dtype=torch.long)
    keys = torch.zeros(len(rows), longest_key, dtype=torch.long)
    mask = torch.full((len(rows), 1, longest, longest_key), torch.finfo(dtype).min, dtype=dtype)
    for row, (before, own) in enumerate(rows):
        queries[row, : len(own)] = torch.arange(own.start, own.stop)
        keys[row, : len(before)] = torch.arange(before.start, before.stop)
        keys[row, len(before) : len(before) + len(own)] = torch.arange(own.start, own.stop)
        seen = torch.ones(len(own), len(before) + len(own), dtype=torch.bool).tril(len(before))
        mask[row, 0, : len(own), : len(before) + len(own)].masked_fill_(seen, 0)
    lengths = torch.tensor([len(own) for _, own in rows])
    real = (torch.arange(longest) < lengths[:, None]).flatten().nonzero().flatten()
    return Block(queries, keys, mask, real)


def register_attention() -> None:
    """Make ``ATTENTION`` known to transformers; without a tree it is the ordinary SDPA attention."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    tree: Tree | None = None,
    prefix: PrefixCache | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer: query ``[rows, heads, tokens, size]`` → ``[rows, tokens, heads, size]``.

    With a ``tree`` there is one row; with a ``prefix`` every row stands behind it, and ``key``, ``value``
    and ``attention_mask`` (``[rows, 1, tokens, keys]``) are about the row's own tokens; with neither, SDPA.
    """
    if tree is not None:
        seen, weight = _against_prefix(query, tree.prefix.layers[module.layer_idx], scaling)
        own, own_weight = _against_blocks(query, key, value, tree.blocks, scaling)
    elif prefix is not None:
        repeats = query.shape[1] // key.shape[1]
        seen, weight = _against_prefix(query, prefix.layers[module.layer_idx], scaling)
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        own, own_weight = _flash(query, key, value, attention_mask, scaling)
    else:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return plain
    share = (weight - own_weight).sigmoid().unsqueeze(-1)
    joined = own.float().lerp(seen.float(), share).to(query.dtype)
    return joined.transpose(1, 2).contiguous(), None


def _against_prefix(
    query: Tensor, layer: tuple[Tensor, Tensor], scaling: float | None
) -> tuple[Tensor, Tensor]:
    """Every query against the whole prefix: values and log-sum-exps, in the query's order."""
    rows, heads, tokens, size = query.shape
    keys, values = layer
    groups, repeats = keys.shape[1], heads // keys.shape[1]
    # Without a mask, all queries that share a key head can stand in one row, whatever row they came from.
    folded = query.transpose(0, 1).reshape(1, groups, repeats * rows * tokens, size)
    seen, weight = _flash(folded, keys, values, None, scaling)
    seen = seen.reshape(heads, rows, tokens, size).transpose(0, 1)
    return seen, weight.reshape(heads, rows, tokens).transpose(0, 1)


def _against_blocks(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scaling: float | None
) -> tuple[Tensor, Tensor]:
    """Every token of the flat row against the content and question it belongs to."""
    own = query.new_empty(query.shape)
    weight = query.new_empty(query.shape[:3]).float()
    for block in blocks:
        place = block.queries.flatten()[block.real]
        own[0][:, place], weight[0][:, place] = _attend(block, query, key, value, scaling)
    return own, weight


def _attend(
    block: Block, query: Tensor, key: Tensor, value: Tensor, scaling: float | None
) -> tuple[Tensor, Tensor]:
    """Return ``[heads, real tokens, size]`` and log-sum-exps ``[heads, real tokens]`` of one block."""
    heads = query.shape[1]
    repeats = heads // key.shape[1]
    queries = query[0][:, block.queries].transpose(0, 1)  # [rows, heads, longest, size]
    keys = key[0][:, block.keys].transpose(0, 1).repeat_interleave(repeats, 1)
    values = value[0][:, block.keys].transpose(0, 1).repeat_interleave(repeats, 1)
    out, weight = _flash(queries, keys, values, block.mask, scaling)
    out = out.transpose(0, 1).flatten(1, 2)[:, block.real]
    return out, weight.transpose(0, 1).flatten(1, 2)[:, block.real]


def _flash(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> tuple[Tensor, Tensor]:
    """SDPA's own CPU kernel, called by name because only there it also returns the log-sum-exps."""
    import torch

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, weight = kernel(query, key, value, 0.0, False, attn_mask=mask, scale=scaling)
    return out, weight
