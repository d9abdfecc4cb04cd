"""Requests that the OpenAPI page allows, and others: no 5xx, and no answer that it does not describe.

SCHEMATHESIS_CASES sets how many requests there are for each route; 12 if unset.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from llm_judge.service.openapi import PAGE

CASES = int(os.environ.get("SCHEMATHESIS_CASES", "12"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


PAGE_WITHOUT_KEYS = json.loads(PAGE.read_text("utf-8"))  # the service of these tests lets anybody in
for methods in PAGE_WITHOUT_KEYS["paths"].values():
    for described in methods.values():
        described.pop("security", None)
SCHEMA = schemathesis.openapi.from_dict(PAGE_WITHOUT_KEYS)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.label))
def test_answers_are_as_described(url: str, operation: Any, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and not operation.body:
        pytest.skip("a route without a body can be sent nothing wrong")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=CASES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def answers(case: Any) -> None:
        answer = case.call(base_url=url, timeout=120)  # the first picture loads its models
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert {"code", "message", "hint", "request_id", "fail_mode"} == set(answer.json()["error"])

    answers()
