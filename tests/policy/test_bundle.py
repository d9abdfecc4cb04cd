"""A bundle that was changed anywhere is refused, and the last good one stays in force."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.errors import OutputError, PolicyError, UsageError
from llm_judge.policy.archive import MAX_FILE_BYTES, pack, unpack
from llm_judge.policy.bundle import build_bundle, open_bundle
from llm_judge.policy.bundle_content import collect, overlay_names, policies_of, prompts_of
from llm_judge.policy.bundle_store import BundleStore
from llm_judge.policy.load import load_policies
from llm_judge.policy.overlay import load_overlays
from llm_judge.policy.signing import create_keys, key_name, load_private_key, load_public_key
from llm_judge.resources import content_folder

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
FILES = {
    "policies/demo/a.yaml": b"a: 1\n" * 200,
    "policies/demo/empty.yaml": b"",
    "prompts/compact/rule.j2": b"x" * 512,
}
BLOCK = 512
BASE = (Path(__file__).parent / "refund.yaml").read_text()
NAME = "policies/demo/refund.yaml"


def built(files=FILES, key=KEY, sequence=7):
    return build_bundle(
        files,
        sequence=sequence,
        created="2026-01-01T00:00:00Z",
        project_version="0.1.0",
        policy_digest="0" * 64,
        key=key,
    )


def refusal(data, trusted=None):
    with pytest.raises(PolicyError) as caught:
        open_bundle(data, "b.tar", trusted)
    message = caught.value.message
    assert message.startswith("bundle `b.tar` is refused: ")
    assert "\n" not in message
    return message.removeprefix("bundle `b.tar` is refused: ")


def flipped(data, at, mask=1):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def test_a_bundle_holds_what_went_in_and_is_the_same_every_time():
    bundle = open_bundle(built(), "b.tar", key_name(KEY))
    assert dict(bundle.files) == FILES
    assert (bundle.manifest.sequence, bundle.manifest.signed_by) == (7, key_name(KEY))
    assert built(dict(reversed(FILES.items()))) == built()


def test_an_archive_is_a_plain_tar():
    with tarfile.open(fileobj=io.BytesIO(built())) as tar:
        assert tar.getnames() == ["manifest.json", "manifest.sig", *sorted(FILES)]
        assert tar.extractfile("policies/demo/a.yaml").read() == FILES["policies/demo/a.yaml"]


@pytest.mark.parametrize("key", [KEY, None], ids=["signed", "unsigned"])
def test_a_byte_flipped_in_any_file_its_header_or_its_padding_is_refused(key):
    data = built(key=key)
    at, tried = 0, 0
    for content in unpack(data).values():
        start, end = at + BLOCK, at + BLOCK + len(content)
        following = end + -len(content) % BLOCK
        header = [at, at + 50, at + 100, at + 130, at + 136, at + 148, at + 156, at + 257, at + 300, at + 511]
        inside = [start, start + len(content) // 2, end - 1] if content else []
        behind = [end, following - 1] if following > end else []
        for place in (*header, *inside, *behind):
            for mask in (1, 0x80):
                refusal(flipped(data, place, mask))
                tried += 1
        at = following
    for place in (at, at + BLOCK, len(data) - 1):
        refusal(flipped(data, place))
    assert tried > 80


def test_every_byte_of_manifest_and_seal_counts():
    for key in (KEY, None):
        data = built({"a": b"1"}, key)
        end = data.index(b"a\0", BLOCK) if key is None else len(data)
        for place in range(end):
            refusal(flipped(data, place))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_other_bytes_are_refused(data):
    good = built()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    new = good[:start] + data.draw(st.binary(max_size=40)) + good[end:]
    if new != good:
        refusal(new)


def entry(name, data=b"x", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % BLOCK) + b"\0" * 2 * BLOCK


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a bundle"),
        (b"schema: 1\n" * 200, "not a bundle"),
        (entry("../evil"), "it holds a path that leads outside: `../evil`"),
        (entry("a/../../evil"), "it holds a path that leads outside: `a/../../evil`"),
        (entry("/etc/passwd"), "it holds a path that leads outside: `/etc/passwd`"),
        (entry(".hidden"), "it holds a name that is not allowed: `.hidden`"),
        (entry("a\\b"), "it holds a name that is not allowed"),
        (entry("a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "it holds a symbolic link: `a`"),
        (entry("a", b"", type=tarfile.LNKTYPE, linkname="b"), "it holds a hard link: `a`"),
        (entry("a", b"", type=tarfile.DIRTYPE), "it holds a folder: `a/`"),
        (entry("a", b"", type=tarfile.GNUTYPE_SPARSE), "it holds something that is not a plain file: `a`"),
        (entry("a", size=MAX_FILE_BYTES + 1), "it holds `a`, which is over 16 MiB"),
        (entry("a", size=4000), "it ends in the middle of `a`"),
        (entry("a", mtime=5), "it is damaged at `a`"),
        (entry("a", uid=5), "it is damaged at `a`"),
        (entry("a")[:-BLOCK], "it is damaged or cut off at byte 1,024"),
        (pack({"a": b"1"})[: -2 * BLOCK] + pack({"a": b"2"}), "it holds `a` twice"),
        (pack({"a": b"1"}), "it does not start with `manifest.json`"),
        (pack({"manifest.json": b"{}"}), "it holds neither `manifest.sig` nor `manifest.sha256`"),
        (pack({"manifest.json": b"[" * 100_000, "manifest.sha256": b""}), "`manifest.json` is damaged"),
    ],
)
def test_a_hostile_archive_is_refused_in_one_clear_line(data, words):
    assert words in refusal(data)


def repacked(change, key=None):
    """A bundle whose archive is sound but whose files were changed behind the manifest's back."""
    files = unpack(built(key=key))
    change(files)
    return pack(files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.update({"policies/demo/a.yaml": b"a: 2\n" * 200}), "`policies/demo/a.yaml` was changed"),
        (lambda f: f.pop("policies/demo/a.yaml"), "`policies/demo/a.yaml` is missing"),
        (
            lambda f: f.update({"policies/demo/new.yaml": b""}),
            "`policies/demo/new.yaml` is not in its manifest",
        ),
        (lambda f: f.update({"policies/demo/a.yaml": f.pop("policies/demo/a.yaml")}), "not in order"),
        (lambda f: f.update({"manifest.sig": b"x" * 64}), "neither"),
    ],
)
def test_files_are_what_the_manifest_lists(change, words):
    assert words in refusal(repacked(change))


def test_who_signed_counts_once_a_key_is_configured():
    trusted = key_name(KEY)
    assert refusal(built(key=None), trusted) == "it is not signed"
    assert "signed by key" in refusal(built(key=OTHER), trusted)
    stolen = unpack(built())
    stolen["manifest.sig"] = unpack(built(key=OTHER))["manifest.sig"]
    assert refusal(pack(stolen), trusted) == "its signature does not fit its manifest"
    manifest = json.loads(unpack(built())["manifest.json"]) | {"sequence": 8}
    forged = unpack(built()) | {"manifest.json": json.dumps(manifest).encode()}
    assert refusal(pack(forged)) == "its signature does not fit its manifest"
    digest = hashlib.sha256(forged["manifest.json"]).hexdigest().encode()
    bare = {"manifest.json": forged["manifest.json"], "manifest.sha256": digest, **FILES}
    assert refusal(pack(bare)) == "`manifest.json` does not fit its digest"


@pytest.mark.parametrize("name", ["../a", "/a", "a b", "", "a" * 101, "ä", "a//b", ".a", "a/", "a\n"])
def test_a_name_that_could_not_be_opened_is_not_packed(name):
    with pytest.raises(PolicyError, match="cannot hold"):
        pack({name: b""})


@pytest.fixture
def guidelines(tmp_path):
    """A folder with one policy, its cases with a picture, and an overlay."""
    root = tmp_path / "policies"
    (root / "demo" / "media").mkdir(parents=True)
    (root / "overlays").mkdir()
    here = Path(__file__).parent
    (root / "demo" / "refund.yaml").write_text(BASE)
    cases = (here / "refund.cases.yaml").read_text()
    (root / "demo" / "refund.cases.yaml").write_text(f"{cases}  - {{file: media/a.png, expect: clear}}\n")
    (root / "demo" / "media" / "a.png").write_bytes(b"picture")
    (root / "overlays" / "strict.yaml").write_text(
        "schema: 1\noverlay: strict\nversion: 1.0.0\ntitle: T\nowner: o\napplies_to: {}\nchanges:\n"
        "  - {policy: demo/refund, because: It must., rules: [{rule: RA2, raise_severity_to: 5}]}\n"
    )
    return root


def test_policies_overlays_and_prompts_come_out_as_they_went_in(guidelines):
    files, policies = collect(guidelines, content_folder("prompts"))
    assert "policies/demo/media/a.png" in files
    bundle = open_bundle(built(files), "b.tar")
    assert [p.model_dump() for p in policies_of(bundle)] == [p.model_dump() for p in policies]
    laid, _ = load_overlays(load_policies([guidelines]), ["strict"], [guidelines])
    assert policies_of(bundle, ["strict"])[0].model_dump() == laid[0].model_dump()
    assert overlay_names(bundle) == ["strict"]
    (guidelines / "demo" / "refund.yaml").write_text(BASE.replace("[text]", "[ text ]  # texts only"))
    assert b"modalities: [text] # texts only\n" in collect(guidelines, content_folder("prompts"))[0][NAME]
    rule = (content_folder("prompts") / "compact" / "rule.j2").read_text()
    assert prompts_of(bundle)["compact/rule.j2"] == rule
    with pytest.raises(UsageError) as caught:
        policies_of(bundle, ["strikt"])
    assert caught.value.hint == "did you mean `strict`?"


def test_a_wrong_overlay_or_case_is_not_packed(guidelines):
    path = guidelines / "overlays" / "strict.yaml"
    path.write_text(path.read_text().replace("RA2", "RA7"))
    with pytest.raises(PolicyError) as caught:
        collect(guidelines, content_folder("prompts"))
    assert caught.value.diagnostics[0].code == "P132"
    path.unlink()
    (guidelines / "demo" / "media" / "a.png").unlink()
    with pytest.raises(PolicyError) as caught:
        collect(guidelines, content_folder("prompts"))
    assert caught.value.diagnostics[0].code == "P113"


def saved(path, data):
    path.write_bytes(data)
    return path


def test_a_refused_bundle_leaves_the_last_good_one_in_force(tmp_path):
    store = BundleStore(tmp_path / "store")
    with pytest.raises(UsageError, match="no bundle is in force"):
        store.in_force()
    create_keys(tmp_path / "key")
    key = load_private_key(tmp_path / "key")
    first = store.install(saved(tmp_path / "1.tar", built(key=key)), tmp_path / "key.pub")
    newer = built(key=key, sequence=9)
    bad = {
        "damaged": flipped(newer, len(newer) // 2),
        "unsigned": built(key=None, sequence=9),
        "other key": built(key=OTHER, sequence=9),
        "older": built(key=key, sequence=6),
        "same sequence": built({"a": b""}, key),
    }
    for name, data in bad.items():
        with pytest.raises(PolicyError, match="is refused"):
            store.install(saved(tmp_path / "2.tar", data))
        assert store.in_force().digest == first.digest, name

    def unusable(_):
        raise PolicyError("its prompts cannot be rendered")

    with pytest.raises(PolicyError, match="rendered"):
        store.install(saved(tmp_path / "2.tar", newer), accept=unusable)
    assert store.in_force().digest == first.digest
    assert store.install(tmp_path / "1.tar").digest == first.digest  # again: nothing changes
    store.install(saved(tmp_path / "2.tar", newer))
    assert store.in_force().manifest.sequence == 9
    assert not list((tmp_path / "store").glob("*.part"))


def test_a_bundle_changed_after_it_was_installed_is_not_used(tmp_path):
    store = BundleStore(tmp_path / "store")
    store.install(saved(tmp_path / "1.tar", built()))
    store.install(saved(tmp_path / "2.tar", built(sequence=8)))
    older, newest = sorted((tmp_path / "store").glob("*.tar"))
    newest.write_bytes(older.read_bytes())  # sound, but not the one that was put in force
    with pytest.raises(PolicyError, match="was changed"):
        store.in_force()
    newest.unlink()
    with pytest.raises(PolicyError, match="there is no bundle"):
        store.in_force()
    (tmp_path / "store" / "in_force").write_text("../../1.tar")
    with pytest.raises(PolicyError, match="does not name a bundle"):
        store.in_force()


def test_a_folder_keeps_to_its_first_key(tmp_path):
    create_keys(tmp_path / "key")
    create_keys(tmp_path / "other")
    store = BundleStore(tmp_path / "store")
    data = built(key=load_private_key(tmp_path / "key"))
    store.install(saved(tmp_path / "1.tar", data), tmp_path / "key.pub")
    assert store.trusted_key() == load_public_key(tmp_path / "key.pub")
    with pytest.raises(UsageError, match="trusts another key"):
        store.install(tmp_path / "1.tar", tmp_path / "other.pub")
    (tmp_path / "store" / "trusted.pub").write_text("")
    with pytest.raises(UsageError, match="is not an Ed25519 public key"):
        store.in_force()


def test_a_private_key_is_its_owners_alone(tmp_path):
    create_keys(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="is there already"):
        create_keys(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        load_private_key(tmp_path / "key")


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 50, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_file_that_is_no_key_is_named(tmp_path, load, data):
    path = saved(tmp_path / "key", data)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="is not an Ed25519"):
        load(path)
    with pytest.raises(UsageError, match="there is no key file"):
        load(tmp_path / "none")
