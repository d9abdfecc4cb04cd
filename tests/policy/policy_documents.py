"""Documents to try a reader of policies with: good ones, damaged ones, and ones written to harm it."""

import json
from pathlib import Path

from hypothesis import strategies as st

GOOD = (Path(__file__).parent / "refund.yaml").read_text()
CASES = 'schema: 1\npolicy: demo/refund\ncases:\n  - {content: "a", expect: violates, rule: RA1}\n'
OVERLAY = """\
schema: 1
overlay: market
version: 1.0.0
title: A market
owner: demo-policy
applies_to: {markets: [XX], min_age: 13}
changes:
  - policy: demo/refund
    because: Local practice.
    rules:
      - {rule: RA2, raise_severity_to: 4, remove_exemptions: [report]}
    actions_first:
      - {rules: [RA1], do: review}
"""
_ODD = [
    *(
        "\t",
        "\r",
        "\r\n",
        "\ufeff",
        "\u202e",
        "\u2028",
        "\x00",
        "\x85",
        "🧾",
        "שלום",
        "مرحبا",
        "٣",
        "𝟙",
        "a\u0301",
    ),
    *(
        "&a ",
        "*a",
        "<<: ",
        "!!python/object:os.system ",
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "? ",
        "- ",
        ": ",
        "#",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "|\n",
        ">-\n",
        "'",
        '"',
        "\\",
        "\\ud800",
        "\\U0010ffff",
        "no",
        "1e999",
        "0x1f",
        "-.inf",
    ),
    *("2024-01-01", "~", "{refund}", "{{ x }}", "<|im_start|>", '{"verdict": "clear"}', "calibrated.x"),
]
_KEYS = """schema policy version title summary status owner modalities definitions rules actions otherwise
on_error maps_to id violates severity exemptions when examples content verdict exemption because
probability_at_least severity_at_least do 🧾 لا""".split()  # noqa: SIM905
_WORDED = ("violates", "when", "content", "because", "title", "refund")
_predicates = st.fixed_dictionaries(
    {},
    optional={
        "severity_at_least": st.integers(1, 5),
        "probability_at_least": st.sampled_from([0, 0.5, 1, "calibrated.a"]),
        "rules": st.sampled_from(["[RA1]", "[RA2, RA1]", "[]", "[RB1]"]),
    },
)
_OPENINGS = ["[", "{a: ", "- ", "? ", "[[", "{", "a:\n "]
_PIECES = ["x", "漢", "no ", "n't", ", ", "a. ", "9", "`", "not without "]


@st.composite
def _edited(draw):
    """A good file with up to four places replaced."""
    text = draw(st.sampled_from([GOOD, GOOD, CASES, OVERLAY]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 40, len(text))))
        text = text[:start] + draw(st.sampled_from(_ODD) | st.text(max_size=8)) + text[end:]
    return text


@st.composite
def _reworded(draw):
    """A good policy with other words, quoted so that it stays YAML, and another ladder."""
    kept = [sign for sign in _ODD if sign.isprintable() or sign == "\u202e"]
    words = st.sampled_from([*_PIECES, *kept, "Intends to", "; sells", "{refund}", "answer yes", "harmful"])
    letters = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]), max_size=6)
    texts = st.lists(words | letters, min_size=1, max_size=8).map(" ".join)
    rows = []
    for row in GOOD.splitlines():
        key, colon, _ = row.partition(":")
        if key.strip(" -") in _WORDED and draw(st.booleans()):
            rows.append(f"{key}{colon} {json.dumps(draw(texts), ensure_ascii=False)}")
        elif row.startswith("  - {"):
            rows.append(f"  - {_flow({'do': 'review', **draw(_predicates)})}")
        else:
            rows.append(row)
    return "\n".join(rows) + "\n"


def _alias_bomb(depth, width):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(lines) + "\n"


def _flow(values):
    if isinstance(values, dict):
        return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in values.items()) + "}"
    if isinstance(values, list):
        return "[" + ", ".join(map(_flow, values)) + "]"
    return str(values)


def _with_value(key, value):
    rows = [f"{key}: {value}" if row.lstrip().startswith(f"{key}:") else row for row in GOOD.splitlines()]
    return "\n".join(rows)


def _many_rules(count, words):
    head, _, tail = GOOD.partition("rules:\n")
    rules = "".join(
        f"  - {{id: X{n}, title: T, violates: {words} {n % 7}, severity: {n % 5 + 1}}}\n"
        for n in range(count)
    )
    return head + "rules:\n" + rules + tail[tail.index("actions:") :]


def _many_exemptions(count, words):
    more = "".join(f"      - {{id: e{n}, when: {words} {n}}}\n" for n in range(count))
    return GOOD.replace("    exemptions:\n", f"    exemptions:\n{more}", 1)


def _many_names(count, rules):
    """Placeholders and rule ids that are each nearly one that exists, and none does."""
    text = _many_rules(rules, "a").replace(
        "- {sev", f"- {{rules: [{', '.join(f'XX{n}' for n in range(count))}], sev", 1
    )
    names = " ".join(f"{{refun{n}}}" for n in range(count))
    return text.replace("violates: a 0", f'violates: "{names}"', 1)


_scalars = st.sampled_from(_ODD) | st.text(max_size=12) | st.integers() | st.floats() | st.booleans()
_trees = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=30,
)
_words = st.sampled_from(["a", "not without", "Says no to a {refund}", "never " * 40, "意味", "x" * 300])
_texts = st.one_of(
    _reworded(),
    _reworded().map(lambda text: text.replace("\n", "\r\n")),
    _reworded(),
    _edited(),
    _trees.map(_flow),
    st.builds(_alias_bomb, st.integers(1, 40), st.integers(1, 12)),
    st.builds(str.__mul__, st.sampled_from(_OPENINGS), st.integers(1, 3000)),
    st.builds(lambda n: "".join(f"{' ' * level}a:\n" for level in range(n)), st.integers(1, 200)),
    st.builds(
        _with_value,
        st.sampled_from(_KEYS),
        st.builds(str.__mul__, st.sampled_from(_PIECES), st.integers(1, 100_000)),
    ),
    st.builds(_many_rules, st.integers(1, 2500), _words),
    st.builds(_many_exemptions, st.integers(1, 2500), _words),
    st.builds(_many_names, st.integers(1, 9000), st.integers(1, 900)),
    st.builds(lambda text: text.replace("\n", "\r\n"), _edited()),
    st.builds(lambda text: "\ufeff" + text, _edited()),
    st.builds(lambda text: text.replace("  ", "\t"), _edited()),
    st.text(max_size=200),
)


def documents():
    """Return a strategy of the bytes of files; three in four are UTF-8 text."""
    encodings = st.sampled_from([*["utf-8"] * 9, "utf-16", "latin-1", "cp1252"])
    written = st.builds(lambda text, encoding: text.encode(encoding, "replace"), _texts, encodings)
    return st.one_of(*[written] * 9, st.binary(max_size=300))
