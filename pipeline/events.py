"""The vocabulary: what flows between the stages and to the sinks.

All times are seconds of source audio (stream time): 0 is the first sample of the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono float32 samples [n] in -1..1."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A piece of mono audio: ``samples`` float32 [n] in -1..1 that begin at ``start`` seconds."""

    samples: Samples
    sample_rate: int
    start: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end(self) -> float:
        """Stream time of the first sample after this chunk."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Word:
    """One recognized word; ``text`` keeps its leading space, so words concatenate.

    ``speaker`` is who said it, if the recognizer tells speakers apart.
    """

    text: str
    start: float
    end: float
    probability: float
    speaker: str = ""


def text_of(words: Sequence[Word]) -> str:
    """Return the words as one text, without the space before the first."""
    return "".join(word.text for word in words).strip()


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio from ``start`` to ``end`` that nobody will recognize, and why."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class LanguageChanged:
    """A change of language: from ``at`` on the speaker speaks ``language`` (ISO 639-1)."""

    language: str
    at: float


@dataclass(frozen=True, slots=True)
class SpeakerFound:
    """A ``speaker`` who was not heard before and begins to speak at ``at``."""

    speaker: str
    at: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """Units ``first`` to ``last`` of ``target`` are shown but not spoken, and why."""

    first: int
    last: int
    reason: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Lag:
    """Playback of ``unit`` of ``target`` begins at ``start``, ``ear_voice_s`` after its source words ended.

    ``backlog_s`` is the unspoken speech at that moment, ``rate`` the speed at which the unit is played.
    ``merged_into`` is the number of the first unit of the group that is spoken as one: ``unit`` itself if it is alone.
    """

    unit: int
    start: float
    ear_voice_s: float
    backlog_s: float
    rate: float
    merged_into: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Names and terms that were read in a picture of ``at``, and are expected to be said."""

    names: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """An audio device disappeared; the session goes on and waits for it."""

    name: str


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """An audio device that was lost is open again."""

    name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something went wrong in ``stage``; the session goes on unless it is ``fatal``."""

    stage: str
    message: str
    fatal: bool


Notice = Lag | Gap | Skipped | LanguageChanged | SpeakerFound | Seen | DeviceLost | DeviceBack | Fault


@dataclass(frozen=True, slots=True)
class Transcript:
    """The outcome of one step of recognition.

    ``committed`` words are new and never revised; ``tentative`` replaces the previous tentative tail. ``heard_s`` is how
    far the audio was heard, ``silence_s`` how long it has been silent, ``ended`` whether the utterance is over, and
    ``notices`` what else the recognizer must say (`Gap`, `LanguageChanged`, `Fault`). ``speaker`` is that of all words that
    name none themselves.
    """

    committed: tuple[Word, ...]
    tentative: tuple[Word, ...]
    language: str
    heard_s: float
    silence_s: float
    ended: bool
    notices: tuple[Notice, ...] = ()
    speaker: str = ""

    def speaker_of(self, word: Word) -> str:
        """Name the speaker of one of its words, as far as it is known."""
        return word.speaker or self.speaker

    def runs(self) -> list[tuple[str, str]]:
        """List the committed words by speaker: who, and the text of each run of words."""
        return [(who, "".join(word.text for word in words)) for who, words in groupby(self.committed, self.speaker_of)]


@dataclass(frozen=True, slots=True)
class ReadingUnit:
    """A committed piece of translation, a few words to a clause, that can be spoken at once.

    ``source`` is the words it covers, in ``source_language``, ``start`` and ``end`` their span, ``heard_s`` how far the
    audio had been heard when the unit was cut. Units are numbered from 0 within a session and ``target``, the language that
    was asked for, which the translate stage fills in; ``language`` is that of ``text``, the source's where there is no
    translation. ``text`` keeps a leading space where the unit continues a sentence of a language that writes spaces, so
    texts concatenate. It is empty if the unit before says its words, too (then ``language`` is the target), if the
    translator left them out, or if the speaker spoke the target language and that was to be muted. All its words are of
    one ``speaker``, if speakers are told apart.
    """

    number: int
    source: tuple[Word, ...]
    text: str
    language: str
    start: float
    end: float
    heard_s: float
    target: str = ""
    source_language: str = ""
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """Tentative translation of what no unit covers yet; replaces the previous one. Captions only."""

    text: str
    language: str


@dataclass(frozen=True, slots=True, eq=False)
class SpeechChunk:
    """Synthesized speech of unit number ``unit``: float32 [n] in -1..1.

    ``start`` is its place in stream time when it is played without a gap, ``target`` the language that was asked for; a
    synthesizer leaves both and the speak stage sets them. ``last`` marks the unit's last chunk, which may be empty.
    """

    unit: int
    samples: Samples
    sample_rate: int
    last: bool
    start: float = 0.0
    target: str = ""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Busy:
    """One call to the model of ``stage`` took ``seconds``; their sum gives the stage's real-time factor."""

    stage: str
    seconds: float


Event = AudioChunk | Transcript | ReadingUnit | Draft | SpeechChunk | Busy | Notice
"""Everything a sink can be given."""


def is_for(target: str, event: ReadingUnit | SpeechChunk | Lag | Skipped) -> bool:
    """Tell if an event is of a target; one without a target is of any, and no target means all."""
    return not target or event.target in {"", target}
