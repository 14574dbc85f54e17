"""How much of a candidate's translation may be said now."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.policies.options import AgreementOptions


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a candidate.

    Its translation has ``units``, of which the translation of everything heard confirms the first ``agreed``. Of the
    translation of all that is committed, that confirms the first ``repeated``, not counting more than ``units``. The
    candidate covers ``words`` source words; ``age`` is how long they waited, in budgets, ``starved`` whether that is too
    long. ``clause`` says that a clause may end there, ``pause`` that the speaker paused. ``resumable``: a translation that
    was begun can be taken up again.
    """

    units: int
    agreed: int
    repeated: int
    words: int
    age: float
    starved: bool
    clause: bool
    pause: bool
    resumable: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Say the first ``units`` of the candidate's translation, or of that of all committed words; none: wait."""

    units: int
    of_committed: bool = False


def decide(evidence: Evidence, options: AgreementOptions) -> Decision:
    """All of the translation, a first part, or nothing yet.

    All, if of the committed words' translation as much is confirmed, or if agreement reaches the threshold of the age; what
    is not agreed is then said only where a clause ends. After the deadline what is confirmed, less what is held back.
    Starved, all but what is held back, which is nothing at a pause. A part is at least two units, unless starved, and
    leaves at least one source word for the rest; it is said only if the rest can follow it.
    """
    if not evidence.units:
        return Decision(0)
    if evidence.resumable and evidence.repeated == evidence.units:
        return Decision(evidence.units, of_committed=True)
    enough = evidence.agreed >= options.threshold(evidence.age) * evidence.units
    if not evidence.resumable or evidence.words < 2:
        return Decision(evidence.units if enough or evidence.starved else 0)
    if enough:
        return Decision(evidence.units if evidence.clause else evidence.agreed)
    sure = max(evidence.agreed, evidence.repeated) - options.hold_back
    if evidence.age >= 1.0 and sure >= 2:
        return Decision(sure, of_committed=evidence.repeated > evidence.agreed)
    if not evidence.starved:
        return Decision(0)
    return Decision(evidence.units if evidence.pause else max(1, evidence.units - options.starved_hold_back))
