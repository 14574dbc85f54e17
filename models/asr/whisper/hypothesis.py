"""Jobs for an engine, and the hypotheses that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from models.asr.whisper.log_mel import HOP_SAMPLES, SAMPLE_RATE, Spectrogram

FRAME_S = HOP_SAMPLES / SAMPLE_RATE  # 0.01 s

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word an engine heard: its span in stream seconds, the mean probability of its tokens, and the tokens."""

    text: str
    start: float
    end: float
    probability: float
    tokens: Tokens


def spoken(text: str) -> str:
    """Return a word without case and the punctuation around it, which change from hypothesis to hypothesis."""
    return text.strip(" .,!?;:…\"'-").lower() or text


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that may be said: the text that tells a model of them, and its tokens."""

    text: str = ""
    tokens: Tokens = ()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One window to decode.

    ``features`` [n_mels, frames] begin at ``start`` and stand for ``end - start`` seconds. The output is made to begin with
    ``prefix``, the tokens of words in the window, word by word; ``context`` is text before the window. An engine in doubt
    about what it heard decodes again with ``terms`` before all of it.
    ``language`` None: the engine takes the likeliest of ``allowed``. ``detect``: tell the languages' probabilities.
    ``greedy``: without beam search. ``last``: speech has stopped, everything heard is settled.
    """

    start: float
    end: float
    features: Spectrogram
    prefix: tuple[Tokens, ...] = ()
    context: Tokens = ()
    terms: Terms = Terms()
    language: str | None = None
    allowed: tuple[str, ...] = ()
    detect: bool = False
    max_new_tokens: int = 64
    greedy: bool = False
    last: bool = False

    @property
    def prefix_tokens(self) -> list[int]:
        """The forced tokens in one row."""
        return [token for word in self.prefix for token in word]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Words an engine heard in a window.

    ``words`` follow the prefix; ``forced`` are the spans of the prefix's words in the newest alignment. The engine's belief
    that nobody speaks is ``no_speech``; ``languages`` are probabilities among the allowed ones, when asked for.
    """

    words: tuple[HeardWord, ...]
    language: str
    forced: tuple[tuple[float, float], ...] = ()
    no_speech: float = 0.0
    languages: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """A model that decodes windows; keeps no state between calls."""

    @property
    def n_mels(self) -> int:
        """Rows of the features it wants."""

    @property
    def window_s(self) -> float:
        """The longest window it can hear."""

    @property
    def languages(self) -> frozenset[str]:
        """Languages it understands."""

    def encode_text(self, text: str) -> Tokens:
        """Return the tokens of a text."""

    def decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        """Decode jobs that `batch_key` allows in one batch; the result for each is as if it came alone."""


class Decoder(Protocol):
    """An engine as one stream sees it."""

    async def decode(self, job: Job) -> Hypothesis:
        """Decode one job; raises what the engine raises."""


def batch_key(job: Job) -> tuple[int, int, bool, bool]:
    """Return a key by which jobs fit into one batch: equal context lengths, all or none with a prefix, the same search."""
    return len(job.context), len(job.terms.tokens), bool(job.prefix), job.greedy
