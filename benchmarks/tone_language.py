"""A language of tones that a tiny Whisper can learn in minutes: real audio and real recognition without trained weights.

A syllable is two tones at once (four low by four high), a word one to three syllables; words share their beginnings on
purpose, so that a word half heard is often another word. Speech has noise, short gaps and pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.events import Samples

SAMPLE_RATE = 16_000
CONSONANTS, VOWELS = "bkmt", "aiou"
SYLLABLES = [consonant + vowel for consonant in CONSONANTS for vowel in VOWELS]
LOW_HZ = (400, 520, 676, 879)
HIGH_HZ = (1150, 1495, 1944, 2527)
TONES_HZ = {syllable: (LOW_HZ[index // 4], HIGH_HZ[index % 4]) for index, syllable in enumerate(SYLLABLES)}
TOKENS = [f" {syllable}" for syllable in SYLLABLES] + SYLLABLES
RAMP_S = 0.012

ToyWord = tuple[str, ...]
"""A word as its syllables."""


def _make_words() -> list[ToyWord]:
    """Ten roots, each with words of two and three syllables that begin with it; always the same."""
    random = np.random.default_rng(7)
    words: set[ToyWord] = set()
    for root in [SYLLABLES[index] for index in random.permutation(16)[:10]]:
        words.add((root,))
        for second in random.choice(SYLLABLES, 2, replace=False):
            words.add((root, second))
            if random.random() < 0.5:
                words.add((root, second, str(random.choice(SYLLABLES))))
    return sorted(words)


WORDS = _make_words()


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word as text with its leading space, and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """A manner of speaking: noise amplitude, share of pauses between words, and silence before and after."""

    noise: float = 0.01
    pauses: float = 0.12
    lead_s: float | None = None
    tail_s: float | None = None


def text_of(word: ToyWord) -> str:
    """A word as it is written, with its leading space."""
    return " " + "".join(word)


def sample_words(random: np.random.Generator, count: int) -> list[ToyWord]:
    """Words at random."""
    return [WORDS[index] for index in random.integers(0, len(WORDS), count)]


def synthesize(words: Sequence[ToyWord], random: np.random.Generator, speech: Speech) -> tuple[Samples, list[Spoken]]:
    """Speak: samples float32 [n] at 16 kHz, and when each word is said."""
    pieces = [_silence(random.uniform(0, 0.3) if speech.lead_s is None else speech.lead_s)]
    spoken, at = [], len(pieces[0])
    for word in words:
        begin = at
        for syllable in word:
            pieces.append(_syllable(syllable, random))
            at += len(pieces[-1])
        spoken.append(Spoken(text_of(word), begin / SAMPLE_RATE, at / SAMPLE_RATE))
        pause = random.random() < speech.pauses
        pieces.append(_silence(random.uniform(0.3, 1.0) if pause else random.uniform(0.02, 0.07)))
        at += len(pieces[-1])
    pieces.append(_silence(random.uniform(0, 0.4) if speech.tail_s is None else speech.tail_s))
    audio = np.concatenate(pieces)
    audio += random.standard_normal(len(audio)).astype(np.float32) * speech.noise * random.uniform(0.2, 1)
    return audio, spoken


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def _syllable(syllable: str, random: np.random.Generator) -> Samples:
    count = int(random.uniform(0.15, 0.24) * SAMPLE_RATE)
    index = np.arange(count)
    envelope = np.minimum(1, np.minimum(index, index[::-1]) / (RAMP_S * SAMPLE_RATE))
    loudness = random.uniform(0.15, 0.3)
    phases = 2 * np.pi * np.outer(TONES_HZ[syllable], index / SAMPLE_RATE) + random.uniform(0, 6, (2, 1))
    samples: Samples = (loudness * envelope * np.sin(phases).sum(axis=0)).astype(np.float32)
    return samples
