"""A model folder, and perhaps an adapter folder, → a model in memory ready to answer.

Weights are read as safetensors only, never as pickles, and no code comes with them. Knows nothing about
prompts.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.lora_folder import ADAPTER_WEIGHTS, read_settings
from llm_judge.engines.allocator import keep_freed_memory
from llm_judge.engines.tree import ATTENTION, register_attention
from llm_judge.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DTYPES = ("bfloat16", "float32")


def load_model(folder: Path, adapter: Path | None, dtype: str) -> Any:
    """Return the causal language model of ``folder`` on the CPU, with the adapter merged into it.

    Args:
        folder: ``config.json`` and ``model.safetensors``.
        adapter: a PEFT LoRA folder (``adapter_config.json``, ``adapter_model.safetensors``), or None.
        dtype: ``bfloat16`` or ``float32``.

    Raises:
        EngineUnavailable: the libraries are not installed, or the folder cannot be loaded.
        EngineError: the adapter is missing, damaged or made for another model.
    """
    # An adapter is merged at full precision, so that rounding happens once.
    model = load_base(folder, "float32" if adapter else dtype)
    if adapter:
        model = merge_adapter(model, adapter, dtype)
    if dtype == "bfloat16":
        _keep_residual_in_float32(model)
    return model.eval().requires_grad_(False)


def load_base(folder: Path, dtype: str) -> Any:
    """Return the causal language model of ``folder`` on the CPU as it is on the disk; see ``load_model``.

    Raises:
        EngineUnavailable: the libraries are not installed, or the folder cannot be loaded.
    """
    # Threads that wait by spinning lose whole time slices when other programs want the cores: beside one
    # busy job, two spinning threads were several times slower. OpenMP reads this when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # peft looks a base model up on a hub unless it is told not to; nothing here may ask the network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as error:
        raise EngineUnavailable(
            f"the in-process model needs `{error.name}`", hint="pip install 'llm-judge[local]'"
        ) from None
    keep_freed_memory()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    register_attention()
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=ATTENTION,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except Exception as error:
        raise EngineUnavailable(f"`{folder}` cannot be loaded: {_first_line(error)}") from error


def _rounded(model: Any, dtype: Any) -> Any:
    """Round the weights only: the position encoding keeps its exact frequencies, as in training."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    return model


def _keep_residual_in_float32(model: Any) -> None:
    """Add what each layer finds in float32, and multiply in bfloat16 as before.

    Sums over tens of layers are where bfloat16 loses most: rounding after each makes an answer depend on
    how the batch was laid out. Costs no measurable time. Models with other names for these parts are left
    as they are.
    """
    import torch

    body: Any = getattr(model, "model", None)
    parts = ("embed_tokens", "layers", "rotary_emb", "norm")
    if not all(hasattr(body, part) for part in parts):
        return

    def lower(_module: Any, _inputs: Any, output: Any) -> Any:
        return output.to(torch.bfloat16)

    body.embed_tokens.register_forward_hook(lambda _module, _inputs, output: output.float())
    body.rotary_emb.register_forward_hook(
        lambda _m, _i, output: tuple(part.to(torch.bfloat16) for part in output)
    )
    for layer in body.layers:
        layer.input_layernorm.register_forward_hook(lower)
        layer.post_attention_layernorm.register_forward_hook(lower)
    # The last norm gives float32, which reads use; whoever calls the head itself gets what it can take.
    model.lm_head.register_forward_pre_hook(lambda _module, inputs: (inputs[0].to(torch.bfloat16),))


def attach_adapter(model: Any, adapter: Path) -> Any:
    """Put an adapter beside the weights of a model, in place, every key of it where it belongs.

    Args:
        model: the base, in the precision to compute in.
        adapter: a PEFT LoRA folder.

    Returns:
        The PEFT model around it; its ``merge_and_unload`` gives the merged one.

    Raises:
        EngineUnavailable: peft is not installed.
        EngineError: the adapter is missing, damaged or made for another model.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise EngineUnavailable(
            f"an adapter needs `{error.name}`", hint="pip install 'llm-judge[local]'"
        ) from None
    read_settings(adapter)
    with _told(adapter):
        try:
            with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
                written = set(file.keys())
        except SafetensorError as error:
            raise EngineError(f"the adapter `{adapter}` is damaged: {_first_line(error)}") from None
        with warnings.catch_warnings():
            # peft only warns about keys that are missing; they are compared below instead.
            warnings.simplefilter("ignore")
            wrapped = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
        known = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
        if written != known:
            odd = sorted(written ^ known)[0]
            raise EngineError(f"the adapter `{adapter}` was made for another model: `{odd}` does not match")
    return wrapped


def merge_adapter(model: Any, adapter: Path, dtype: str) -> Any:
    """Return a float32 model with an adapter merged into it and its weights rounded once.

    Args:
        model: the base in float32.
        adapter: a PEFT LoRA folder.
        dtype: of the weights afterwards, ``bfloat16`` or ``float32``.

    Raises:
        EngineUnavailable, EngineError: as ``attach_adapter``.
    """
    import torch

    wrapped = attach_adapter(model, adapter)
    with _told(adapter):
        merged = wrapped.merge_and_unload(safe_merge=True)
    return _rounded(merged, getattr(torch, dtype))


@contextlib.contextmanager
def _told(adapter: Path) -> Iterator[None]:
    """Say in one line what torch and peft say in many."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EngineError(f"the adapter `{adapter}` does not fit the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
