"""How much is said, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.policies.decision import Decision, Evidence, decide
from pipeline.policies.options import AgreementOptions

YOUNG = Evidence(units=10, agreed=0, repeated=0, words=8, age=0.3, starved=False, clause=True, pause=False, resumable=True)


@pytest.mark.parametrize(
    ("evidence", "decision"),
    [
        (replace(YOUNG, units=0), Decision(0)),
        (replace(YOUNG, agreed=10), Decision(10)),
        (replace(YOUNG, agreed=9), Decision(0)),
        (replace(YOUNG, agreed=2, repeated=10), Decision(10, of_committed=True)),
        (replace(YOUNG, agreed=2, repeated=10, resumable=False), Decision(0)),
        (replace(YOUNG, agreed=9, age=0.7), Decision(10)),
        (replace(YOUNG, agreed=8, age=0.7), Decision(0)),
        (replace(YOUNG, agreed=7, age=0.9), Decision(10)),
        (replace(YOUNG, agreed=7, age=0.9, clause=False), Decision(7)),
        (replace(YOUNG, agreed=7, age=0.9, clause=False, resumable=False), Decision(10)),
        (replace(YOUNG, agreed=5, age=1.1), Decision(4)),
        (replace(YOUNG, agreed=5, repeated=6, age=1.1), Decision(5, of_committed=True)),
        (replace(YOUNG, agreed=2, age=1.1), Decision(0)),
        (replace(YOUNG, agreed=5, age=1.1, resumable=False), Decision(0)),
        (replace(YOUNG, agreed=5, age=1.1, words=1), Decision(0)),
        (replace(YOUNG, agreed=2, age=1.6, starved=True), Decision(8)),
        (replace(YOUNG, agreed=2, age=1.6, starved=True, pause=True), Decision(10)),
        (replace(YOUNG, units=2, agreed=0, age=1.6, starved=True), Decision(1)),
        (replace(YOUNG, agreed=0, age=1.6, starved=True, words=1), Decision(10)),
        (replace(YOUNG, agreed=0, age=1.6, starved=True, resumable=False), Decision(10)),
    ],
)
def test_decisions(evidence: Evidence, decision: Decision) -> None:
    assert decide(evidence, AgreementOptions()) == decision


def test_the_budget_grows_where_one_language_is_verb_final() -> None:
    options = AgreementOptions(latency="quality")
    assert options.budget_s("en", "es") == options.budget_s("ja", "ko") == 3.0
    assert options.budget_s("en", "ja") == options.budget_s("ko", "en") == pytest.approx(3.9)
