"""The processor of a vision-language model: texts and pictures → what the model takes.

Without torchvision, transformers has no processor for video, and so none for pictures either; Qwen2.5-VL's is
then put together for pictures only. Knows nothing about rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.errors import EngineUnavailable

if TYPE_CHECKING:
    from llm_judge.finetune.base_model import BaseModel


def load_processor(base: BaseModel) -> Any:
    """The processor of a model with pictures, or the tokenizer of one without.

    Raises:
        EngineUnavailable: it cannot be loaded here.
    """
    from importlib.util import find_spec

    from transformers import AutoProcessor, AutoTokenizer

    only_pictures = find_spec("torchvision") is None and base.config.get("model_type") == "qwen2_5_vl"
    try:
        if not base.sees:
            found = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
        elif only_pictures:
            found = _pictures_only(base)
        else:
            found = AutoProcessor.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        hint = "pip install torchvision, the build that fits torch" if base.sees else None
        raise EngineUnavailable(f"the processor of `{base.name}` cannot be loaded: {reason}", hint) from None
    if base.sees and not hasattr(found, "image_processor"):
        hint = "pip install torchvision, the build that fits torch"
        raise EngineUnavailable(f"`{base.name}` has no processor for pictures that works here", hint)
    tokenizer = getattr(found, "tokenizer", found)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return found


def _pictures_only(base: BaseModel) -> Any:
    from transformers import AutoImageProcessor, AutoTokenizer
    from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class PicturesOnly(Qwen2_5_VLProcessor):  # type: ignore[misc]  # transformers is not typed here
        """``Qwen2_5_VLProcessor`` without its processor for video."""

        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
        ) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    pictures = AutoImageProcessor.from_pretrained(base.folder, local_files_only=True)
    return PicturesOnly(pictures, tokenizer, chat_template=tokenizer.chat_template)
