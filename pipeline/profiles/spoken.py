"""The table of languages that profiles speak: which synthesizer does it, in whose voice, how, and under which license."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.contracts import SynthesizerBackend
from pipeline.languages import known_code, language_name, primary
from pipeline.profiles.backends import BackendChoice, backend
from pipeline.profiles.profile import Profile
from pipeline.speech_facts import DescribesSpeech, SpeechFacts

OPT_IN: Mapping[str, Mapping[str, BackendChoice]] = {
    "cpu": {
        "synthesizer": BackendChoice("models.tts.pocket:Pocket"),
        "second_synthesizer": BackendChoice("models.tts.kokoro:Kokoro"),
    },
    "gpu": {"second_synthesizer": BackendChoice("models.tts.omnivoice:OmniVoice")},
}
"""Stages that may be set over a profile: Pocket TTS takes two cores more, OmniVoice a use that its license allows."""

UNKNOWN = SpeechFacts("")


@dataclass(frozen=True, slots=True)
class Speech:
    """A language as one profile speaks it: the synthesizer that does, and the facts of its speech."""

    synthesizer: str
    facts: SpeechFacts

    def __str__(self) -> str:
        voice = "cloned" if self.facts.cloned else "preset"
        delivery = "streaming" if self.facts.streamed else "by unit"
        return f"{self.synthesizer}: {voice}, {delivery}, {self.facts.license or 'license unknown'}"

    def described(self) -> dict[str, str]:
        """Describe it for programs."""
        return {
            "synthesizer": self.synthesizer,
            "voice": "cloned" if self.facts.cloned else "preset",
            "preset": self.facts.voice,
            "delivery": "streaming" if self.facts.streamed else "by unit",
            "license": self.facts.license,
        }


@dataclass(frozen=True, slots=True)
class SpokenRow:
    """A target language: its speech by the name of the column, `None` where it is translated and not spoken there.

    A column is a profile, or an opt-in synthesizer of one (``gpu + OmniVoice``); a language that it does not translate into
    is not in ``speech``.
    """

    code: str
    name: str
    speech: Mapping[str, Speech | None]

    def described(self) -> dict[str, object]:
        """Describe it for programs."""
        spoken = {column: one and one.described() for column, one in self.speech.items()}
        return {"code": self.code, "name": self.name, "spoken": spoken}


def spoken_table(profiles: Iterable[Profile]) -> list[SpokenRow]:
    """Make a row for each target language of these profiles, and a column for each profile and its opt-in synthesizer."""
    columns: dict[str, tuple[frozenset[str], list[SynthesizerBackend]]] = {}
    for profile in profiles:
        backends = profile.backends
        targets = frozenset(target for _, target in backends.translator.pairs())
        columns[profile.name] = targets, list(backends.synthesizers.values())
        if profile.name in OPT_IN:
            extra: dict[str, Any] = {stage: backend(choice) for stage, choice in OPT_IN[profile.name].items()}
            added = type(next(iter(extra.values()))).__name__
            if added not in {type(one).__name__ for one in backends.synthesizers.values()}:  # a config may have set it
                columns[f"{profile.name} + {added}"] = targets, list(replace(backends, **extra).synthesizers.values())
    codes = sorted(frozenset[str]().union(*(targets for targets, _ in columns.values())))
    return [
        SpokenRow(
            code,
            language_name(code),
            {name: speech_of(code, chain) for name, (targets, chain) in columns.items() if code in targets},
        )
        for code in codes
    ]


def speech_of(code: str, synthesizers: Sequence[SynthesizerBackend]) -> Speech | None:
    """Return the speech of a language by the first synthesizer that speaks it, in a region or not."""
    for one in synthesizers:
        known = one.languages()
        if (called := known_code(code, known)) in known:
            facts = one.describe(called) if isinstance(one, DescribesSpeech) else UNKNOWN
            return Speech(type(one).__name__, facts)
    return None


def counted(rows: Iterable[SpokenRow], column: str) -> dict[str, int]:
    """Count the target languages of a column, those it speaks, and of these those in a cloned voice; scripts count once."""
    found: dict[str, dict[str, Speech | None]] = {"targets": {}, "spoken": {}, "cloned": {}}
    for row in rows:
        if column not in row.speech:
            continue
        speech, code = row.speech[column], primary(row.code)
        found["targets"][code] = speech
        if speech is not None:
            found["spoken"][code] = speech
            if speech.facts.cloned:
                found["cloned"][code] = speech
    return {name: len(codes) for name, codes in found.items()}


def columns_of(rows: Sequence[SpokenRow]) -> list[str]:
    """Name the columns of a table, in order."""
    return list(dict.fromkeys(name for row in rows for name in row.speech))
