"""The files in ``deploy/``, read as strictly as those who use them would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
YAML_FILES = sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".yml"))


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would quietly take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [self.construct_object(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # type: ignore[no-untyped-call]
        doubled = {key for key in own if own.count(key) > 1}
        assert not doubled, f"{node.start_mark}: {doubled}"
        return super().construct_mapping(node, deep)


def documents(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return list(yaml.load_all(path.read_text("utf-8"), _Strict))


def document(name: str) -> Any:
    """The one document of a file of ``deploy/``."""
    (found,) = documents(DEPLOY / name)
    return found
