"""Where the folders people edit (policies, prompts, evals, finetune) are on this machine.

In a checkout they stand beside the package; in an installed wheel they are inside it. Knows nothing
about what the folders hold.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def content_folder(name: str) -> Path:
    """Return the folder ``policies``, ``prompts``, ``evals`` or ``finetune``.

    Raises:
        FileNotFoundError: the installation is broken: neither layout holds the folder.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        folder = root / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name} is missing from this installation of llm-judge")
