"""The quality of a recording: its speech, signal-to-noise ratio and clipping (pure)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

FINDER_HZ = 16_000
WINDOW_S = 512 / FINDER_HZ  # 0.032 s
SPEECH, SILENCE = 0.5, 0.35  # speech begins above the one and ends below the other
PAD_WINDOWS = 4  # 0.13 s around speech: quiet beginnings and ends of words
GATE_GAIN = 0.1
NOISELESS_DB = 60.0  # more than a microphone has
_INAUDIBLE = 1e-9  # power, -90 dB: silence that a program wrote, not a microphone
_FEWEST_PAUSES = 5  # windows from which the noise can be told
_TOP, _TOP_RUN = 0.985, 3

Windows = NDArray[np.bool_]
"""A flag for each window of `WINDOW_S`."""


class SpeechFinder(Protocol):
    """Something that tells speech from everything else."""

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the speech probability of each whole window of `WINDOW_S` of a 16 kHz recording."""


def speech_windows(probabilities: NDArray[np.float32]) -> Windows:
    """Flag the windows of speech; between both thresholds a window is like the one before it."""
    flags = np.zeros(len(probabilities), np.bool_)
    speaking = False
    for number, probability in enumerate(probabilities):
        speaking = probability >= (SILENCE if speaking else SPEECH)
        flags[number] = speaking
    return flags


def widened(windows: Windows, by: int) -> Windows:
    """Add ``by`` windows on both sides of each."""
    reach = np.ones(2 * by + 1)
    return np.convolve(windows, reach)[by : by + len(windows)] > 0.5 if len(windows) else windows


def spans(windows: Windows) -> list[tuple[int, int]]:
    """List the runs of set windows, as (first, end)."""
    steps = np.diff(np.concatenate([[0], windows.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def powers(samples: Samples, count: int, sample_rate: int) -> NDArray[np.float64]:
    """Give the mean square of each of the first ``count`` windows of a recording."""
    window = round(WINDOW_S * sample_rate)
    whole = np.zeros(count * window)
    whole[: len(samples)] = samples[: len(whole)]
    return np.asarray(np.mean(np.square(whole.reshape(count, window)), axis=1))


def decibels(power: float) -> float:
    """Convert power to dB below full scale, not lower than -90."""
    return float(10 * np.log10(max(power, _INAUDIBLE)))


def level_db(power: NDArray[np.float64], speech: Windows) -> float:
    """Measure the level of the speech, in dB below full scale."""
    return decibels(float(power[speech].mean())) if speech.any() else decibels(0.0)


def signal_to_noise_db(power: NDArray[np.float64], speech: Windows) -> float:
    """Measure the signal-to-noise ratio of speech against its pauses; without pauses, against its quietest tenth."""
    pauses = power[~widened(speech, 2) & (power > _INAUDIBLE)]
    loud = float(power[speech].mean())
    noise = float(np.median(pauses) if len(pauses) >= _FEWEST_PAUSES else np.percentile(power[speech], 10))
    return min(NOISELESS_DB, decibels(max(loud - noise, 0.0)) - decibels(noise))


def clipped_share(samples: Samples) -> float:
    """Measure the share of samples in flat tops: three or more in a row within 1.5 % of the peak.

    Measured on speech: at most 0.00006 as recorded, 0.001 to 0.007 when its peaks are cut to 1/1.5, 0.006 to 0.035 at 1/2.
    """
    if not len(samples):
        return 0.0
    size = np.abs(samples)
    runs = spans(size >= _TOP * size.max())
    return sum(end - first for first, end in runs if end - first >= _TOP_RUN) / len(samples)


def gated(samples: Samples, sample_rate: int, speech: Windows) -> Samples:
    """Turn what lies between the words down to `GATE_GAIN`, without steps that could be heard."""
    gains = np.where(widened(speech, 2), 1.0, GATE_GAIN)
    centers = (np.arange(len(gains)) + 0.5) * WINDOW_S * sample_rate
    return (samples * np.interp(np.arange(len(samples)), centers, gains)).astype(np.float32)
