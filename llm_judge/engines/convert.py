"""The packaged GGUF file → a safetensors folder in the cache, once.

Reading 4-bit GGUF takes transformers some twenty seconds; the unpacked bfloat16 file loads in one. The
folder appears by a rename and carries the SHA-256 of its files; one that does not match is made again.
Knows nothing about prompts.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

from llm_judge.engines.derived import made_once
from llm_judge.engines.tokens import packaged_definition
from llm_judge.errors import EngineUnavailable
from llm_judge.packaged import derived_folder, ensure, find

MODEL = "smollm2-135m-instruct"
_LAYOUT = "safetensors-bfloat16-1"  # change it when the files written here change


def converted_model(fetch: bool = True) -> Path:
    """Return the folder of the packaged model as verified safetensors, converting it first if need be.

    Raises:
        PackageError: the packaged model is missing or damaged, or the cache cannot be written.
        EngineUnavailable: transformers or gguf are not installed, or do not read this file.
    """
    return made_once(derived_folder(MODEL) / _LAYOUT, lambda folder: _make(folder, fetch))


def model_sha256() -> str:
    """Return the SHA-256 of the GGUF file the converted weights stand for."""
    return find(MODEL).files[0].sha256


def _make(folder: Path, fetch: bool) -> None:
    source = ensure(MODEL, fetch) / find(MODEL).files[0].name
    print(f"unpacking {MODEL} into the cache, once (about 20 s)", file=sys.stderr)  # noqa: T201
    _convert(source, folder)


def _convert(source: Path, folder: Path) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
        from transformers.utils import logging
    except ImportError as error:
        raise EngineUnavailable(
            f"the in-process model needs `{error.name}`", hint="pip install 'llm-judge[local]'"
        ) from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # transformers draws a bar here come what may; in a log it would be hundreds of lines.
    bar = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    try:
        with bar:
            tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
            model = AutoModelForCausalLM.from_pretrained(
                source.parent,
                gguf_file=source.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
            )
    except (ImportError, ValueError, RuntimeError) as error:
        raise EngineUnavailable(f"`{source.name}` cannot be unpacked: {_first_line(error)}") from None
    # Prompts are counted with the shipped tokenizer before any model is there, so the two must agree.
    if json.loads(tokenizer.backend_tokenizer.to_str()) != json.loads(packaged_definition()):
        raise EngineUnavailable(f"the tokenizer in `{source.name}` is not the one shipped with llm-judge")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
