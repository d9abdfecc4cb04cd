"""Runs at the start of the vLLM child on a CPU: lets torchvision be imported beside a torch without CUDA.

PyPI's torchvision is built for CUDA. Beside a CPU torch its operators cannot be loaded, and importing it
fails because it describes operators that nobody declared. vLLM imports it for every model. Declared first,
they are missing only to who calls them, and a judge calls neither. Where the operators do load, nothing is
declared. Python imports a module of this name by itself when its folder is on the path; this one then hands
over to the environment's own, if it has one.

Runs under another interpreter than the rest of the package, so it imports nothing of it.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).resolve().parent
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _BeforeTorchvision:
    """Finds nothing itself; it is asked just before torchvision is imported, and does its work then."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if fullname != "torchvision":
            return
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        spec = importlib.machinery.PathFinder.find_spec(fullname)
        if spec is not None and spec.origin is not None:
            _declare_what_does_not_load(Path(spec.origin).parent)


def _declare_what_does_not_load(package: Path) -> None:
    import torch

    for library in package.glob("_C*.so"):
        # Loading it twice is harmless: the system loader gives the same library again.
        with contextlib.suppress(OSError, RuntimeError):
            torch.ops.load_library(str(library))
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", _SIGNATURE)


def _hand_over() -> None:
    """Run the environment's own ``sitecustomize``, which this one hides."""
    places = [place for place in sys.path if Path(place or ".").resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _BeforeTorchvision())
    _hand_over()
