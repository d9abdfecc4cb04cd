"""Requests of chosen sizes, a chat template, and how far two answers are apart."""

from llm_judge.engines.protocol import ReadRequest
from llm_judge.prompt import Prompt, Question

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def request(words: int = 3, questions: int = 2, prefix: str = "Judge the content by the rules."):
    """A read request whose body and questions have different lengths."""
    asked = tuple(
        Question(f"rule:x#{n}", "Is rule {} broken?{}".format(n, " Think." * (n % 4)), ("yes", "no"))
        for n in range(questions)
    )
    return ReadRequest(Prompt(prefix, "[1] " + "good morning to you " * words), asked)


def largest_difference(one, other) -> float:
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return max(abs(a.logprobs[label] - b.logprobs[label]) for a, b in pairs for label in a.logprobs)
