"""A set of tones, one per word: made of numbers alone, so every figure of a scripted run is the same anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from benchmarks.corpora.utterance import Sentence, Utterance
from pipeline.events import Samples

SENTENCES = (
    ("good morning and welcome to this talk", "buenos días y bienvenidos a esta charla"),
    ("the old town lies on a river", "la ciudad vieja está junto a un río"),
    (
        "we begin with the history of the port which is long and rich in wars and in trade",
        "empezamos con la historia del puerto que es larga y rica en guerras y en comercio",
    ),
    ("thank you", "gracias"),
)
WORD_S, SPACE_S, LEAD_S = 0.3, 0.1, 0.2


def tone_set(folder: Path, sentences: Sequence[tuple[str, str]] = SENTENCES) -> list[Utterance]:
    """Write the recordings into ``folder`` and give their utterances."""
    made = []
    for number, (transcript, reference) in enumerate(sentences):
        samples, ends = tones(len(transcript.split()))
        file = folder / f"tones-{number}.wav"
        write_audio(file, samples, CORPUS_HZ)
        duration_s = len(samples) / CORPUS_HZ
        sentence = Sentence(0.0, duration_s, transcript, reference)
        made.append(Utterance(file.stem, file.stem, str(file), duration_s, "en", "es", (sentence,), tuple(ends)))
    return made


def tones(count: int) -> tuple[Samples, list[float]]:
    """So many words: mono samples [n] at 16 kHz and when each word ends, in seconds."""
    moments = np.arange(round(WORD_S * CORPUS_HZ)) / CORPUS_HZ
    word = (np.sin(2 * np.pi * 180 * moments) / 3).astype(np.float32)
    space = np.zeros(round(SPACE_S * CORPUS_HZ), np.float32)
    pieces: list[Samples] = [np.zeros(round(LEAD_S * CORPUS_HZ), np.float32)]
    ends = []
    for index in range(count):
        pieces += [word, space]
        ends.append(round(LEAD_S + index * (WORD_S + SPACE_S) + WORD_S, 6))
    return np.concatenate(pieces), ends
