"""A keyword list, as many services start with: a few terms of our own, and those the train texts teach.

A learnt term is one that texts which apply use clearly more often than others, by log-odds with a prior.
So no list of slurs stands in the project, and none is written anywhere. Monroe, B. L., Colaresi, M. P. and
Quinn, K. M. (2008), "Fightin' words: lexical feature selection and evaluation for identifying the content of
political conflict", Political Analysis 16(4), 372–403. Knows nothing about items or policies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TERMS = 300  # learnt for one question
CLEARLY = 2.576  # least z of a learnt term, 1 % two-sided
PRIOR = 0.5  # added to every count, as if each term had been seen half a time on each side
MOST_HITS = 3  # more hits than these count as these
MOST_CHARACTERS = 10_000  # of a text that are read

# Our own terms, by the area's name; masked where they are rude, and found as they are written here.
OWN_TERMS = {
    "regulated/fraud": ("guaranteed profit", "wire transfer", "you have won", "claim your prize"),
    "integrity/spam": ("click here", "free gift", "limited offer", "subscribe now", "buy now"),
    "health/self_harm": ("end my life", "hurt myself", "self harm"),
    "safety/violence": ("beat you up", "burn it down", "hurt you"),
    "safety/harassment": ("loser", "idiot", "shut up", "nobody likes you"),
    "safety/hate": ("subhuman", "go back to your country", "vermin"),
    "regulated/drugs": ("buy weed", "cheap pills"),
    "regulated/weapons": ("buy a gun", "untraceable"),
    "mature/strong_language": ("f***", "s***", "damn"),
    "mature/sexual_content": ("nudes", "xxx"),
    "privacy/personal_information": ("home address", "phone number", "passport number"),
    "security/platform_security": ("ignore all previous", "jailbreak", "bypass the filter"),
}
_WORD = re.compile(r"[^\W\d_]+(?:['’*][^\W\d_]+)*\**")
# Scripts without spaces between words: kana and Han.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def terms_of(text: str) -> list[str]:
    """Words of a text in lower case; pairs of characters where words have no spaces."""
    words: list[str] = []
    for word in _WORD.findall(text[:MOST_CHARACTERS].casefold()):
        for run in _UNSPACED.findall(word):
            words += [run[i : i + 2] for i in range(max(1, len(run) - 1))]
        words += [part for part in _UNSPACED.split(word) if part]
    return words


class Keywords:
    """How many terms of the list a text has, and how often train texts with as many apply.

    Args:
        seed: unused, nothing here is left to chance.
    """

    def __init__(self, seed: int = 0) -> None:
        del seed
        self._train: Any = None
        self._items: Any = None
        self._texts: list[list[str]] = [[], []]

    def read(self, train: Sequence[str], items: Sequence[str]) -> None:
        """Mark which terms of the train texts each text has."""
        from sklearn.feature_extraction.text import CountVectorizer

        self._texts = [[text[:MOST_CHARACTERS].casefold() for text in texts] for texts in (train, items)]
        counting = CountVectorizer(analyzer=terms_of, binary=True, dtype="int32")
        # A text of no words leaves an empty vocabulary, which scikit-learn refuses: one term is always there.
        found = counting.fit_transform([*train, "term"])[:-1]
        self._train, self._items = found, counting.transform(items) if items else found[:0]

    def answer(self, key: str, rows: Sequence[int], truth: Sequence[bool]) -> Sequence[float]:
        """P(yes) for every item; see ``lexical_baselines.Baseline``."""
        import numpy as np

        yes = np.asarray(truth, dtype=bool)
        known = self._train[list(rows)]
        learnt = _telling(known, yes)
        own = OWN_TERMS.get(key, ()) if key != "any" else tuple(t for ts in OWN_TERMS.values() for t in ts)
        hits = _hits(known, learnt, [self._texts[0][row] for row in rows], own)
        share = [
            (int(yes[hits == number].sum()) + 1) / (int((hits == number).sum()) + 2)
            for number in range(MOST_HITS + 1)
        ]
        return [share[number] for number in _hits(self._items, learnt, self._texts[1], own)]


def _telling(known: Any, yes: Any) -> Any:
    """Columns of the most telling terms, by z: difference of log-odds over its standard error.

    With a of n texts that apply and b of m others, log(a/(n − a)) − log(b/(m − b)) over
    √(1/a + 1/(n − a) + 1/b + 1/(m − b)).
    """
    import numpy as np

    on = np.asarray(known[yes].sum(axis=0)).ravel() + PRIOR
    off = np.asarray(known[~yes].sum(axis=0)).ravel() + PRIOR
    size_on, size_off = yes.sum() + 2 * PRIOR, (~yes).sum() + 2 * PRIOR
    odds = np.log(on / (size_on - on)) - np.log(off / (size_off - off))
    z = odds / np.sqrt(1 / on + 1 / (size_on - on) + 1 / off + 1 / (size_off - off))
    best = np.argsort(-z, kind="stable")[:MOST_TERMS]
    return best[z[best] >= CLEARLY]


def _hits(found: Any, learnt: Any, texts: Sequence[str], own: Sequence[str]) -> Any:
    import numpy as np

    counts = np.asarray(found[:, learnt].sum(axis=1)).ravel().astype(int)
    if own:
        whole = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, own))})(?!\w)")
        counts += np.array([len(set(whole.findall(text))) for text in texts], dtype=int)
    return np.minimum(counts, MOST_HITS)
