"""Text → token ids in the chat format, without torch: HEAD prefix MID body "\\n\\n" question TAIL.

Every piece is tokenised on its own and the ids are joined, so what is cached for one question is what
another question reads. Only the template's own pieces may hold control tokens; a control string inside
a prefix, a content or a question is split into ordinary tokens. Knows nothing about models.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from llm_judge.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from tokenizers import Tokenizer

    from llm_judge.prompt import Prompt

BETWEEN = "\n\n"  # between the content and the question
# Sentinels that no template changes and that occur in none.
_PREFIX, _USER = "Qprefixq", "Quserq"


class ChatTokens:
    """A tokenizer with its control tokens kept apart from ordinary text.

    Args:
        definition: the text of a ``tokenizer.json``.
        end_of_turn: the control token that ends a turn.

    Raises:
        EngineError: the definition cannot be read or lacks ``end_of_turn``.
    """

    def __init__(self, definition: str, end_of_turn: str) -> None:
        self.definition = definition
        self._template = _tokenizer(definition)
        self._plain = _tokenizer(definition)
        # With this switch, a control string in the text is tokenised like any other text.
        self._plain.encode_special_tokens = True
        added = self._template.get_added_tokens_decoder()
        self._special_ids = frozenset(number for number, token in added.items() if token.special)
        self.special_tokens = tuple(token.content for _, token in sorted(added.items()) if token.special)
        end = self._template.token_to_id(end_of_turn)
        if end is None:
            raise EngineError(f"the tokenizer has no token `{end_of_turn}`")
        self.end_of_turn_id: int = end

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, none of them a control token.

        Raises:
            EngineError: a control token came out all the same, so the text cannot be trusted.
        """
        ids: list[int] = self._plain.encode(_valid(text), add_special_tokens=False).ids
        if not self._special_ids.isdisjoint(ids):
            raise EngineError("a text would put control tokens into the prompt")
        return ids

    def encode_template(self, text: str) -> list[int]:
        """Return the ids of a piece of the chat template, control tokens included."""
        ids: list[int] = self._template.encode(text, add_special_tokens=False).ids
        return ids

    def count(self, text: str) -> int:
        """Return how many tokens ordinary text is."""
        return len(self.encode(text))

    def label_id(self, label: str) -> int:
        """Return the token of an answer; raises ``EngineError`` if it is not exactly one token."""
        ids = self.encode(label)
        if len(ids) != 1:
            raise EngineError(f"the label `{label}` is {len(ids)} tokens for this model; it must be one")
        return ids[0]

    def label_ids(self, labels: Sequence[str]) -> list[int]:
        """Return the token of each answer.

        Raises:
            EngineError: a label is not one token, or two labels are the same token.
        """
        ids = [self.label_id(label) for label in labels]
        if len(set(ids)) != len(ids) or not ids:
            raise EngineError(
                f"the labels {', '.join(f'`{label}`' for label in labels)} are not distinct tokens"
            )
        return ids


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """The chat template's own text around the system message and the user message."""

    head: str
    mid: str
    tail: str

    @classmethod
    def packaged(cls) -> ChatFrame:
        """The frame of the packaged SmolLM2 model; a test holds it against its chat template."""
        return cls(
            head="<|im_start|>system\n",
            mid="<|im_end|>\n<|im_start|>user\n",
            tail="<|im_end|>\n<|im_start|>assistant\n",
        )

    @classmethod
    def from_template(cls, template: str, bos_token: str = "") -> ChatFrame:
        """Derive the frame from a Jinja chat template by rendering it around sentinel texts.

        Thinking is off: the next token must be the answer.

        Raises:
            EngineError: the template cannot be rendered, or does not keep both texts in order.
        """
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise TemplateError(message)

        messages = [{"role": "system", "content": _PREFIX}, {"role": "user", "content": _USER}]
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = refuse
        try:
            rendered = environment.from_string(template).render(
                messages=messages, add_generation_prompt=True, enable_thinking=False, bos_token=bos_token
            )
        except TemplateError as error:
            raise EngineError(f"the model's chat template cannot be rendered: {error}") from None
        head, has_prefix, rest = rendered.partition(_PREFIX)
        mid, has_user, tail = rest.partition(_USER)
        if not has_prefix or not has_user or _PREFIX in rest or _USER in tail:
            raise EngineError("the model's chat template does not keep one system and one user message")
        return cls(head, mid, tail)

    def prefix_ids(self, tokens: ChatTokens, prefix: str) -> list[int]:
        """Ids of everything before the content: the same for every content of a policy."""
        return [
            *tokens.encode_template(self.head),
            *tokens.encode(prefix),
            *tokens.encode_template(self.mid),
        ]

    def body_ids(self, tokens: ChatTokens, body: str) -> list[int]:
        """Ids of the content."""
        return tokens.encode(body)

    def question_ids(self, tokens: ChatTokens, question: str) -> list[int]:
        """Ids of one question and the start of the answer; the next token is the answer."""
        return [*tokens.encode(BETWEEN + question), *tokens.encode_template(self.tail)]

    def prompt_ids(self, tokens: ChatTokens, prompt: Prompt, question: str) -> list[int]:
        """Ids of the whole prompt, as a model without any cache would read it."""
        return [
            *self.prefix_ids(tokens, prompt.prefix),
            *self.body_ids(tokens, prompt.body),
            *self.question_ids(tokens, question),
        ]

    def answer_ids(self, tokens: ChatTokens, labels: Sequence[str]) -> list[int]:
        """Return the token of each label.

        Raises:
            EngineError: a label is not one token where the answer starts, or two are the same token.
        """
        ids = tokens.label_ids(labels)
        before = tokens.encode_template(self.tail)
        for label, number in zip(labels, ids, strict=True):
            # After the template's last line the label must still be that token.
            if tokens.encode_template(self.tail + label) != [*before, number]:
                raise EngineError(f"the label `{label}` is not one token where the answer starts")
        return ids

    def prompt_text(self, prompt: Prompt, question: str) -> str:
        """The whole prompt as text, for people."""
        return f"{self.head}{prompt.prefix}{self.mid}{prompt.body}{BETWEEN}{question}{self.tail}"


def packaged_definition() -> str:
    """Return the ``tokenizer.json`` of the packaged SmolLM2 model (Apache-2.0)."""
    packed = files("llm_judge.engines").joinpath("data/smollm2-tokenizer.json.gz").read_bytes()
    return gzip.decompress(packed).decode()


@cache
def packaged_tokens() -> ChatTokens:
    """Return the tokenizer of the packaged model; no model file is needed."""
    return ChatTokens(packaged_definition(), "<|im_end|>")


def tokens_of(model_folder: Path, end_of_turn: str) -> ChatTokens:
    """Return the tokenizer of a model folder; raises ``EngineError`` if it has none."""
    try:
        definition = (model_folder / "tokenizer.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise EngineError(f"`{model_folder}` has no readable tokenizer.json") from None
    return _chat_tokens(definition, end_of_turn)


@lru_cache(maxsize=2)  # reading one takes most of a second, and engines share it
def _chat_tokens(definition: str, end_of_turn: str) -> ChatTokens:
    return ChatTokens(definition, end_of_turn)


def tokens_and_frame(model_folder: Path) -> tuple[ChatTokens, ChatFrame]:
    """Return the tokenizer and the chat frame of a model folder.

    Raises:
        EngineUnavailable: it holds no model, or nothing that says how its chats are written.
        EngineError: its tokenizer or its chat template cannot be used.
    """
    if not (model_folder / "config.json").is_file():
        raise EngineUnavailable(f"`{model_folder}` holds no model: no config.json")
    return chat_of(model_folder)


def chat_of(folder: Path) -> tuple[ChatTokens, ChatFrame]:
    """Return the tokenizer and the chat frame out of a folder that need not hold a model.

    Raises:
        EngineUnavailable: nothing in it says how chats are written.
        EngineError: its tokenizer or its chat template cannot be used.
    """
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        end_of_turn, begin = _token(settings["eos_token"]), _token(settings.get("bos_token") or "")
        template = _template(folder, settings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise EngineUnavailable(
            f"`{folder}` has no readable tokenizer_config.json and chat_template.jinja"
        ) from None
    return tokens_of(folder, end_of_turn), ChatFrame.from_template(template, begin)


def _token(value: object) -> str:
    """A token as tokenizer_config.json writes it: its text, or an object with it."""
    text = value["content"] if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise TypeError("no token")
    return text


def _template(folder: Path, settings: Mapping[str, Any]) -> str:
    """The chat template, from whichever of the three places that models keep it in."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text("utf-8")
    holder = settings
    if "chat_template" not in settings:
        holder = json.loads((folder / "chat_template.json").read_text("utf-8"))
    template = holder["chat_template"]
    if not isinstance(template, str):
        raise TypeError("no template")
    return template


def _tokenizer(definition: str) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(definition)
    except Exception as error:  # noqa: BLE001  (the library raises a bare Exception)
        raise EngineError(f"the tokenizer cannot be read: {error}") from None


def _valid(text: str) -> str:
    """Replace what UTF-8 cannot hold (half surrogate pairs), which the tokenizer would refuse."""
    return text.encode("utf-8", "replace").decode("utf-8")
