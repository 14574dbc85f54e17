"""The choice of a reading-unit policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.glossary.glossary import Glossary
from pipeline.policies.agreement_units import AgreementUnits
from pipeline.policies.options import AgreementOptions
from pipeline.policies.pause_units import PauseOptions, PauseUnits, UnitPolicy


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """Choice of a reading-unit policy, and the settings of each."""

    policy: Literal["pauses", "agreement"] = "pauses"
    pauses: PauseOptions = field(default_factory=PauseOptions)
    agreement: AgreementOptions = field(default_factory=AgreementOptions)


def unit_policy(settings: UnitSettings, source: str, target: str, glossary: Glossary) -> UnitPolicy:
    """Begin a policy for one target language; an empty ``source`` is still to be detected."""
    match settings.policy:
        case "pauses":
            return PauseUnits(source, target, settings.pauses, glossary)
        case "agreement":
            return AgreementUnits(source, target, settings.agreement, glossary)
