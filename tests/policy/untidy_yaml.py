"""Policies and cases as untidy people write them: any order, style, indentation and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

from llm_judge.policy.scalar import block_lines, double_quoted, is_plain

ALPHABET = "aZ9é漢ع😀 \t\n'\"\\:#,-[]{}&*!|>%@`?.~_=\u00a0\u200f\x01\x85\u2028"
identifiers = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.sampled_from(
    ["no", "Yes", "null", "12", "1.0", "2024-01-02", "~", "a: b", "a?", "a, b", "- x", "a #b", "x:", "'", '"']
)
texts = (
    words
    | st.text(ALPHABET, min_size=1, max_size=40).filter(str.strip)
    | st.text(_characters, max_size=30).filter(str.strip)
)


def _block(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


_exemption = _block({"id": identifiers, "when": texts}, {})
_example = _block(
    {"content": texts, "verdict": st.sampled_from(["violates", "clear", "exempt"]), "because": texts},
    {"exemption": identifiers},
)
_modalities = st.lists(st.sampled_from(["text", "image", "audio", "video"]), min_size=1, max_size=3)
_rule = _block(
    {"id": identifiers, "title": texts, "violates": texts, "severity": st.integers(1, 5)},
    {
        "modalities": _modalities,
        "floor": st.booleans(),
        "exemptions": st.lists(_exemption, max_size=2),
        "examples": st.lists(_example, max_size=2),
    },
)
_action = st.sampled_from(["allow", "label", "reduce", "review", "remove"])
_step = _block(
    {"do": _action},
    {
        "severity_at_least": st.integers(1, 5),
        "probability_at_least": st.sampled_from([0, 0.5, 0.25, "calibrated.recall_90"]),
        "rules": st.lists(identifiers, max_size=2),
    },
)
policies = _block(
    {
        "schema": st.just(1),
        "policy": st.just("safety/hate"),
        "version": st.just("1.0.0"),
        "title": texts,
        "summary": texts,
        "status": st.sampled_from(["draft", "stable"]),
        "owner": texts,
        "modalities": _modalities,
        "rules": st.lists(_rule, min_size=1, max_size=3),
    },
    {
        "definitions": st.dictionaries(identifiers, texts, max_size=2),
        "actions": st.lists(_step, max_size=3),
        "otherwise": _action,
        "maps_to": st.dictionaries(texts, st.lists(texts, max_size=2), max_size=2),
    },
)
_case = _block(
    {"content": texts, "expect": st.sampled_from(["violates", "clear", "exempt"])},
    {"rule": identifiers, "lang": st.sampled_from(["en", "no"]), "note": texts, "todo": st.booleans()},
)
case_files = _block(
    {"schema": st.just(1), "policy": st.just("a/b"), "cases": st.lists(_case, min_size=1, max_size=4)}, {}
)


@dataclass
class Untidy:
    """Writes plain data as YAML with choices from ``random``; ``comments`` lists what it strewed in."""

    random: Random
    comments: list[str] = field(default_factory=list)

    def text(self, data: dict[str, Any]) -> str:
        end = self.random.choice(["\n", "\n", "\r\n"])
        lines = [*self._strewn(0), *self._mapping(data, 0), *self._strewn(0)]
        text, last = end.join(lines), self.random.choice([end, "", end * 3])
        # A block that ends the file loses its last line break where the file has none.
        return text + (last if last or yaml.safe_load(text) == data else end)

    def _comment(self) -> str:
        self.comments.append(f"c{len(self.comments)}")
        return f"# {self.comments[-1]} 'say \": [x é"

    def _strewn(self, deepest: int) -> list[str]:
        """Blank lines and comments at any indentation up to ``deepest``."""
        rows = self.random.choices(["", "#"], k=self.random.choice([0, 0, 0, 1, 2]))
        return [" " * self.random.randint(0, deepest) + self._comment() if row else "" for row in rows]

    def _beside(self) -> str:
        return f"  {self._comment()}" if self.random.random() < 0.15 else ""

    def _mapping(self, data: dict[str, Any], indent: int) -> list[str]:
        lines, names = [], list(data)
        if indent == 0 or self.random.random() < 0.5:
            self.random.shuffle(names)
        for name in names:
            key = name if is_plain(name, flow=True) else double_quoted(name)
            lines += self._value(data[name], f"{' ' * indent}{key}:", indent)
        return lines

    def _value(self, value: Any, head: str, indent: int) -> list[str]:
        if isinstance(value, str) and (lines := block_lines(value)) and self.random.random() < 0.7:
            pad = " " * (indent + self.random.randint(1, 4))
            return [f"{head} {lines[0]}{self._beside()}", *(pad + line if line else "" for line in lines[1:])]
        if not isinstance(value, list | dict):
            return [*self._scalar_lines(value, head, indent), *self._strewn(indent)]
        if not value or self.random.random() < 0.3:
            return [f"{head} {self._flow(value, indent)}{self._beside()}", *self._strewn(indent + 1)]
        deeper = indent + self.random.randint(1, 4)
        inside = self._mapping(value, deeper) if isinstance(value, dict) else self._items(value, deeper)
        return [head + self._beside(), *self._strewn(deeper + 2), *inside]

    def _items(self, items: list[Any], indent: int) -> list[str]:
        lines = []
        for item in items:
            if isinstance(item, dict) and item and self.random.random() < 0.6:
                first, *rest = self._mapping(item, indent + 2)
                lines += [f"{' ' * indent}- {first[indent + 2 :]}", *rest]
            else:
                lines += self._value(item, f"{' ' * indent}-", indent)
        return lines

    def _scalar_lines(self, value: Any, head: str, indent: int) -> list[str]:
        if isinstance(value, str) and is_plain(value, flow=False) and self.random.random() < 0.6:
            if (parts := re.split(r"(?<=\w) (?=\w)", value, maxsplit=1))[1:] and self.random.random() < 0.3:
                return [f"{head} {parts[0]}", f"{' ' * (indent + 3)}{parts[1]}{self._beside()}"]
            return [f"{head} {value}{self._beside()}"]
        return [f"{head} {self._word(value)}{self._beside()}"]

    def _word(self, value: Any) -> str:
        if not isinstance(value, str):
            return str(value).lower()
        if is_plain(value, flow=True) and self.random.random() < 0.5:
            return value
        if double_quoted(value)[1:-1] == value and self.random.random() < 0.5:
            return "'" + value.replace("'", "''") + "'"
        return double_quoted(value)

    def _flow(self, value: Any, indent: int) -> str:
        if not isinstance(value, list | dict):
            return self._word(value)
        if isinstance(value, list):
            parts = [self._flow(item, indent) for item in value]
        else:
            parts = [f"{double_quoted(name)}: {self._flow(item, indent)}" for name, item in value.items()]
        left, right = "[]" if isinstance(value, list) else "{}"
        broken = f",\n{' ' * (indent + 1)}"
        body = ""
        for number, part in enumerate(parts):
            if number:
                body += (
                    f", {self._comment()}{broken[1:]}"
                    if self.random.random() < 0.1
                    else self.random.choice([", ", broken])
                )
            body += part
        return left + body + right
