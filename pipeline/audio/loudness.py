"""Loudness as broadcasters measure it (ITU-R BS.1770-4), of mono sound as it comes."""

from __future__ import annotations

import math
from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

BLOCK_S, STEP_S = 0.4, 0.1
SILENT_LUFS, BELOW_LU = -70.0, 10.0  # the absolute gate, and the relative one below the loudness of what passed it
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_DESIGNED_HZ = 48_000  # the sample rate of the two filters in the standard


class LoudnessMeter:
    """Meter of integrated loudness, of all or of the last ``window_s``; what is cut into pieces measures as the whole.

    The K-weighting is applied to each block's spectrum, so the sample rate may be any. One number is kept per 0.1 s.
    """

    def __init__(self, window_s: float = math.inf) -> None:
        self._rest = np.zeros(0, np.float32)
        most = None if math.isinf(window_s) else round(window_s / STEP_S)
        self._powers: deque[float] = deque(maxlen=most)  # mean squares of the weighted blocks

    def hear(self, samples: Samples, sample_rate: int) -> None:
        """Add samples [n]."""
        block, step = round(BLOCK_S * sample_rate), round(STEP_S * sample_rate)
        self._rest = np.concatenate([self._rest, samples])
        weights = _weights(block, sample_rate)
        while len(self._rest) >= block:
            spectrum = np.abs(np.fft.rfft(self._rest[:block])) ** 2
            self._powers.append(float(spectrum @ weights))
            self._rest = self._rest[step:]

    @property
    def lufs(self) -> float:
        """Give the loudness of all so far; minus infinity where nothing passed the gates."""
        powers = np.array(self._powers)
        heard = powers[powers > _power(SILENT_LUFS)]
        if not len(heard):
            return -math.inf
        loud = heard[heard > _power(_loudness(float(heard.mean())) - BELOW_LU)]
        return _loudness(float(loud.mean()))


def _loudness(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


@cache
def _weights(block: int, sample_rate: int) -> NDArray[np.float64]:
    """Compute weights that turn the squared half spectrum of a block into its K-weighted mean square."""
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(block, 1 / sample_rate) / _DESIGNED_HZ)
    gain = np.ones(len(turn))
    for above, below in (_SHELF, _HIGH_PASS):
        gain *= np.abs(np.polyval(above[::-1], turn) / np.polyval(below[::-1], turn)) ** 2
    gain[1 : (block + 1) // 2] *= 2  # the other half of the spectrum
    return gain / block**2
