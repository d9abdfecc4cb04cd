"""The pages about the service say what is: the generated one is fresh, the table of errors is whole."""

from __future__ import annotations

import os
from pathlib import Path

from jsonschema import Draft202012Validator

from llm_judge.service.openapi import PAGE, page
from llm_judge.service.problems import CLIENT_GONE, Code
from llm_judge.service.wire import JudgeRequest

SERVING = Path(PAGE).with_name("serving.md")
BEGIN, END = "<!-- errors -->\n", "<!-- /errors -->"


def table() -> str:
    rows = [
        f"| `{code.word}` | {code.status} | {code.meaning} |" for code in Code if code.status != CLIENT_GONE
    ]
    return "\n".join(["| code | status | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def test_openapi_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m llm_judge.service.openapi`"


def test_the_error_table_is_whole() -> None:
    text = SERVING.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN"):
        SERVING.write_text(f"{before}{BEGIN}{table()}{END}{after}", "utf-8")
    else:
        assert rest.startswith(table()), "run this test with UPDATE_GOLDEN=1"


def test_examples_of_requests_are_right() -> None:
    schema = JudgeRequest.model_json_schema()
    for example in schema["examples"]:
        JudgeRequest.model_validate(example, strict=False)
        Draft202012Validator(schema).validate(example)
