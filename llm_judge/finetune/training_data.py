"""The training data compiler: recipe, labelled sets, own rows and policies in, a folder of files out.

Joins the steps and decides nothing itself.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.compile import TargetModel, policy_digest
from llm_judge.durable import reason_of, replace_file
from llm_judge.engines.convert import MODEL
from llm_judge.engines.tokens import ChatFrame, ChatTokens, packaged_tokens, tokens_and_frame
from llm_judge.errors import ContentError, OutputError, UsageError
from llm_judge.finetune.balance import Caps, balanced, capped_pairs, consistent
from llm_judge.finetune.data_files import TokenCounter, write_rows
from llm_judge.finetune.data_page import statistics_page
from llm_judge.finetune.data_recipe import DataRecipe
from llm_judge.finetune.labelled import is_shipped
from llm_judge.finetune.row_compiler import Compiled, RowCompiler
from llm_judge.finetune.row_selection import Selected, select_rows
from llm_judge.packaged import file_sha256
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_judge.finetune.row_selection import Progress
    from llm_judge.finetune.training_rows import TrainingRow
    from llm_judge.policy.model import Policy

MANIFEST, PAGE = "manifest.json", "statistics.html"
SCHEMA = 1
_PACKAGED_CONTEXT = 8_192


@dataclass(frozen=True, slots=True)
class Reader:
    """What the data is made for: a model's tokenizer and chat format."""

    target: TargetModel
    tokens: ChatTokens
    frame: ChatFrame
    digest: str

    @classmethod
    def of(cls, model: str) -> Reader:
        """The packaged model by name, or the model in a folder.

        Raises:
            UsageError: it is neither.
            EngineError: the folder's tokenizer or chat template cannot be used.
        """
        if model == MODEL:
            tokens, frame, context = packaged_tokens(), ChatFrame.packaged(), _PACKAGED_CONTEXT
        elif Path(model).is_dir():
            tokens, frame = tokens_and_frame(Path(model))
            context = _context(Path(model))
        else:
            raise UsageError(f"there is no model `{model}`", f"write `{MODEL}`, or the folder of a model")
        pieces = "\0".join((tokens.definition, frame.head, frame.mid, frame.tail))
        return cls(TargetModel(model, context, tokens.count), tokens, frame, _sha256(pieces.encode()))


def compile_data(
    recipe: DataRecipe,
    recipe_file: Path,
    policies: Sequence[Policy],
    data: Path,
    out: Path,
    progress: Progress,
    *,
    runs: Sequence[Path] = (),
    overrides: Path | None = None,
) -> dict[str, Any]:
    """Make all files of a data folder; the same inputs and seed give the same bytes.

    Args:
        recipe: settings.
        recipe_file: where they stand, for its digest.
        policies: as ``training_policies`` gives them.
        data: folder of the labelled sets.
        out: made if need be; holds no data yet.
        progress: shows how far it is.
        runs: folders of eval runs whose misses become pairs.
        overrides: JSONL file of reviewers' corrections.

    Returns:
        The manifest, which is written last.

    Raises:
        UsageError: an input is missing, damaged or wrong, or ``out`` holds data already.
        OutputError: a file cannot be written.
    """
    _prepare(out)
    reader = Reader.of(recipe.model)
    selected = select_rows(recipe, data, policies, progress, runs=runs, overrides=overrides)
    asked = [policy for policy in policies if policy.policy not in recipe.leave_out_policies]
    files = _train_files(recipe, reader, asked, selected, progress)
    files |= _dev_files(recipe, reader, asked, selected, progress)
    counter = TokenCounter(reader.tokens, reader.frame)
    with progress("writing", sum(map(len, files.values()))) as advance:
        outputs = {
            name: write_rows(out / name, rows, recipe.weights, counter, advance)
            for name, rows in files.items()
        }
    manifest = {
        "schema": SCHEMA,
        "stage": recipe.stage,
        "seed": recipe.seed,
        "model": recipe.model,
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude={"data", "out"}),
        "inputs": _inputs(recipe_file, data, policies, reader, runs, overrides),
        "rows": {"train": len(selected.train), "dev": len(selected.dev)},
        "left_out": _nested(selected.left_out),
        "outputs": outputs,
    }
    replace_file(out / PAGE, statistics_page(manifest))
    replace_file(out / MANIFEST, _json(manifest))
    return manifest


def _train_files(
    recipe: DataRecipe, reader: Reader, policies: Sequence[Policy], selected: Selected, progress: Progress
) -> dict[str, list[TrainingRow]]:
    """Compile and balance; what is left out is counted in ``selected``."""
    compiler, found = _compiled(recipe, recipe.seed, reader, policies, selected, "train", progress)
    reads, explanations, real = found.reads, found.explanations, []
    for each in selected.disagreements:
        try:
            row = compiler.corrected(each)
        except ContentError:
            row = None
        if row is None:
            selected.left_out["correction that no prompt asks about", each.row.source] += 1
        else:
            real.append(row)
    pairs = [*real, *found.pairs]  # where one of each is alike, what a judge really got wrong stays
    draw = random.Random(recipe.seed)
    caps = Caps(recipe.answer_ratio, recipe.single_answer, recipe.per_area_language)
    reads, left_out = consistent(reads)
    kept, more = balanced(reads, caps, draw)
    explanations, again = consistent(explanations)
    pairs, twice = consistent(pairs)
    pairs, enough = capped_pairs(pairs, recipe.pairs, draw)
    for name, counted in (("reads", left_out + more), ("explanations", again), ("pairs", twice + enough)):
        selected.left_out.update({(reason, name): number for reason, number in counted.items()})
    return {"reads.parquet": kept, "explanations.parquet": explanations, "pairs.parquet": pairs}


def _dev_files(
    recipe: DataRecipe, reader: Reader, policies: Sequence[Policy], selected: Selected, progress: Progress
) -> dict[str, list[TrainingRow]]:
    """The same of held-out rows, as frequent as they come."""
    _, found = _compiled(recipe, recipe.seed + 1, reader, policies, selected, "dev", progress)
    pairs, _ = capped_pairs(consistent(found.pairs)[0], recipe.pairs, random.Random(recipe.seed))
    return {
        "dev_reads.parquet": consistent(found.reads)[0],
        "dev_explanations.parquet": consistent(found.explanations)[0],
        "dev_pairs.parquet": pairs,
    }


def _compiled(
    recipe: DataRecipe,
    seed: int,
    reader: Reader,
    policies: Sequence[Policy],
    selected: Selected,
    split: str,
    progress: Progress,
) -> tuple[RowCompiler, Compiled]:
    rows = selected.train if split == "train" else selected.dev
    compiler = RowCompiler(
        recipe,
        seed,
        reader.target,
        reader.tokens.special_tokens,
        policies,
        [policy for policy in policies if is_shipped(policy)],
        selected.harmless,
    )
    with progress(f"compiling {split}", len(rows)) as advance:
        found = compiler.compile(rows, advance)
    if split == "train":
        selected.left_out += found.left_out
    return compiler, found


def _prepare(out: Path) -> None:
    if (out / MANIFEST).exists():
        raise UsageError(f"`{out}` already holds training data", "choose another --out, or delete it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write `{out}`: {reason_of(error)}", "choose another --out") from error


def _inputs(
    recipe_file: Path,
    data: Path,
    policies: Sequence[Policy],
    reader: Reader,
    runs: Sequence[Path],
    overrides: Path | None,
) -> dict[str, Any]:
    """Digests of everything the files are made from."""
    own = sorted((content_folder("finetune") / "rows").glob("*.jsonl"))
    prompts = sorted((content_folder("prompts") / reader.target.dialect).glob("*.j2"))
    return {
        "recipe": file_sha256(recipe_file),
        "data": {name: file_sha256(data / name) for name in ("train.parquet", "dev.parquet")},
        "own_rows": _sha256(b"".join(path.read_bytes() for path in own)),
        "label_maps": _sha256(b"".join(path.read_bytes() for path in _label_maps())),
        "policies": policy_digest(policies),
        "prompts": _sha256(b"".join(path.read_bytes() for path in prompts)),
        "tokenizer": reader.digest,
        "runs": {run.name: file_sha256(run / "outcomes.parquet") for run in runs},
        "overrides": None if overrides is None else file_sha256(overrides),
    }


def _label_maps() -> Iterable[Path]:
    folders = (content_folder("evals") / "suites", content_folder("finetune") / "sets")
    return [path for folder in folders for path in sorted(folder.glob("*.yaml"))]


def _nested(left_out: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (reason, source), number in sorted(left_out.items()):
        if number:
            found.setdefault(reason, {})[source] = number
    return found


def _context(folder: Path) -> int:
    """Tokens of the model's context, as its configuration says; of a VLM, of its text model."""
    import json

    try:
        config: Any = json.loads((folder / "config.json").read_text("utf-8"))
        inner = config.get("text_config", config)
        return int(inner.get("max_position_embeddings", _PACKAGED_CONTEXT))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"`{folder / 'config.json'}` cannot be read", "give the folder of a model"
        ) from error


def _json(manifest: Mapping[str, Any]) -> str:
    import json

    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
