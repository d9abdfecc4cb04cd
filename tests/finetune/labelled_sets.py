"""Made-up labelled sets with mild rows, in the columns of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")


def write(folder: Path, *rows: dict[str, Any], split: str = "train") -> Path:
    """Write one split; a row violates where it has labels, and is not judged with ``judged: False``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [(name, pa.string()) for name in ("id", "source", "lang", "text", "context", "pair_group")]
    lists = [(name, pa.list_(pa.string())) for name in ("labels", "areas_covered")]
    schema = pa.schema([*texts, *lists, ("violates", pa.bool_()), ("agreement", pa.float64())])
    made = []
    for number, row in enumerate(rows):
        labels = row.get("labels", [])
        judged = bool(labels) if row.get("judged", True) else None
        base = {"id": f"{split}:{number}", "lang": "en", "text": f"text {number}", "labels": []}
        base |= {"areas_covered": [], "violates": judged}
        made.append(
            {**dict.fromkeys(schema.names), **base, **{k: v for k, v in row.items() if k != "judged"}}
        )
    pq.write_table(pa.Table.from_pylist(made, schema=schema), folder / f"{split}.parquet")
    return folder


def many(source: str, number: int, *labels: str, lang: str = "en", start: int = 0) -> list[dict[str, Any]]:
    """Different texts of one set that look at hate and harassment."""
    return [
        {
            "id": f"{source}:{'-'.join(labels)}{start + i}",
            "source": source,
            "lang": lang,
            "text": f"Neighbour {start + i} of {source} waters {'weeds' if labels else 'roses'} at {i + 3}.",
            "labels": list(labels),
            "areas_covered": ["hate", "harassment"],
        }
        for i in range(number)
    ]
