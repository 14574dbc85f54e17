"""Recordings joined to one talk, as a speaker would go on: what a sentence-wise run cannot show is the lag that adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr

from benchmarks.corpora.audio import CORPUS_HZ, read_audio
from benchmarks.corpora.utterance import Utterance
from pipeline.events import Samples

PAUSE_S = 0.5


def join(utterances: Sequence[Utterance], name: str, least_s: float = 0.0) -> tuple[Utterance, Samples]:
    """All recordings in order, again from the first until the talk lasts ``least_s``, with pauses of 0.5 s between.

    Gives the talk, whose sentences know their places, and its mono samples [n] at 16 kHz; a repeated pass is the same
    speech again, so its quality is no new evidence, its lag is.
    """
    pieces: list[Samples] = []
    sentences = []
    ends: list[float] = []
    at_s = 0.0
    recordings = {utterance.name: _at_corpus_rate(Path(utterance.audio)) for utterance in utterances}
    while not pieces or at_s < least_s:
        for utterance in utterances:
            samples = recordings[utterance.name]
            sentences += [replace(sentence, offset_s=at_s + sentence.offset_s) for sentence in utterance.sentences]
            ends += [at_s + end for end in utterance.word_ends_s]
            pieces += [samples, np.zeros(round(PAUSE_S * CORPUS_HZ), np.float32)]
            at_s += len(samples) / CORPUS_HZ + PAUSE_S
    joined = np.concatenate(pieces)
    first = utterances[0]
    talk = replace(
        first,
        name=name,
        document=name,
        audio="",
        duration_s=len(joined) / CORPUS_HZ,
        sentences=tuple(sentences),
        word_ends_s=tuple(ends),
        terms=tuple(dict.fromkeys(term for utterance in utterances for term in utterance.terms)),
    )
    return talk, joined


def _at_corpus_rate(file: Path) -> Samples:
    samples, rate = read_audio(file)
    return np.asarray(soxr.resample(samples, rate, CORPUS_HZ), np.float32)
