"""Records: whole lines or none, resumable after any death, and nothing kept that was not asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import JUDGE, compiled, make_content, make_policy, record, write

from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.errors import ContentDamaged, OutputError, UsageError
from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord, RecordFile, error_json

MakeRecord = Callable[..., DecisionRecord]


def ids(path: Path) -> list[str]:
    return [json.loads(line)["item"]["id"] for line in path.read_bytes().splitlines()]


def run_script(body: str, path: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a second process that runs ``body`` with ``path`` and the names of ``samples``."""
    names = "from pathlib import Path\nfrom samples import *\nfrom llm_judge.errors import OutputError\n"
    code = f"import sys\n{names}path = Path(sys.argv[1])\n{body}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment, text=True, **options)


def test_a_record_reads_back_as_it_was(tmp_path: Path, make_record: MakeRecord) -> None:
    made = make_record()
    with RecordFile(tmp_path / "out.jsonl", made.run, keep_quotes=True) as file:
        file.append(made)
        file.sync()
    (line,) = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    data = json.loads(line)
    assert data == json.loads(json.dumps(made.as_json()))
    assert (data["schema"], data["action"], data["error"]) == (1, "allow", None)
    assert data["decision"]["determining_rules"] == ["garden/plants#R1"]
    fired = data["verdicts"][0]
    assert (fired["rule"], fired["outcome"], fired["probability"]) == ("garden/plants#R1", "violates", 0.95)
    assert data["run"] == made.run.as_json()
    assert data["policies"] == {"garden/plants": "1.2.0", "market/sales": "1.2.0"}


def test_quotes_and_rationale_are_left_out_unless_kept(tmp_path: Path, make_record: MakeRecord) -> None:
    secret = "Please drown 4417."
    made = make_record(secret)
    for keep in (False, True):
        path = tmp_path / f"{keep}.jsonl"
        with RecordFile(path, made.run, keep_quotes=keep) as file:
            file.append(made)
        fired = json.loads(path.read_text("utf-8"))["verdicts"][0]
        assert ("4417" in path.read_text("utf-8")) == keep
        assert (fired["rationale"] is not None) == keep
        assert (fired["evidence"][0]["start"], fired["evidence"][0]["end"]) == (0, len(secret))


def test_an_error_record_says_what_went_wrong_and_what_to_do() -> None:
    error = ContentDamaged("`a.png` is cut off", "send it again")
    data = JUDGE.error_record("a", error, "a.png").as_json()
    assert data["error"] == error_json(error)
    assert data["error"] == {
        "type": "ContentDamaged",
        "message": "`a.png` is cut off",
        "hint": "send it again",
    }
    assert (data["decision"], data["action"], data["item"]) == (
        None,
        "review",
        {"id": "a", "source": "a.png"},
    )


def test_resume_goes_on_and_knows_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, ["a", "b"])
    with RecordFile(path, JUDGE.run, resume=True) as file:
        assert file.done == {"a", "b"}
        file.append(record("c"))
        assert file.done == {"a", "b", "c"}
    assert ids(path) == ["a", "b", "c"]


@pytest.mark.parametrize("resume", [True, False])
def test_an_absent_or_empty_file_is_begun(resume: bool, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    for name in ("absent.jsonl", "empty.jsonl"):
        write(tmp_path / name, ["a"], resume=resume)
        assert ids(tmp_path / name) == ["a"]


THREE = b"".join(json.dumps(record(id).as_json()).encode() + b"\n" for id in ("a", "é", "c"))


@settings(max_examples=60)
@given(cut=st.integers(0, len(THREE)))
def test_a_file_cut_anywhere_resumes_with_its_whole_lines(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    path.write_bytes(THREE[:cut])
    whole = THREE[: THREE.rfind(b"\n", 0, cut) + 1]
    with RecordFile(path, JUDGE.run, resume=True) as file:
        assert len(file.done) == whole.count(b"\n")
        assert path.read_bytes() == whole
        file.append(record("new"))
    assert ids(path)[-1] == "new"
    assert len(ids(path)) == whole.count(b"\n") + 1


@pytest.mark.parametrize("tail", [b"\x00" * 40, b"{", b'{"item"', b"\xff\xfe"])
def test_a_broken_last_line_is_removed(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(THREE + tail)
    write(path, [], resume=True)
    assert path.read_bytes() == THREE


def test_records_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, ["a"])
    with pytest.raises(UsageError, match="already holds records") as caught:
        write(path, ["b"])
    assert caught.value.hint == "add --resume to go on, or choose another --out"
    assert ids(path) == ["a"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"policy_digest": "other"}, "policy digest"),
        ({"prompt_digest": "other"}, "prompt digest"),
        ({"engine": replace(JUDGE.run.engine, adapter_digest="other")}, "adapter digest"),
        ({"engine": replace(JUDGE.run.engine, model="other")}, "model"),
    ],
)
def test_records_of_two_runs_do_not_mix(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(THREE)
    with pytest.raises(UsageError, match=f"made with another {named}$"):
        RecordFile(path, replace(JUDGE.run, **change), resume=True)
    assert path.read_bytes() == THREE


@pytest.mark.parametrize(
    "line",
    [b"words\n", b"{}\n", b"[]\n", b"\n", b'{"item": {"id": 1}}\n', b'{"item": {}, "run": {}}\n', b"\xff\n"],
)
def test_a_file_that_was_edited_is_refused_untouched(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for data, place in ((line, 0), (THREE + line + THREE, len(THREE))):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=f"holds a line that is not a record, at byte {place}$"):
            RecordFile(path, JUDGE.run, resume=True)
        assert path.read_bytes() == data


def test_only_one_process_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    body = """
for resume in (True, False):
    try:
        RecordFile(path, JUDGE.run, resume=resume)
    except OutputError as error:
        print(error.message)
"""
    with RecordFile(path, JUDGE.run):
        said, _ = run_script(body, path, stdout=subprocess.PIPE).communicate(timeout=60)
    assert said == f"another process is writing `{path}`\n" * 2
    write(path, ["a"])


def test_a_killed_process_leaves_whole_lines_and_is_resumed_without_repeats(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    process = run_script("import itertools; write(path, map(str, itertools.count()))", path)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size > 50_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with RecordFile(path, JUDGE.run, resume=True) as file:
        for id in map(str, range(len(file.done) + 5)):
            if id not in file.done:
                file.append(record(id))
    assert ids(path) == list(map(str, range(len(ids(path)))))


def test_a_full_device_is_one_clear_error() -> None:
    with RecordFile(Path("/dev/full"), JUDGE.run) as file:
        with pytest.raises(OutputError, match="cannot write `/dev/full` after 0 new records: no space left"):
            file.append(record("a"))
        assert file.done == set()
        file.sync()


def test_a_full_disk_keeps_what_was_written_and_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    limit = int(2.5 * len(json.dumps(record("a").as_json())))
    body = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    write(path, "abcdef")
except OutputError as error:
    print(error.message, error.hint, sep="\\n")
"""
    said, _ = run_script(body, path, stdout=subprocess.PIPE).communicate(timeout=60)
    message, hint = said.splitlines()
    assert message == f"cannot write `{path}` after 2 new records: file too large"
    assert "--resume" in hint
    assert ids(path) == ["a", "b"]
    assert path.read_bytes().endswith(b"\n")
    write(path, "cdef", resume=True)
    assert ids(path) == list("abcdef")


def test_what_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "no" / "out.jsonl", tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="cannot write `"):
            RecordFile(path, JUDGE.run, resume=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_no_permission_is_one_clear_error(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(OutputError, match="permission denied"):
        RecordFile(locked / "out.jsonl", JUDGE.run)


def test_an_id_that_is_not_unicode_is_written_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    odd = ["\udcff.txt", "a\ud800b", "\U0001f331", 'quote " and \\ud800', "line\nbreak"]
    write(path, odd)
    with RecordFile(path, JUDGE.run, resume=True) as file:
        assert file.done == set(odd)
    assert ids(path) == odd


def test_the_decision_id_is_that_of_item_content_and_run() -> None:
    def decision_id(text: str = "Water it.", id: str = "item", judge: Judge = JUDGE) -> str:
        return judge.judge(make_content(text, id=id)).decision_id

    other = Judge(compiled(make_policy(title="Other")), ScriptedEngine())
    assert decision_id() == decision_id()
    assert len({decision_id(), decision_id("Drown it."), decision_id(id="b"), decision_id(judge=other)}) == 4
    assert decision_id(id="\udcff")
