"""Whatever stands in a file, checking it ends with diagnostics and never with an exception.

``LLM_JUDGE_FUZZ=10000`` sets how many documents are tried.
"""

import os

from hypothesis import HealthCheck, given, settings
from policy_documents import GOOD, documents

from llm_judge.diagnostics import to_text
from llm_judge.diagnostics_formats import CodeMeaning, to_github, to_sarif
from llm_judge.policy.cases import parse_cases
from llm_judge.policy.check_run import check_document
from llm_judge.policy.codes import CODES
from llm_judge.policy.load import parse_policy
from llm_judge.policy.meaning import similar_rules
from llm_judge.policy.overlay import parse_overlay
from llm_judge.policy.versions import changed_without_version
from llm_judge.source import decode

POLICY = parse_policy(GOOD, "refund.yaml")[0]
EXAMPLES = int(os.environ.get("LLM_JUDGE_FUZZ", "300"))
MEANINGS = {code.id: CodeMeaning(code.title, code.level, "") for code in CODES.values()}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(documents())
def test_any_document_is_checked(data):
    document = check_document(data, "any.yaml", {"recall_90"})
    if document.policy and document.source:
        document.found += similar_rules([(document.policy, document.source)])
        assert list(changed_without_version(document.policy, document.policy, document.source)) == []
    if text := decode(data, "any.yaml")[0]:
        cases, wrong = parse_cases(text, "any.cases.yaml", POLICY)
        overlay, also_wrong = parse_overlay(text, "any.yaml", [POLICY])
        assert (cases is not None or wrong) and (overlay is not None or also_wrong)
    assert document.policy is not None or document.found
    assert {found.code for found in document.found} <= set(CODES)
    assert all("\n" not in found.message for found in document.found)
    to_text(document.found).encode()
    to_github(document.found).encode()
    to_sarif(document.found, [], MEANINGS, "1")
