"""The plain data of a report → sections of sentences, tables and cases, the same for every format.

Knows nothing about HTML or Markdown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import Metric
from llm_judge.evals.report_agreement import agreement
from llm_judge.evals.report_calibrated import calibrated
from llm_judge.evals.report_cases import noise, worst
from llm_judge.evals.report_findings import findings
from llm_judge.evals.report_parts import Section, Table, cell_of, heads, numbers, overall, partly, question
from llm_judge.evals.report_robustness import robustness
from llm_judge.evals.report_summary import areas, headline, summary
from llm_judge.evals.statistics import share
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from llm_judge.evals.report_parts import Data

_SLICED = (Metric.PRECISION, Metric.RECALL, Metric.F1, Metric.FALSE_POSITIVE_RATE, Metric.AUROC)
_UNSURE = (
    Metric.ABSTAIN_RATE,
    Metric.UNREADABLE_RATE,
    Metric.LABEL_MASS,
    Metric.RECALL,
    Metric.RECALL_DECIDED,
    Metric.F1,
    Metric.F1_DECIDED,
    Metric.AURC,
    Metric.EVIDENCE_HIT_RATE,
)
_COST = (Metric.LATENCY_MS_P50, Metric.LATENCY_MS_P95, Metric.LATENCY_MS_MEAN, Metric.TOKENS_MEAN)
_DIMENSIONS = {
    "suite": "Suites",
    "language": "Languages",
    "modality": "Modalities",
    "source": "Sources",
    "slice": "Functionalities and other subsets",
}
_TRUTHS = {"applies": "applies", "does_not": "does not", "unknown": "unknown"}


def title(data: Data) -> str:
    """What the report is called."""
    return f"Eval report: {', '.join(data['suites']) or 'no items'}"


def sections(data: Data) -> tuple[Section, ...]:
    """Return every section, in order; one with nothing to say says so."""
    return (
        summary(data),
        headline(data),
        areas(data),
        calibrated(data),
        agreement(data),
        Section(
            "plots",
            "Plots",
            ("Reliability, risk–coverage and precision–recall, for all items and for every area.",),
        ),
        _confusion(data),
        _slices(data),
        robustness(data),
        worst(data),
        noise(data),
        findings(data),
        _unsure(data),
        _no_data(data),
        _versions(data),
    )


def _confusion(data: Data) -> Section:
    said = [*(outcome.value for outcome in Outcome), "not_asked"]
    rows = [
        (question(row), name, sum(row[truth].values()), *(row[truth].get(each, 0) for each in said))
        for row in data["confusion"]
        if row["applies"] or row["does_not"]
        for truth, name in _TRUTHS.items()
        if row[truth]
    ]
    columns = ("question", "label", "n", *(each.replace("_", " ") for each in said))
    text = (
        "How often each outcome met each label. A rule is not asked where its area was clearly clear; "
        "questions without any label are left out.",
    )
    tables = (Table("Outcome by label", columns, tuple(rows)),) if rows else ()
    return Section("confusion", "Confusion by rule", text, tables=tables)


def _slices(data: Data) -> Section:
    tables, points = [], []
    for dimension, name in _DIMENSIONS.items():
        cells = [c for c in data["cells"] if c["dimension"] == dimension and c["kind"] != Kind.RULE]
        values = sorted({c["value"] for c in cells})
        rows = [(c["value"], question(c), *numbers(c, _SLICED)) for c in cells if c["counts"]["n"]]
        if len(values) <= 1 and dimension != "slice":
            points.append(f"{name}: {values[0] if values else 'none'} only.")
        elif rows:
            rows.sort(key=lambda row: (row[1] != "anything at all", str(row[1]), str(row[0])))
            tables.append(
                Table(name, (dimension, "question", "n", "positives", *heads(_SLICED)), tuple(rows))
            )
        else:
            points.append(f"{name}: none with labels.")
    text = ("Slices without a labelled answer are left out.",)
    return Section("slices", "Slices", text, tuple(points), tuple(tables))


def _unsure(data: Data) -> Section:
    total = data["items"]
    ran = [s for s in data["systems"] if s["ran"]]
    at = data["main"]["kind"], data["main"]["key"]
    tables = [
        Table(
            "Could not tell, by area",
            ("area", "n", "positives", *heads(_UNSURE)),
            tuple((question(c), *numbers(c, _UNSURE)) for c in overall(data, Kind.ITEM, Kind.AREA)),
        ),
        Table(
            "What the judge would do",
            ("action", "items, 95 % Wilson interval"),
            tuple((action, str(share(count, total))) for action, count in data["actions"].items()),
        ),
        Table(
            "Errors",
            ("error", "items, 95 % Wilson interval"),
            tuple((error, str(share(count, total))) for error, count in data["errors"].items()),
        ),
        Table(
            f"Cost an item, where labelled for {question(data['main'])}",
            ("system", "n", "positives", *heads(_COST)),
            tuple((s["title"], *numbers(cell_of(s, *at), _COST)) for s in ran) if total else (),
        ),
    ]
    text = (
        "“Abstained” is the judge's own doubt, “unreadable” an answer in no known form: neither is “clear”. "
        "Label mass is the probability of all labels together; low mass means the format was not followed.",
    )
    return Section(
        "unsure",
        "Abstentions, unreadable answers, errors and cost",
        text,
        tables=tuple(t for t in tables if t.rows),
    )


def _no_data(data: Data) -> Section:
    areas, rules = data["no_data"]["areas"], data["no_data"]["rules"]
    points = [f"No labelled item for the area {name}: no number anywhere in this report." for name in areas]
    if rules:
        points.append(
            f"No labelled item for {len(rules)} {'rule' if len(rules) == 1 else 'rules'}: {', '.join(rules)}."
        )
    if not points:
        points.append("Every area and rule that was asked has labelled items.")
    rows = tuple((question(c), c["counts"]["n"], c["counts"]["unknown"]) for c in partly(data))
    text = (
        "No labelled set covers everything. A row counts only for the questions its annotators looked at: a "
        "missing label is unknown, not negative.",
    )
    tables = (
        (Table("Partly labelled", ("question", "labelled answers", "unknown answers"), rows),) if rows else ()
    )
    return Section("coverage", "Not labelled, or in part", text, tuple(points), tables)


def _versions(data: Data) -> Section:
    first, *others = [system for system in data["systems"] if system["ran"]]
    tables, same = [_identity(first["title"], first["identity"])], []
    for system in others:
        differs = {name: v for name, v in system["identity"].items() if first["identity"].get(name) != v}
        if differs:
            tables.append(_identity(f"{system['title']}: what differs from this run", differs))
        else:
            same.append(f"{system['title']}: nothing differs from this run.")
    text = () if first["identity"] else ("This run says nothing about itself: its manifest is empty.",)
    return Section(
        "versions", "Versions and digests", text, tuple(same), tuple(table for table in tables if table.rows)
    )


def _identity(caption: str, found: Data) -> Table:
    return Table(caption, ("what", "value"), tuple(found.items()))
