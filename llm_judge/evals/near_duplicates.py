"""Which texts are the same, or nearly: an exact join by the share of common character shingles.

Every pair at or above the threshold is found, none by chance: two texts whose shingle sets have a Jaccard
similarity of t or more share one of the rarest (1 − t) of each (prefix filtering). Only pairs that share such
a shingle are compared in full, in blocks, so memory stays bounded.
Chaudhuri, S., Ganti, V. and Kaushik, R. (2006), "A primitive operator for similarity joins in data cleaning",
ICDE; Bayardo, R., Ma, Y. and Srikant, R. (2007), "Scaling up all pairs similarity search", WWW.
Knows nothing about items or labels.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy.sparse import csr_matrix

SIMILAR = 0.8  # least share of common shingles
SHINGLE = 5  # characters; works for scripts with and without spaces
MOST_CHARACTERS = 4_000  # of a text that are looked at
LEAST_CHARACTERS = 20  # shorter texts are compared exactly only: a letter more or less makes another text
_HASHES = 2**31 - 1  # shingles are known by a hash up to this, the most that scikit-learn has
_BLOCK = 1_000  # texts that are compared at once
_MOST_PAIRS = 2_000_000  # pairs of a block that are compared at once


def normalised(text: str) -> str:
    """The text as it is compared: NFKC, without case and punctuation, one space between words.

    Letters, digits, emoji and other symbols count. A text without any stays as it is.
    """
    sound = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates become question marks
    folded = unicodedata.normalize("NFKC", sound).casefold()
    return " ".join("".join(char if _counts(char) else " " for char in folded).split()) or sound.strip()


def _counts(char: str) -> bool:
    """Punctuation, spaces and variation selectors do not."""
    if 0xFE00 <= ord(char) <= 0xFE0F:
        return False
    skin_tone = 0x1F3FB <= ord(char) <= 0x1F3FF
    return char.isalnum() or skin_tone or unicodedata.category(char) in ("Mn", "Mc", "So")


class ShingleIndex:
    """Collections of texts, ready to be compared with each other and within.

    Args:
        collections: each a sequence of normalised texts; all of them tell rare shingles from common ones.
    """

    def __init__(self, *collections: Sequence[str]) -> None:
        self._sets = [_shingles(texts) for texts in collections]
        counts = _renumber(self._sets)
        self._prefixes = [_prefixes(each, counts) for each in self._sets]
        self._sizes = [each.indptr[1:] - each.indptr[:-1] for each in self._sets]

    def alike(self, left: int, right: int) -> Iterator[tuple[int, int, float]]:
        """Yield (number of a text in ``left``, of one in ``right``, similarity) of nearly the same ones.

        Args:
            left, right: numbers of the collections; within one, each pair comes once and none with itself.
        """
        across = self._prefixes[right].T.tocsr()
        for start in range(0, self._sets[left].shape[0], _BLOCK):
            shared = (self._prefixes[left][start : start + _BLOCK] @ across).tocoo()
            for part in range(0, shared.nnz, _MOST_PAIRS):
                here = slice(part, part + _MOST_PAIRS)
                yield from self._checked(left, right, shared.row[here] + start, shared.col[here])

    def _checked(self, left: int, right: int, i: Any, j: Any) -> Iterator[tuple[int, int, float]]:
        import numpy as np

        one, other = self._sizes[left][i], self._sizes[right][j]
        # Sets of very different sizes cannot be alike.
        keep = np.minimum(one, other) >= SIMILAR * np.maximum(one, other)
        if left == right:
            keep &= i < j
        i, j = i[keep], j[keep]
        value = _jaccard(self._sets[left], i, self._sets[right], j)
        alike = value >= SIMILAR
        yield from zip(i[alike].tolist(), j[alike].tolist(), value[alike].tolist(), strict=True)


def _shingles(texts: Sequence[str]) -> csr_matrix:
    """One row a text: 1 where it has a shingle; short texts have none."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer="char",
        ngram_range=(SHINGLE, SHINGLE),
        n_features=_HASHES,
        binary=True,
        norm=None,
        alternate_sign=False,
        lowercase=False,
        dtype=np.float32,
    )
    long = (text[:MOST_CHARACTERS] if len(text) >= LEAST_CHARACTERS else "" for text in texts)
    # An empty text last, because scikit-learn refuses no text at all.
    found: Any = hashing.transform([*long, ""])[:-1]
    return found


def _renumber(sets: Sequence[csr_matrix]) -> Any:
    """Number the shingles that occur from 0 up, in place; return how many texts have each."""
    import numpy as np

    names = np.unique(np.concatenate([np.unique(each.indices) for each in sets]))
    counts = np.zeros(len(names), dtype=np.int64)
    for each in sets:
        each.indices = np.searchsorted(names, each.indices).astype(np.int32)
        each.resize(each.shape[0], len(names))
        each.sort_indices()
        counts += np.bincount(each.indices, minlength=len(names))
    return counts


def _prefixes(sets: csr_matrix, counts: Any) -> csr_matrix:
    """Of every row the rarest shingles: size − ⌈t · size⌉ + 1 of them."""
    import numpy as np
    from scipy.sparse import csr_matrix

    sizes = np.diff(sets.indptr)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((sets.indices, counts[sets.indices], rows))  # by row, rarest first, then by column
    place = np.arange(len(order)) - np.repeat(sets.indptr[:-1], sizes)
    wanted = sizes - np.ceil(SIMILAR * sizes - 1e-9).astype(np.int64) + 1
    keep = order[place < np.repeat(wanted, sizes)]
    ones = np.ones(len(keep), dtype=np.float32)
    return csr_matrix((ones, (rows[keep], sets.indices[keep])), shape=sets.shape)


def _jaccard(left: csr_matrix, i: Any, right: csr_matrix, j: Any) -> Any:
    """Similarity of row ``i`` of one with row ``j`` of the other, pair by pair."""
    import numpy as np

    out = np.zeros(len(i))
    for part in range(0, len(i), 50_000):
        here = slice(part, part + 50_000)
        a, b = left[i[here]], right[j[here]]
        common = np.asarray(a.multiply(b).sum(axis=1)).ravel()
        sizes = np.diff(a.indptr) + np.diff(b.indptr)
        out[here] = common / np.maximum(1, sizes - common)
    return out
