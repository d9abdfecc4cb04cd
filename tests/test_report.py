"""What people read: every reason with its place, and nothing that a terminal would obey."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from samples import JUDGE, compiled, make_content, make_policy, make_rule, opened

from llm_judge.content.content import Coverage, Modality, Segment, SegmentKind
from llm_judge.decision import Abstention, Decision, Effect, Gap
from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.errors import ContentDamaged, ExitCode
from llm_judge.judge import Judge
from llm_judge.policy.model import Action, Policy
from llm_judge.record import DecisionRecord
from llm_judge.report import RecordPrinter, Tally, gaps_line, place, printable, records_table, why
from llm_judge.verdict import Evidence, Outcome, resolve

MakeRecord = Callable[..., DecisionRecord]
TITLES = {"garden/plants#R1": "Title of R1"}


def shown(record: DecisionRecord, titles: dict[str, str] | None = None, note: str = "") -> str:
    """The table as a colour terminal gets it."""
    out = StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system="truecolor")
    console.print(records_table([(record, note)], titles or TITLES))
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain words, é, 日本, 🌱", "plain words, é, 日本, 🌱"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("a\nb\tc\x00\x7f", "a\\u000ab\\u0009c\\u0000\\u007f"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, seen: str) -> None:
    assert printable(text) == seen


@given(st.text())
def test_printable_text_is_printable_and_stays(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


def test_content_is_never_markup_or_control(make_record: MakeRecord) -> None:
    hostile = (
        "drown [bold red]it[/] :skull: [link=https://x.example]here[/link] \x1b]0;title\x07\x1b[2J \u202e"
    )
    made = make_record(hostile)
    (fired, *others) = made.verdicts
    fired = replace(fired, rationale=hostile)
    made = replace(made, verdicts=(fired, *others), item={**made.item, "id": hostile, "source": None})
    text = shown(made, titles={"garden/plants#R1": hostile}, note=hostile)
    assert "[bold red]it[/] :skull: [link=https://x.example]here[/link]" in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert not {"\x07", "\u202e"} & set(text)


def test_a_hostile_error_is_shown_as_text() -> None:
    record = JUDGE.error_record("\x1b[2J[red]id", ContentDamaged("`[red]\x1b[2J` is cut off", "send\x1b it"))
    text = shown(record)
    assert "\x1b[2J" not in text
    assert "`[red]\\u001b[2J` is cut off" in text
    assert "send\\u001b it" in text


def test_a_row_holds_item_action_rule_numbers_evidence_and_reason(make_record: MakeRecord) -> None:
    made = make_record("Please drown it.", id="post-7")
    lines = why(made, TITLES).plain
    assert "violates garden/plants#R1 Title of R1  p 0.95, mass 1.00, severity 3" in lines
    assert "[1] characters 0–16  “Please drown it.”" in lines
    assert "Says so." in lines
    assert "post-7" in shown(made)


def test_a_clear_item_says_how_clear() -> None:
    assert why(JUDGE.judge(make_content("Water it.")), {}).plain == "no rule fires (highest probability 0.01)"


def test_an_item_that_no_rule_is_about_says_so() -> None:
    judge = Judge(compiled(make_policy(modalities=(Modality.TEXT,))), ScriptedEngine())
    assert (
        why(judge.judge(make_content("x", modality=Modality.AUDIO)), {}).plain == "no rule applies to audio"
    )


@pytest.mark.parametrize("text", ["Water it.", "Please drown it."])
def test_what_was_not_looked_at_is_said(text: str) -> None:
    engine = opened(("R1", "drown", {"yes": 0.9, "no": 0.1}), ("*", "", {"no": 0.99}))
    coverage = Coverage("frames", 3, 9, notes=("3 of 9 frames were looked at",))
    content = make_content(text, coverage=coverage)
    record = Judge(compiled(make_policy()), engine).judge(content)
    assert "3 of 9 frames were looked at" in why(record, {}).plain


@pytest.mark.parametrize(
    ("segment", "where"),
    [
        (Segment(1, SegmentKind.SENTENCE, "w", start=3, end=8), "characters 3–8"),
        (Segment(1, SegmentKind.TRANSCRIPT, "w", start_s=1.0, end_s=2.54), "transcript 1.0–2.5 s"),
        (Segment(1, SegmentKind.OCR, "w", box=(1, 2, 3, 4)), "ocr line, box 1,2,3,4"),
        (Segment(1, SegmentKind.OCR, "w", start_s=0.0, frame=0), "ocr 0.0 s, frame 0"),
        (
            Segment(1, SegmentKind.OCR, "w", start_s=4.25, end_s=6, frame=102, box=(0, 0, 9, 9)),
            "ocr 4.2–6.0 s, frame 102, box 0,0,9,9",
        ),
        (Segment(1, SegmentKind.SIGNAL, "w"), "signal line"),
    ],
)
def test_the_place_of_evidence(segment: Segment, where: str) -> None:
    assert place(resolve(segment)) == where


def test_a_long_quote_is_shortened_to_one_line(make_record: MakeRecord) -> None:
    made = make_record("drown it")
    fired = replace(made.verdicts[0], evidence=(Evidence(1, "sentence", "many\nwords " * 100, 0, 1),))
    lines = why(replace(made, verdicts=(fired,)), {}).plain.splitlines()
    (quote,) = [line for line in lines if "“" in line]
    assert quote.endswith("…”")
    assert len(quote) < 200


def test_could_not_tell_and_disagreement_are_said(make_record: MakeRecord) -> None:
    made = make_record()
    verdicts = (
        replace(made.verdicts[0], explanation="disagrees"),
        replace(made.verdicts[1], outcome=Outcome.ABSTAIN, reason="label mass 0.10 is too low"),
        replace(made.verdicts[2], outcome=Outcome.EXEMPT, exemption="news", exempt_probability=0.8),
    )
    lines = why(replace(made, verdicts=verdicts), {}).plain
    assert "explanation disagrees; the probability decides" in lines
    assert "abstain garden/plants#R2" in lines
    assert "label mass 0.10 is too low" in lines
    assert "exempt market/sales#S1  (exempt: news)" in lines
    assert "exempt 0.80" in lines


def test_a_long_list_of_undecided_rules_is_counted_not_printed(make_record: MakeRecord) -> None:
    made = make_record()
    unsure = replace(made.verdicts[1], outcome=Outcome.ABSTAIN, reason="too close to call")
    verdicts = tuple(replace(unsure, rule=f"garden/plants#R{n}") for n in range(9))
    lines = why(replace(made, verdicts=verdicts), {}).plain
    assert lines.count("too close to call") == 3
    assert "of 9 rules that are not clear: 9 abstain" in lines


def decided(action: Action, *, unsure: bool = False, calibrated: bool = True) -> DecisionRecord:
    made = JUDGE.judge(make_content("Water it."))
    abstentions = (Abstention("garden/plants#R1", Outcome.ABSTAIN, "why"),) if unsure else ()
    decision = Decision(action, (), abstentions, action if unsure else None, calibrated)
    return replace(made, action=action, decision=decision, timings_ms={"areas": 30.0, "rules": 10.0})


FAILED = JUDGE.error_record("x", ContentDamaged("`x` is cut off"))


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], ExitCode.OK),
        ([decided(Action.ALLOW)], ExitCode.OK),
        ([decided(Action.ALLOW), decided(Action.LABEL)], ExitCode.FOUND),
        ([decided(Action.REMOVE), decided(Action.REVIEW, unsure=True)], ExitCode.UNDECIDED),
        ([decided(Action.ALLOW, unsure=True)], ExitCode.UNDECIDED),
        ([decided(Action.REMOVE), FAILED], ExitCode.UNDECIDED),
    ],
)
def test_exit_code_of_a_run(records: list[DecisionRecord], code: ExitCode) -> None:
    tally = Tally()
    for record in records:
        tally.add(record)
    assert tally.exit_code() is code


def test_the_last_line_counts_everything() -> None:
    tally = Tally(skipped=4)
    for record in (
        decided(Action.ALLOW),
        decided(Action.REMOVE),
        decided(Action.REVIEW, unsure=True),
        FAILED,
    ):
        tally.add(record)
    tally.add(decided(Action.ALLOW, calibrated=False))
    assert tally.line() == (
        "5 judged: 1 remove, 2 review, 2 allow; 1 could not be judged; 1 undecided (sent to on_error); "
        "4 already done; 32 ms an item; thresholds are not calibrated"
    )
    assert Tally().line() == "0 judged"


def test_one_line_says_what_a_calibration_lacks() -> None:
    assert gaps_line([]) is None
    many = [Gap(f"a/p{n}", "precision_95", Effect.NEVER, "why") for n in range(6)]
    line = gaps_line([*many, Gap("a/p0", "recall_90", Effect.ALWAYS, "why")])
    assert line == (
        "the calibration has gaps: recall_90 of a/p0: its steps match all that fires; "
        "precision_95 of a/p0, a/p1, a/p2, a/p3 and 2 more: its steps never match"
    )


def test_json_lines_survive_what_is_not_unicode(
    make_record: MakeRecord, policies: tuple[Policy, ...], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    printer = RecordPrinter(Console(), compiled(*policies), as_json=True)
    for id in ("\udcff", "b"):
        printer.add(make_record(id=id))
    printer.finish()
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["item"]["id"] for row in rows] == ["\udcff", "b"]
    assert rows[0]["verdicts"][0]["evidence"][0]["quote"] == "Please drown it."


def test_tables_come_a_batch_at_a_time_and_the_rest_at_the_end(
    make_record: MakeRecord, policies: tuple[Policy, ...]
) -> None:
    out = StringIO()
    printer = RecordPrinter(Console(file=out, width=120), compiled(*policies), as_json=False, batch=2)
    printer.add(make_record(id="one"))
    assert out.getvalue() == ""
    printer.add(make_record(id="two"))
    assert "two" in out.getvalue()
    printer.add(make_record(id="three"))
    assert "three" not in out.getvalue()
    printer.finish()
    printer.finish()
    assert out.getvalue().count("three") == 1


def test_quiet_prints_nothing(make_record: MakeRecord, policies: tuple[Policy, ...]) -> None:
    out = StringIO()
    printer = RecordPrinter(Console(file=out), compiled(*policies), as_json=False, quiet=True, batch=1)
    printer.add(make_record())
    printer.finish()
    assert out.getvalue() == ""


def test_titles_of_the_compiled_rules_are_shown(
    make_record: MakeRecord, policies: tuple[Policy, ...]
) -> None:
    out = StringIO()
    named = make_policy(rules=(make_rule("R1", title="Drowning plants"),))
    printer = RecordPrinter(Console(file=out, width=160), compiled(named), as_json=False, batch=1)
    printer.add(make_record())
    assert "Drowning plants" in out.getvalue()
