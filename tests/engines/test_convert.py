"""The unpacked model appears whole or not at all; the unpacking itself is replaced by a quick one."""

import errno

import pytest

from llm_judge.engines import convert
from llm_judge.errors import PackageError


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """Counts the unpackings into a cache of its own."""
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(convert, "ensure", lambda *_: tmp_path)
    made = []

    def quick(source, folder):
        made.append(source)
        (folder / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(convert, "_convert", quick)
    return made


def test_it_is_unpacked_once_with_a_line_on_stderr(unpacked, capsys):
    assert convert.converted_model() == convert.converted_model()
    assert len(unpacked) == 1
    assert capsys.readouterr().err.count("unpacking") == 1


def test_a_damaged_copy_is_made_again(unpacked):
    path = convert.converted_model() / "model.safetensors"
    path.write_bytes(b"weight$")
    assert (convert.converted_model() / "model.safetensors").read_bytes() == b"weights"
    path.unlink()
    assert convert.converted_model().joinpath("model.safetensors").exists()
    assert len(unpacked) == 3


def test_what_a_killed_run_left_is_swept_up(unpacked):
    folder = convert.converted_model()
    (folder / "model.safetensors").unlink()
    left = folder.parent / f".{folder.name}.x.partial"
    left.mkdir()
    convert.converted_model()
    assert not left.exists()


def test_a_full_disk_leaves_nothing(unpacked, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(convert, "_convert", refuse)
    with pytest.raises(PackageError, match="No space left"):
        convert.converted_model()
    cache = convert.derived_folder(convert.MODEL)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
