"""How much of a candidate's translation may be said now."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.reading.options import AgreementOptions


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a candidate: its translation has ``units``, of which everything heard confirms the first ``agreed``.

    It covers ``words`` source words; ``age`` is how long they waited, in budgets, ``starved`` whether that is too long, and
    ``pause`` whether the speaker paused behind them. ``resumable``: a translation that was begun can be taken up again.
    """

    units: int
    agreed: int
    words: int
    age: float
    starved: bool
    pause: bool
    resumable: bool


def units_to_say(evidence: Evidence, options: AgreementOptions) -> int:
    """How many of the translation's units to say: none (wait), all, or a first part of them.

    All, if agreement reaches the threshold of the age. After the deadline the agreed part less what is held back. Starved,
    all but what is held back, which is nothing at a pause. A part is at least two units, unless starved, and leaves at
    least one source word for the rest; it is said only if the rest can follow it.
    """
    if evidence.agreed >= options.threshold(evidence.age) * evidence.units:
        return evidence.units
    if not evidence.resumable or evidence.words < 2:
        return evidence.units if evidence.starved else 0
    agreed = evidence.agreed - options.hold_back
    if evidence.age >= 1.0 and agreed >= 2:
        return agreed
    if not evidence.starved:
        return 0
    return evidence.units if evidence.pause else max(1, evidence.units - options.starved_hold_back)
