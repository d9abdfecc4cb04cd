"""TF-IDF of words and letters, and logistic regression on it: the classic text classifier.

Words of one and two, and character n-grams inside words, hashed so that no vocabulary is kept. Knows nothing
about items or policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES = 2**18  # columns for words, and as many for characters
WORDS = (1, 2)
CHARACTERS = (2, 4)
MOST_CHARACTERS = 10_000  # of a text that are read
INVERSE_PENALTY = 4.0  # C of the regression: weights of sparse unit vectors need room
ROUNDS = 1_000


class Tfidf:
    """Logistic regression, classes weighted to count alike, one a question.

    Args:
        seed: of the regression.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._train: Any = None
        self._items: Any = None

    def read(self, train: Sequence[str], items: Sequence[str]) -> None:
        """Weigh every feature by how few train texts have it (sublinear TF, smoothed IDF, unit length)."""
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.pipeline import make_pipeline, make_union

        def counted(analyzer: str, size: tuple[int, int]) -> Any:
            hashing = HashingVectorizer(
                analyzer=analyzer,
                ngram_range=size,
                n_features=FEATURES,
                norm=None,
                alternate_sign=False,
                token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
            )
            return make_pipeline(hashing, TfidfTransformer(sublinear_tf=True))

        features = make_union(counted("word", WORDS), counted("char_wb", CHARACTERS))
        self._train = features.fit_transform([text[:MOST_CHARACTERS] for text in train])
        self._items = features.transform([text[:MOST_CHARACTERS] for text in items]) if items else None

    def answer(self, key: str, rows: Sequence[int], truth: Sequence[bool]) -> Sequence[float]:
        """P(yes) for every item, of a model fitted on ``rows``; see ``lexical_baselines.Baseline``."""
        del key
        if self._items is None:
            return []
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=INVERSE_PENALTY, class_weight="balanced", max_iter=ROUNDS, random_state=self._seed, tol=1e-3
        )
        known = self._train[list(rows)]
        columns = np.unique(known.indices)  # the weights of all others would be 0
        model.fit(known[:, columns], list(truth))
        found: list[float] = model.predict_proba(self._items[:, columns])[:, 1].tolist()  # False, then True
        return found
