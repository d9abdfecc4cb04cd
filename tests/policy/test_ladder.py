"""An action ladder is checked against a plain enumeration of every verdict it could meet."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.policy.ladder import check_ladder
from llm_judge.policy.model import Policy
from llm_judge.policy.shape import shape
from llm_judge.source import Source
from llm_judge.strict_yaml import parse

THRESHOLDS = (None, 0, 0.5, 0.9, 1)
steps = st.fixed_dictionaries(
    {
        "severity_at_least": st.sampled_from([None, 1, 2, 3, 5]),
        "probability_at_least": st.sampled_from(THRESHOLDS),
        "rules": st.sampled_from([None, ("A1",), ("A2",), ("A1", "A2")]),
    }
)


def ladder(severities, rows, otherwise="review"):
    """Findings of a policy with rules A1, A2 … and these steps, as (code, line of the step or rule)."""
    rules = "".join(
        f"  - {{id: A{n}, title: T{n}, violates: W{n}, severity: {s}}}\n" for n, s in enumerate(severities, 1)
    )
    shown = "".join(
        "  - {"
        + "".join(
            f"{key}: {'[' + ', '.join(value) + ']' if isinstance(value, tuple) else value}, "
            for key, value in row.items()
            if value is not None
        )
        + "do: remove}\n"
        for row in rows
    )
    text = (
        "schema: 1\npolicy: a/b\nversion: 1.0.0\ntitle: T\nsummary: S\nstatus: test\nowner: o\n"
        f"modalities: [text]\nrules:\n{rules}{'actions:' if rows else ''}\n{shown}otherwise: {otherwise}\n"
    )
    root, _ = parse(text, "a.yaml")
    source = Source("a.yaml", text)
    tree, policy, wrong = shape(root, Policy, source)
    assert wrong == []
    first = 9 + len(severities) + 2
    found = check_ladder(policy, tree, source, {"precision_90", "precision_95", "recall_90", "recall_95"})
    return [(each.code, each.span.line - first) for each in found]


def matches(row, rule, severity, probability):
    return (
        (row["rules"] is None or rule in row["rules"])
        and severity >= (row["severity_at_least"] or 1)
        and probability >= (row["probability_at_least"] or 0)
    )


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.lists(steps, min_size=1, max_size=4))
def test_a_step_is_reported_exactly_where_no_verdict_reaches_it(severities, rows):
    reached = set()
    for rule, most in zip(("A1", "A2"), severities, strict=True):
        for severity, probability in product(range(1, most + 1), (0, 0.5, 0.9, 1)):
            hits = [index for index, row in enumerate(rows) if matches(row, rule, severity, probability)]
            reached.update(hits[:1])
    found = [line for code, line in ladder(severities, rows) if code == "P118"]
    assert found == [index for index in range(len(rows)) if index not in reached]


def swallowed(earlier, later):
    rows = [{"probability_at_least": f"calibrated.{name}"} for name in (earlier, later)]
    return ladder([3], rows) == [("P118", 1)]


def test_names_are_compared_only_where_every_calibration_agrees():
    assert swallowed("precision_90", "precision_95")
    assert swallowed("recall_95", "recall_90")
    assert swallowed("recall_90", "recall_90")
    assert not swallowed("precision_95", "precision_90")
    assert not swallowed("recall_90", "recall_95")
    assert not swallowed("recall_90", "precision_95")


def test_a_rule_without_an_action_is_a_gap_unless_otherwise_takes_it():
    row = {"severity_at_least": 4}
    assert ladder([4, 3], [row], otherwise="allow") == [("P119", -2)]
    assert ladder([4, 3], [row], otherwise="review") == []
    assert ladder([4, 3], [], otherwise="allow") == [("P119", -11)]
    assert ladder([3, 2], [row], otherwise="allow") == [("P118", 0)]


def test_an_unknown_threshold_is_named():
    assert ladder([3], [{"probability_at_least": "calibrated.recall_99"}]) == [("P120", 0)]
