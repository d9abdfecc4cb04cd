import subprocess
from pathlib import Path

import pytest

from llm_judge.errors import PolicyError, UsageError
from llm_judge.policy.revision import texts_at


def git(folder, *words):
    names = ["-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Three commits: one policy; a second one beside it and an overlay; everything deleted."""
    root = tmp_path / "house"
    (root / "policies" / "safety").mkdir(parents=True)
    git(root.parent, "init", "-q", str(root))
    (root / "policies" / "safety" / "hate.yaml").write_text("one: é\n")
    (root / "policies" / "note.md").write_text("not YAML")
    (root / "top.yaml").write_text("top: 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "tag", "v1")
    (root / "policies" / "safety" / "hate.yaml").write_text("two: 2\n")
    (root / "policies" / "überlay.yaml").write_text("three: 3\n")
    (root / "policies" / "link.yaml").symlink_to("/etc/hostname")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "second")
    git(root, "rm", "-rq", "policies")
    git(root, "commit", "-q", "-m", "third")
    return root


def test_files_come_as_they_were_whatever_the_working_tree_holds(repository):
    folder = repository / "policies"
    assert not folder.exists()
    assert texts_at("git:v1", folder) == {"safety/hate.yaml": "one: é\n"}
    assert texts_at("HEAD~1", folder) == {"safety/hate.yaml": "two: 2\n", "überlay.yaml": "three: 3\n"}
    assert texts_at("v1", folder / "safety" / "hate.yaml") == {"hate.yaml": "one: é\n"}
    assert texts_at("v1", repository) == {"policies/safety/hate.yaml": "one: é\n", "top.yaml": "top: 1\n"}


def test_a_folder_is_found_from_the_current_one(repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert list(texts_at("v1", Path("policies"))) == ["safety/hate.yaml"]


@pytest.mark.parametrize(
    "name", ["v2", "", "-v1", "--all", "v1..HEAD", "v1:policies", "HEAD~99", "\n", "v1 "]
)
def test_an_unknown_revision_is_named(repository, name):
    with pytest.raises(UsageError, match="git knows no revision"):
        texts_at(name, repository)


def test_what_is_missing_is_said(repository, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"no YAML file in .*policies.* at revision `HEAD`"):
        texts_at("HEAD", repository / "policies")
    with pytest.raises(UsageError, match="is not in a git repository"):
        texts_at("HEAD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="`git` is not installed"):
        texts_at("HEAD", repository)


def test_files_that_cannot_be_policies_are_diagnosed(repository):
    (repository / "big.yaml").write_text("#" * 300_000)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "big")
    with pytest.raises(PolicyError) as caught:
        texts_at("HEAD", repository)
    assert [(d.span.file, d.message) for d in caught.value.diagnostics] == [
        ("HEAD:big.yaml", "the file is over 256 KiB")
    ]
    (repository / "big.yaml").write_bytes(b"a: \xff\n")
    git(repository, "commit", "-qam", "bytes")
    with pytest.raises(PolicyError) as caught:
        texts_at("HEAD", repository)
    assert [(d.span.file, d.span.column) for d in caught.value.diagnostics] == [("HEAD:big.yaml", 4)]
