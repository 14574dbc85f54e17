"""The decision how much is said, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.policies.decision import Decision, Evidence, decide
from pipeline.policies.options import AgreementOptions

YOUNG = Evidence(
    units=10,
    agreed=0,
    committed_agreed=0,
    words=8,
    age=0.3,
    overdue=False,
    clause=True,
    pause=False,
    continuable=True,
)


@pytest.mark.parametrize(
    ("evidence", "decision"),
    [
        (replace(YOUNG, units=0), Decision(0)),
        (replace(YOUNG, agreed=10), Decision(10)),
        (replace(YOUNG, agreed=9), Decision(0)),
        (replace(YOUNG, agreed=2, committed_agreed=10), Decision(10, of_committed=True)),
        (replace(YOUNG, agreed=2, committed_agreed=10, continuable=False), Decision(0)),
        (replace(YOUNG, agreed=9, age=0.7), Decision(10)),
        (replace(YOUNG, agreed=8, age=0.7), Decision(0)),
        (replace(YOUNG, agreed=7, age=0.9), Decision(10)),
        (replace(YOUNG, agreed=7, age=0.9, clause=False), Decision(7)),
        (replace(YOUNG, agreed=7, age=0.9, clause=False, continuable=False), Decision(10)),
        (replace(YOUNG, agreed=5, age=1.1), Decision(4)),
        (replace(YOUNG, agreed=5, committed_agreed=6, age=1.1), Decision(5, of_committed=True)),
        (replace(YOUNG, agreed=2, age=1.1), Decision(0)),
        (replace(YOUNG, agreed=5, age=1.1, continuable=False), Decision(0)),
        (replace(YOUNG, agreed=5, age=1.1, words=1), Decision(0)),
        (replace(YOUNG, agreed=2, age=1.6, overdue=True), Decision(8)),
        (replace(YOUNG, agreed=2, age=1.6, overdue=True, pause=True), Decision(10)),
        (replace(YOUNG, units=2, agreed=0, age=1.6, overdue=True), Decision(1)),
        (replace(YOUNG, agreed=0, age=1.6, overdue=True, words=1), Decision(10)),
        (replace(YOUNG, agreed=0, age=1.6, overdue=True, continuable=False), Decision(10)),
    ],
)
def test_decisions(evidence: Evidence, decision: Decision) -> None:
    assert decide(evidence, AgreementOptions()) == decision


def test_the_budget_grows_where_one_language_is_verb_final() -> None:
    options = AgreementOptions(latency="quality")
    assert options.budget_s("en", "es") == options.budget_s("ja", "ko") == 3.0
    assert options.budget_s("en", "ja") == options.budget_s("ko", "en") == pytest.approx(3.9)
