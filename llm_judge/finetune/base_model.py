"""The model that is trained: what it is, how its prompts become tokens, and its LoRA adapter.

Weights are read as safetensors, no code comes with them, and nothing asks the network. Knows nothing about
rows or trainers.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.durable import reason_of, replace_file
from llm_judge.engines.convert import MODEL, converted_model, model_sha256
from llm_judge.engines.tokens import BETWEEN, ChatFrame, ChatTokens, tokens_and_frame
from llm_judge.errors import EngineError, EngineUnavailable, OutputError, UsageError
from llm_judge.finetune.training_recipe import PACKAGED
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from llm_judge.finetune.training_recipe import Recipe

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_VISION = r".*visual.*"  # modules of the vision tower and its projector, as vLLM names them too


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A folder with a model.

    Attributes:
        folder: ``config.json``, ``*.safetensors``, ``tokenizer.json``, ``chat_template.jinja``.
        name: for the record; never a path.
        digest: SHA-256 of the weights: of the one file, or of the digests of several.
        config: what ``config.json`` says.
    """

    folder: Path
    name: str
    digest: str
    config: dict[str, Any]

    @classmethod
    def of(cls, model: str) -> BaseModel:
        """The packaged model by name, or the model in a folder.

        Raises:
            UsageError: there is no such folder, or it holds no model.
            PackageError: the packaged model is missing, damaged or cannot be fetched.
        """
        if model in (PACKAGED, MODEL):
            folder = converted_model()
            return cls(folder, MODEL, model_sha256(), _config(folder))
        folder = Path(model)
        if not folder.is_dir():
            raise UsageError(f"there is no model `{model}`", f"write `{PACKAGED}`, or the folder of a model")
        weights = sorted(folder.glob("model*.safetensors"))
        if not weights:
            raise UsageError(f"`{model}` holds no model*.safetensors", "give the folder of a model")
        digests = [file_sha256(path) for path in weights]
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        return cls(folder, folder.resolve().name, digest, _config(folder))

    @property
    def sees(self) -> bool:
        """Whether it takes pictures."""
        return "vision_config" in self.config

    @property
    def context_tokens(self) -> int:
        """Tokens of its context; of a VLM, of its language model."""
        inner = self.config.get("text_config", self.config)
        return int(inner.get("max_position_embeddings", 2_048))


@dataclass(frozen=True)
class Encoder:
    """Prompts and answers → ids, piece by piece as the judge reads them."""

    tokens: ChatTokens
    frame: ChatFrame

    @classmethod
    def of(cls, base: BaseModel) -> Encoder:
        """The tokenizer and chat template of a model.

        Raises:
            EngineError: they cannot be used.
        """
        return cls(*tokens_and_frame(base.folder))

    def prompt(self, system: str, user: str) -> list[int]:
        """Ids of a whole prompt; the next token is the answer's first.

        A body has no blank line (``llm_judge.prompt``), so the first one ends it.
        """
        body, blank, question = user.partition(BETWEEN)
        ids = [*self.frame.prefix_ids(self.tokens, system), *self.frame.body_ids(self.tokens, body)]
        return ids + self.frame.question_ids(self.tokens, question) if blank else ids + self._end

    def answer(self, text: str) -> list[int]:
        """Ids of an answer and of the end of the turn, without which a model never learns to stop."""
        return [*self.tokens.encode(text), self.tokens.end_of_turn_id]

    @property
    def label_ids(self) -> tuple[int, int, int]:
        """The tokens of yes, no and except.

        Raises:
            EngineError: one of them is not one token of this model.
        """
        yes, no, exempt = self.tokens.label_ids((YES, NO, EXCEPT))
        return yes, no, exempt

    @cached_property
    def _end(self) -> list[int]:
        return self.tokens.encode_template(self.frame.tail)


def quiet_libraries() -> None:
    """Keep the libraries off the network and off the terminal, which belongs to progress and errors."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import logging
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("trl", "accelerate", "peft", "torch.distributed", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It looks for the base model under its bare name and wonders whether its vocabulary changed.
    warnings.filterwarnings("ignore", message="Could not find a config file", category=UserWarning)


def load_for_training(base: BaseModel, recipe: Recipe) -> tuple[Any, Any]:
    """The model, and how its new adapter is made; None where the model comes with one to go on from.

    The trainer makes a new adapter itself, after it set the seed: the reference of preference training is
    then the model with that adapter off.

    Raises:
        UsageError: the adapter to start from has another rank or other targets.
        EngineUnavailable: the weights cannot be loaded.
        EngineError: the adapter cannot be used.
    """
    import torch
    from peft import LoraConfig

    try:
        model = model_class(base).from_pretrained(
            base.folder,
            dtype=getattr(torch, recipe.dtype),
            attn_implementation="sdpa",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineUnavailable(f"the model `{base.name}` cannot be loaded: {reason}") from None
    if recipe.start_from:
        return _started(model, Path(recipe.start_from), recipe), None
    return model, LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        exclude_modules=_VISION if base.sees else None,
        task_type="CAUSAL_LM",
    )


def model_class(base: BaseModel) -> Any:
    """The class that serving loads too, so that an adapter's names fit there."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if base.sees else AutoModelForCausalLM


def save_adapter(model: Any, folder: Path, base: BaseModel, state: Any = None) -> str:
    """Write the adapter in bfloat16, two files and nothing else; return the SHA-256 of the weights.

    Args:
        model: with the adapter.
        folder: made if need be.
        base: the model without it.
        state: all weights by name where the model's own are spread over processes.

    Raises:
        OutputError: it cannot be written.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in sorted(
            get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False).items()
        )
    }
    config = model.peft_config["default"].to_dict()
    # Sets have no order, and a path on this machine is nobody's business.
    config |= {"base_model_name_or_path": base.name, "inference_mode": True}
    config = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / (ADAPTER_WEIGHTS + ".part")
        save_file(tensors, part, metadata={"format": "pt"})
        part.replace(folder / ADAPTER_WEIGHTS)
    except OSError as error:
        raise OutputError(f"cannot write `{folder}`: {reason_of(error)}") from error
    replace_file(folder / ADAPTER_CONFIG, json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")
    return file_sha256(folder / ADAPTER_WEIGHTS)


def _started(model: Any, adapter: Path, recipe: Recipe) -> Any:
    from peft import PeftModel

    found = _adapter_config(adapter)
    wanted = {"r": recipe.rank, "lora_alpha": recipe.alpha, "target_modules": sorted(recipe.targets)}
    names = {"r": "rank", "lora_alpha": "alpha", "target_modules": "targets"}
    for key, value in wanted.items():
        given = sorted(found[key]) if isinstance(found.get(key), list) else found.get(key)
        if given != value:
            raise UsageError(
                f"the adapter `{adapter}` has {names[key]} {given}, the recipe {value}", "make them the same"
            )
    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"the adapter `{adapter}` does not fit the model: {reason}") from None


def _adapter_config(adapter: Path) -> dict[str, Any]:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise EngineError(f"the adapter `{adapter}` has no {name}")
    found = _json(adapter / ADAPTER_CONFIG)
    if found.get("peft_type") != "LORA":
        raise EngineError(f"the adapter `{adapter}` is not a LoRA adapter")
    return found


def _config(folder: Path) -> dict[str, Any]:
    return _json(folder / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path}` cannot be read: {error}", "give the folder of a model") from None
    if not isinstance(found, dict):
        raise UsageError(f"`{path}` holds no settings", "give the folder of a model")
    return found
