"""`llm-judge records` as a person uses it: from judging to erasing; every wrong word is one clear line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from cli_runs import FIRES, saved

pytest.importorskip("sqlalchemy")


MADE = ("records.jsonl", "store.sqlite3")


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """A record file and a store of it, once the first test has made them."""
    return {}


@pytest.fixture
def records(judge, llm_judge, folder, monkeypatch, made):
    """Run `llm-judge records` on a store that holds two decisions: one clear, one that fires."""
    monkeypatch.setenv("LLM_JUDGE_STORE", "store.sqlite3")
    monkeypatch.setenv("USER", "ana")
    if not made:
        judge("A calm day.", FIRES, "--out", "records.jsonl", "--keep-quotes")
        assert llm_judge("records", "import", "records.jsonl", "--store-content").code == 0
        made.update({name: (folder / name).read_bytes() for name in MADE})
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return lambda *words: llm_judge("records", *words)


def decision(action: str = "remove") -> str:
    (found,) = [
        record["decision_id"] for record in saved(Path("records.jsonl")) if record["action"] == action
    ]
    return str(found)


def test_importing_again_stores_nothing_twice(records):
    again = records("import", "records.jsonl")
    assert (again.code, again.err) == (0, "records.jsonl: 0 stored; 2 there already\n")
    assert records("verify").out.startswith("good: 2 decisions; end 2:")


def test_list_shows_the_latest_first_and_finds(records):
    shown = records("list")
    assert shown.code == 0
    assert shown.out.index(decision()) < shown.out.index(decision("allow"))
    assert "demo/sales#MS1" in shown.out
    found = records("list", "--rule", "demo/sales#MS1", "--outcome", "violates", "--json")
    assert [row["decision_id"] for row in found.records] == [decision()]
    assert records("list", "--item", "nobody").err == "no decision matches\n"
    page = records("list", "--limit", "1", "--json")
    assert page.err == "there may be more: --before 2\n"
    assert [
        row["sequence"] for row in records("list", "--limit", "1", "--before", "2", "--json").records
    ] == [1]


def test_show_shows_evidence_place_and_reviews(records):
    review = (
        "review",
        decision(),
        "--rule",
        "demo/sales#MS1",
        "--verdict",
        "exempt",
        "--exemption",
        "warning",
    )
    assert records(*review, "--note", "quotes it").code == 0
    shown = records("show", decision())
    for words in ("entry 2", FIRES, "It asks first.", "by ana: demo/sales#MS1 exempt (warning)", "quotes it"):
        assert words in shown.out
    (row,) = records("show", decision(), "--json").records
    assert row["record"]["verdicts"][0]["evidence"][0]["quote"] == FIRES
    assert (row["reviews"][0]["said"], row["reviews"][0]["reviewer"]) == ("violates", "ana")


def test_corrections_go_to_the_file_that_training_reads(records, folder):
    records("review", decision(), "--rule", "demo/sales#MS1", "--verdict", "violates")
    records("review", decision(), "--rule", "demo/sales#MS2", "--verdict", "violates")
    assert records("export", "--what", "overrides", "--out", "overrides.jsonl").err == "1 overrides\n"
    (line,) = saved(folder / "overrides.jsonl")
    digest = saved(folder / "records.jsonl")[1]["item"]["sha256"]
    assert line == {
        "decision": decision(),
        "sha256": digest,
        "rule": "demo/sales#MS2",
        "verdict": "violates",
        "said": "clear",
    }
    from llm_judge.finetune.disagreements import read_overrides

    rules = {"demo/sales#MS1": ("warning",), "demo/sales#MS2": ()}
    found, unknown = read_overrides(folder / "overrides.jsonl", {}, rules)
    assert (found, sum(unknown.values())) == ([], 1)  # read without complaint; the text is not known


def test_what_is_exported_can_be_imported(records, folder, llm_judge):
    assert records("export", "--out", "out.jsonl").err == "2 decisions\n"
    other = ("--store", "other.sqlite3")
    assert llm_judge("records", "import", "out.jsonl", "--store-content", *other).code == 0
    assert llm_judge("records", "export", *other).records == records("export").records
    assert records("export", "--action", "allow").err == "1 decisions\n"


def test_parquet_is_a_table(records, folder):
    pq = pytest.importorskip("pyarrow.parquet")
    records("review", decision(), "--rule", "demo/sales#MS1", "--verdict", "clear")
    records("export", "--out", "out.parquet")
    rows = pq.read_table(folder / "out.parquet").to_pylist()
    assert [row["action"] for row in rows] == ["allow", "remove"]
    assert json.loads(rows[1]["record"])["decision_id"] == rows[1]["decision_id"] == decision()
    records("export", "--what", "reviews", "--out", "reviews.parquet")
    assert pq.read_table(folder / "reviews.parquet").to_pylist()[0]["verdict"] == "clear"


def test_purging_keeps_the_chain_whole(records):
    before = records("verify").out.rsplit(" ", 1)[1].strip()
    item = saved(Path("records.jsonl"))[1]["item"]["id"]
    assert records("purge", "--item", item, "--dry-run").out == "1 decision would be erased\n"
    assert (
        records("purge", "--item", item, "--content-only").out == "erased: content of 1 decision, 0 reviews\n"
    )
    assert FIRES not in records("show", decision()).out
    assert (
        records("purge", "--older-than", "0", "--reason", "request 12").out
        == "erased: 2 decisions, 0 reviews\n"
    )
    shown = records("show", decision())
    assert (shown.code, "erased" in shown.out, "request 12" in shown.out) == (0, True, True)
    good = records("verify", "--anchor", before)
    assert (good.code, good.out.split(";")[0]) == (0, "good: 2 decisions, 2 erasures, 2 erased")
    assert records("import", "records.jsonl").err == "records.jsonl: 0 stored; 2 erased before\n"


def test_verify_finds_a_change_and_exits_1(records):
    with sqlite3.connect("store.sqlite3") as database:
        database.execute("UPDATE entries SET payload = replace(payload, '\"remove\"', '\"allow\"')")
    database.close()
    run = records("verify")
    assert run.code == 1
    assert "entry 2: its payload was changed" in run.out
    assert "NOT GOOD" in run.out
    (found,) = records("verify", "--json").records
    assert found["good"] is False
    assert {problem["sequence"] for problem in found["problems"]} == {2}


def test_verify_misses_an_end_that_was_cut_off_only_without_an_anchor(records):
    end = records("verify").out.rsplit(" ", 1)[1].strip()
    with sqlite3.connect("store.sqlite3") as database:
        first = database.execute("SELECT hash FROM entries WHERE sequence = 1").fetchone()[0]
        database.execute("DELETE FROM findings WHERE sequence = 2")
        database.execute("DELETE FROM decisions WHERE sequence = 2")
        database.execute("DELETE FROM entries WHERE sequence = 2")
        database.execute("UPDATE chain_head SET sequence = 1, hash = ?", (first,))
    database.close()
    assert records("verify").code == 0
    run = records("verify", "--anchor", end)
    assert (run.code, "ends before entry 2" in run.out) == (1, True)


def test_replay_says_whether_the_decision_is_the_same(records, folder):
    how = ("replay", decision(), "--text", FIRES, "-p", "sales.yaml", "-e")
    same = records(*how, "scripted:script.json")
    assert (same.code, same.out.startswith("the same decision: remove; probabilities moved by 0.0000")) == (
        0,
        True,
    )
    script = json.loads((folder / "script.json").read_text())
    script["reads"][1]["probabilities"] = {"yes": 0.02, "no": 0.9}
    (folder / "calm.json").write_text(json.dumps(script))
    other = records(*how, "scripted:calm.json")
    assert other.code == 1
    assert "another decision: allow" in other.out
    assert "demo/sales#MS1: violates → clear" in other.out
    (found,) = records(*how, "scripted:calm.json", "--json").records
    assert found["same"] is False


def test_replay_tells_that_the_guidelines_are_others(records, folder):
    text = (folder / "sales.yaml").read_text().replace("Misleading sales", "Sales that mislead")
    (folder / "sales.yaml").write_text(text)
    run = records("replay", decision(), "--text", FIRES, "-p", "sales.yaml", "-e", "scripted:script.json")
    assert (run.code, "judged with another policy digest" in run.out) == (0, True)


def test_another_record_under_a_stored_id_is_told_and_exits_1(records, folder):
    record = saved(folder / "records.jsonl")[0]
    (folder / "other.jsonl").write_text(json.dumps({**record, "action": "reduce"}) + "\n")
    run = records("import", "other.jsonl")
    assert run.code == 1
    assert f"another record is stored as decision `{record['decision_id']}`" in run.err


def test_half_a_line_at_the_end_is_left_out(records, folder):
    whole = (folder / "records.jsonl").read_bytes()
    (folder / "cut.jsonl").write_bytes(whole + whole[:100])
    assert records("import", "cut.jsonl").err.endswith("2 there already; half a line at the end left out\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "--store", "typo.sqlite3"), "there is no record store at `typo.sqlite3`"),
        (("list", "--store", "records.jsonl"), "file is not a database"),
        (("import", "records.jsonl", "--store", "no/such/store"), "cannot be reached"),
        (("list", "--store", "mysql://a:hush@b/c"), "a record store cannot be `mysql`"),
        (
            ("list", "--store", "postgresql://a:hush@b:port/c"),
            "the address of the record store cannot be read",
        ),
        (("list", "--since", "yesterday"), "--since `yesterday` is not a time"),
        (("list", "--action", "delete"), "unknown action `delete`"),
        (("list", "--rule", "HS1"), "`HS1` is not a rule"),
        (("list", "--outcome", "clear"), "not looked up by what was clear"),
        (("show", "nobody"), "there is no decision `nobody`"),
        (("purge",), "nothing says what to erase"),
        (("purge", "--older-than", "3", "--until", "2026-01-01"), "does not go with"),
        (("purge", "--older-than", "99999999"), "before the calendar began"),
        (("verify", "--anchor", "12"), "--anchor is not an end of a chain"),
        (("migrate", "--to", "base"), "would erase every record"),
        (("migrate", "--to", "0099"), "cannot migrate to `0099`"),
        (("export", "--what", "all"), "unknown --what `all`"),
        (("export", "--what", "overrides", "--out", "a.parquet"), "overrides are JSONL"),
        (("import", "missing.jsonl"), "cannot read `missing.jsonl`: no such file"),
        (("import", "sales.yaml"), "sales.yaml:1: this is not JSON"),
        (("import", "script.json"), "`schema`: field required"),
        (("replay", "nobody"), "there is no decision `nobody`"),
        (("review", "x", "--rule", "a/b#R", "--verdict", "clear"), "there is no decision `x`"),
        (("review", "x", "--rule", "a/b#R", "--verdict", "bad"), "unknown verdict `bad`"),
        (("review", "x", "--rule", "a/b#R", "--verdict", "exempt"), "an exemption goes with `exempt`"),
    ],
)
def test_a_wrong_word_is_one_clear_line(records, words, message):
    run = records(*words)
    assert run.code == 2
    assert message in run.err
    assert "hush" not in run.err
    assert "= help: " in run.err or "failed" in run.err


def test_no_store_is_named(llm_judge, folder, monkeypatch):
    monkeypatch.delenv("LLM_JUDGE_STORE", raising=False)
    run = llm_judge("records", "list")
    assert (run.code, "no record store is named" in run.err) == (2, True)


def test_a_review_of_a_rule_that_was_not_asked_is_refused(records):
    run = records("review", decision(), "--rule", "demo/sales#MS3", "--verdict", "clear")
    assert (run.code, "did you mean" in run.err) == (2, True)


def test_replay_needs_what_was_judged(records):
    how = ("replay", decision(), "-p", "sales.yaml", "-e", "scripted:script.json")
    assert "is not kept" in records(*how).err
    assert "is not what decision" in records(*how, "--text", "Another text.").err
