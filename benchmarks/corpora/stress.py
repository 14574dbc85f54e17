"""The same recordings made harder: mixed with noise, or spoken faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.corpora.audio import read_audio, write_audio
from benchmarks.corpora.utterance import Utterance
from pipeline.audio.stretch import stretched
from pipeline.errors import BadInput
from pipeline.events import Samples

SNRS_DB = (20.0, 10.0, 5.0)
SPEEDS = (1.0, 1.25, 1.5)


def with_noise(samples: Samples, snr_db: float, seed: int) -> Samples:
    """Samples [n] under pink noise (power falling with frequency) at a signal-to-noise ratio over the whole recording."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(samples))
    power, noise_power = float(np.mean(np.square(samples, dtype=np.float64))), float(np.mean(np.square(pink)))
    if not power or not noise_power:
        return samples
    gain = np.sqrt(power / noise_power / 10 ** (snr_db / 10))
    mixed = samples + (gain * pink).astype(np.float32)
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def at_speed(samples: Samples, rate: int, speed: float) -> Samples:
    """Samples [n] as if spoken ``speed`` times as fast, at the same pitch."""
    return samples if speed == 1.0 else stretched(samples, speed, rate)


def harder_copies(
    utterances: Sequence[Utterance], folder: Path, *, snr_db: float | None = None, speed: float = 1.0, seed: int = 0
) -> list[Utterance]:
    """Copies of the utterances under ``folder``, harder as asked; their times follow the speed."""
    if speed <= 0:
        raise BadInput(f"speed {speed:g} is not above 0; usual ones are {', '.join(f'{value:g}' for value in SPEEDS)}")
    made = []
    for index, utterance in enumerate(utterances):
        samples, rate = read_audio(Path(utterance.audio))
        harder = at_speed(samples, rate, speed)
        if snr_db is not None:
            harder = with_noise(harder, snr_db, seed + index)
        file = folder / f"{utterance.name}.wav"
        write_audio(file, harder, rate)
        made.append(_retimed(utterance, file, len(harder) / rate))
    return made


def _retimed(utterance: Utterance, file: Path, duration_s: float) -> Utterance:
    scale = duration_s / utterance.duration_s
    sentences = [
        replace(sentence, offset_s=sentence.offset_s * scale, duration_s=sentence.duration_s * scale)
        for sentence in utterance.sentences
    ]
    ends = tuple(end * scale for end in utterance.word_ends_s)
    return replace(utterance, audio=str(file), duration_s=duration_s, sentences=tuple(sentences), word_ends_s=ends)
