"""An engine that answers what it was told to: for tests of everything that uses an engine."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.engines.protocol import Completion, EngineInfo, Reading, Vision
from llm_judge.errors import EngineError, UsageError

if TYPE_CHECKING:
    from llm_judge.engines.protocol import GenerateRequest, ReadRequest
    from llm_judge.prompt import Question

_NEVER = 1e-9  # a label that was given no probability


@dataclass(frozen=True, slots=True)
class ScriptedRead:
    """Label probabilities for questions whose id matches, about bodies that contain the words.

    Attributes:
        question: a question id, ``*`` standing for anything.
        contains: words looked for in the body; empty matches every body.
        probabilities: label → probability; a label left out is next to impossible.
    """

    question: str
    contains: str
    probabilities: Mapping[str, float]

    def matches(self, question: Question, body: str) -> bool:
        """Whether this line answers the question about this body."""
        return fnmatchcase(question.id, self.question) and self.contains in body


@dataclass(slots=True)
class ScriptedEngine:
    """Answers from tables; the first match wins.

    Attributes:
        reads: what to answer; without a match ``default`` is used.
        default: label → probability; labels a question does not have are ignored.
        completions: (words in the body or the instruction, JSON value to answer), the first match wins;
            without a match the smallest JSON that obeys the schema.
        failures: (words in the body, message): such a request raises ``EngineError`` for its whole call.
        context_tokens: longest prompt, in words separated by white space.
        vision: what pictures it takes; they do not change its answers.
        delay_ms: how long every call takes, its own work included; calls without a request take no time.
        log: gets a line of JSON for every call: when it began and ended, in seconds of ``time.monotonic``,
            and the bodies it was about.
        read_calls, generate_calls, questions_read: counters.
    """

    reads: Sequence[ScriptedRead] = ()
    default: Mapping[str, float] = field(default_factory=lambda: {"no": 0.98, "yes": 0.01, "except": 0.001})
    completions: Sequence[tuple[str, Any]] = ()
    failures: Sequence[tuple[str, str]] = ()
    context_tokens: int = 8192
    vision: Vision | None = None
    delay_ms: float = 0.0
    log: Path | None = None
    read_calls: int = 0
    generate_calls: int = 0
    questions_read: int = 0

    @classmethod
    def from_file(cls, path: Path) -> ScriptedEngine:
        """Build one from JSON with the keys ``reads``, ``default``, ``completions``, ``failures``,
        ``delay_ms`` and ``log``, all of which may be left out.

        Raises:
            UsageError: the file cannot be read or does not have this shape.
        """
        try:
            script = json.loads(path.read_text("utf-8"))
            engine = cls(
                reads=[ScriptedRead(**line) for line in script.get("reads", [])],
                completions=[(line["contains"], line["json"]) for line in script.get("completions", [])],
                failures=[(line["contains"], line["message"]) for line in script.get("failures", [])],
            )
            engine.default = script.get("default", engine.default)
            engine.delay_ms = float(script.get("delay_ms", 0.0))
            engine.log = Path(script["log"]) if "log" in script else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"`{path}` is not a script for the engine: {error}") from None
        return engine

    @property
    def info(self) -> EngineInfo:
        """A fixed identity."""
        return EngineInfo("scripted", "scripted", "0" * 64, None, "float32", self.context_tokens)

    @property
    def script_digest(self) -> str:
        """SHA-256 of the tables: two scripts are two engines, though there are no weights to tell apart."""
        reads = [[read.question, read.contains, dict(read.probabilities)] for read in self.reads]
        script = [reads, dict(self.default), list(self.completions), list(self.failures)]
        return hashlib.sha256(json.dumps(script, sort_keys=True).encode()).hexdigest()

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The two that most chat formats have."""
        return ("<|im_start|>", "<|im_end|>")

    def count_tokens(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer every question from the table."""
        self.read_calls += 1
        with self._timed([request.prompt.body for request in requests]):
            for request in requests:
                self._check(request.prompt.prefix, request.prompt.body)
            return [
                [self._reading(question, request.prompt.body) for question in request.questions]
                for request in requests
            ]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer every request from the table, or with the smallest JSON that obeys its schema."""
        self.generate_calls += 1
        with self._timed([request.prompt.body for request in requests]):
            return [self._completion(request) for request in requests]

    def close(self) -> None:
        """Nothing to free."""

    @contextmanager
    def _timed(self, bodies: Sequence[str]) -> Iterator[None]:
        """Let a call take its time, and note it."""
        began = time.monotonic()
        yield
        if not bodies:
            return
        if (left := began + self.delay_ms / 1000 - time.monotonic()) > 0:
            time.sleep(left)
        if self.log is not None:
            line = json.dumps({"began": began, "ended": time.monotonic(), "bodies": list(bodies)})
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def _reading(self, question: Question, body: str) -> Reading:
        self.questions_read += 1
        chosen = next((r.probabilities for r in self.reads if r.matches(question, body)), self.default)
        found = {label: max(chosen.get(label, 0.0), _NEVER) for label in question.labels}
        return Reading({label: math.log(p) for label, p in found.items()}, min(1.0, sum(found.values())))

    def _completion(self, request: GenerateRequest) -> Completion:
        self._check(request.prompt.prefix, request.prompt.body)
        seen = f"{request.prompt.body}\n{request.instruction}"
        value = next((value for words, value in self.completions if words in seen), None)
        if value is None:
            value = smallest(request.schema)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return Completion(text, "stop", self.count_tokens(seen), self.count_tokens(text))

    def _check(self, prefix: str, body: str) -> None:
        for words, message in self.failures:
            if words in body:
                raise EngineError(message)
        over = self.count_tokens(prefix) + self.count_tokens(body) - self.context_tokens
        if over > 0:
            raise EngineError(
                f"the prompt is {over} tokens over the {self.context_tokens} that scripted reads"
            )


def smallest(schema: Mapping[str, Any]) -> Any:
    """Return a small value that obeys a JSON schema of objects, arrays, enums and plain types."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return smallest(schema[key][0])
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", list(schema.get("properties", {})))
        return {
            name: smallest(part) for name, part in schema.get("properties", {}).items() if name in required
        }
    if kind == "array":
        return [smallest(schema.get("items", {}))] * schema.get("minItems", 0)
    plain: dict[Any, Any] = {
        "string": "x" * schema.get("minLength", 0),
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0),
        "boolean": False,
    }
    return plain.get(kind)
