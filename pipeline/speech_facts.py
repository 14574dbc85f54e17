"""The ports of synthesizers that tell, without loading, how they speak a language and what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pipeline.contracts import Missing, Voice


@runtime_checkable
class VoicesByLanguage(Protocol):
    """A synthesizer backend whose files are a language's each, so that one may be here and another not."""

    def missing_for(self, language: str) -> Sequence[Missing]:
        """List what this machine lacks for a language that it speaks, besides what `missing` lists."""


@runtime_checkable
class LearnsByLanguage(Protocol):
    """A loaded synthesizer that learns a voice for each language that is loaded then; another may have come since."""

    def lacks(self, voice: Voice, language: str) -> bool:
        """Tell if an enrolled voice was not learned for a language whose model could learn it now."""


@dataclass(frozen=True, slots=True)
class SpeechFacts:
    """Facts of a synthesizer's speech in a language.

    ``license`` is that of its weights, of the recordings they were trained on where these have their own, or of its
    program; empty: unknown. Speech that is not ``streamed`` comes a unit, or a clause of one, at a time.
    """

    license: str
    cloned: bool = False
    streamed: bool = True
    voice: str = ""  # the only one, or the one that speaks unless another is asked for


@runtime_checkable
class DescribesSpeech(Protocol):
    """A synthesizer backend that describes how it speaks a language, whether or not its files are here."""

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in one of its languages."""


@runtime_checkable
class TakesMemory(Protocol):
    """A backend that knows, without loading, what memory of the CPU it will take."""

    def memory(self) -> Mapping[str, int]:
        """Return the bytes by the model that takes them when it is used; none for what is not here."""
