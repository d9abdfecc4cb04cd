"""`llm-judge policy bundle`: pack guidelines into one signed file, check it, and put it in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.errors import ExitCode, OutputError, PolicyError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llm_judge.policy.bundle import Bundle
    from llm_judge.policy.bundle_store import BundleStore

app = typer.Typer(
    help="Pack guidelines, cases, overlays and prompts into one signed file, and put it in force.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

BundleFile = Annotated[Path, typer.Argument(metavar="FILE", help="A bundle.")]
BundleOrFolder = Annotated[
    Path,
    typer.Argument(metavar="FILE|FOLDER", help="A bundle, or a folder of `install`: the one in force."),
]
PublicKey = Annotated[
    Path | None, typer.Option("--key", metavar="FILE.pub", help="Public key that must have signed it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("keygen")
def keygen(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
) -> None:
    """Make an Ed25519 key pair: FILE, readable by you only, and FILE.pub to hand out.

    llm-judge policy bundle keygen guidelines.key
    """
    from llm_judge.policy.signing import create_keys

    public, name = create_keys(path)
    typer.echo(f"private key {path} (keep it secret), public key {public}, name {name[:16]}…")


@app.command("build")
def build(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the bundle goes.")],
    policies: Annotated[
        Path | None,
        typer.Option("--policies", "-p", metavar="FOLDER", help="The shipped guidelines if left out."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The shipped prompts if left out.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Private key to sign with.")
    ] = None,
    sequence: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**12 - 1, help="Must rise from bundle to bundle; seconds since 1970 if left out."
        ),
    ] = None,
) -> None:
    """Check a folder of guidelines and pack it. The same files, key and time give the same bytes.

    Set SOURCE_DATE_EPOCH for a fixed time.

      llm-judge policy bundle build -p policies --key guidelines.key -o guidelines.tar
    """
    from llm_judge import __version__
    from llm_judge.compile import policy_digest
    from llm_judge.policy.bundle import build_bundle, open_bundle
    from llm_judge.policy.bundle_content import collect
    from llm_judge.policy.signing import load_private_key
    from llm_judge.resources import content_folder

    private = load_private_key(key) if key else None
    seconds = _build_time()
    with _status("checking and packing guidelines"):
        files, chosen = collect(policies or content_folder("policies"), prompts or content_folder("prompts"))
        data = build_bundle(
            files,
            sequence=seconds if sequence is None else sequence,
            created=_iso(seconds),
            project_version=__version__,
            policy_digest=policy_digest(chosen),
            key=private,
        )
        bundle = open_bundle(data, str(out))
        check_usable(bundle)
    _write(out, data)
    typer.echo(_line(bundle))


@app.command("verify")
def verify(path: BundleFile, key: PublicKey = None, as_json: AsJson = False) -> None:
    """Check every byte of a bundle, its signature, and that its policies and prompts can be used.

    Exit code 1 says that it is refused.

    llm-judge policy bundle verify guidelines.tar --key guidelines.key.pub
    """
    from llm_judge.policy.bundle_store import read_bundle

    data = read_bundle(path)
    try:
        with _status("checking"):
            bundle = _open(data, path, key)
            check_usable(bundle)
    except PolicyError as error:
        error.exit_code = ExitCode.FOUND  # the check ran, and this is what it found
        raise
    if as_json:
        _print_json(bundle)
        return
    typer.echo(f"good: {_line(bundle)}")
    if key is None:
        typer.echo("who signed it was not checked: give --key FILE.pub", err=True)


@app.command("show")
def show(path: BundleOrFolder, key: PublicKey = None, as_json: AsJson = False) -> None:
    """Print what a bundle says of itself, and its files.

    llm-judge policy bundle show guidelines.tar
    """
    from llm_judge.policy.bundle_store import BundleStore, read_bundle

    if path.is_dir():
        path = Path(BundleStore(path).in_force().name)
    bundle = _open(read_bundle(path), path, key)
    if as_json:
        _print_json(bundle)
        return
    from rich.console import Console
    from rich.table import Table

    manifest = bundle.manifest
    table = Table(title=str(path), caption=_line(bundle))
    for name, side in (("file", "left"), ("bytes", "right"), ("SHA-256", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for entry in manifest.files:
        table.add_row(entry.path, f"{entry.size:,}", entry.sha256[:16])
    Console().print(table)


@app.command("install")
def install(
    path: BundleFile,
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", help="Folder that keeps bundles.")],
    key: PublicKey = None,
) -> None:
    """Check a bundle and put it in force; a refused one leaves the last good one in force.

    The first --key is kept in the folder, and every later bundle must be signed by it.

      llm-judge policy bundle install guidelines.tar --into /srv/guidelines --key guidelines.key.pub

      llm-judge judge "What a lovely morning." --bundle /srv/guidelines
    """
    from llm_judge.policy.bundle_store import BundleStore

    store = BundleStore(into)
    try:
        with _status("checking"):
            bundle = store.install(path, key, check_usable)
    except (PolicyError, UsageError) as error:
        error.hint = "; ".join(filter(None, (error.hint, _what_stays(store))))
        raise
    typer.echo(f"in force in {into}: {_line(bundle)}")


def _what_stays(store: BundleStore) -> str:
    """Return what is in force after a bundle was refused."""
    try:
        sequence = store.sequence()
    except PolicyError:
        return ""  # the error says so itself
    return "nothing was in force before" if sequence is None else f"sequence {sequence} stays in force"


def check_usable(bundle: Bundle) -> None:
    """Raise what reading the policies, laying the overlays over them or compiling them raises."""
    from llm_judge.compile import TargetModel, compile_policies
    from llm_judge.policy.bundle_content import overlay_names, policies_of, prompts_of

    prompts = prompts_of(bundle)
    dialects = sorted({path.partition("/")[0] for path in prompts})
    policies = policies_of(bundle)
    for dialect in dialects or ["compact"]:
        compile_policies(policies, TargetModel("any", 10**9, len, dialect), prompts)
    for name in overlay_names(bundle):
        policies_of(bundle, [name])


def _status(words: str) -> AbstractContextManager[Any]:
    """Show that work goes on, on a terminal only."""
    from rich.console import Console

    return Console(stderr=True).status(words)


def _open(data: bytes, path: Path, key: Path | None) -> Bundle:
    from llm_judge.policy.bundle import open_bundle
    from llm_judge.policy.signing import load_public_key

    return open_bundle(data, str(path), load_public_key(key) if key else None)


def _line(bundle: Bundle) -> str:
    manifest = bundle.manifest
    signer = f"signed by {manifest.signed_by[:16]}…" if manifest.signed_by else "not signed"
    return (
        f"sequence {manifest.sequence}, {manifest.created}, {len(manifest.files)} files, {signer}, "
        f"policy digest {manifest.policy_digest[:16]}…"
    )


def _print_json(bundle: Bundle) -> None:
    import json

    data: dict[str, Any] = bundle.manifest.model_dump(mode="json", by_alias=True)
    typer.echo(json.dumps({**data, "sha256": bundle.digest}, ensure_ascii=False))


def _build_time() -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH (reproducible-builds.org) or now."""
    import time

    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return int(time.time())
    if not given.isascii() or not given.isdigit() or len(given) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is `{given[:40]}`", "set it to seconds since 1970")
    return int(given)


def _iso(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable name"
        raise OutputError(f"`{path}` cannot be written: {reason.lower()}") from None
