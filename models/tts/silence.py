"""Silence at the borders of a synthesized unit, trimmed while it streams."""

from __future__ import annotations

import numpy as np

from pipeline.events import Samples

QUIET = 0.003  # -50 dB below full scale
ATTACK_S = 0.01  # kept before the first sound: consonants begin softly


class SilenceTrim:
    """Drops the silence before the first sound and all but ``pause_s`` of that after the last."""

    def __init__(self, sample_rate: int, pause_s: float) -> None:
        self._attack = int(ATTACK_S * sample_rate)
        self._pause = int(pause_s * sample_rate)
        self._began = False
        self._quiet = np.zeros(0, np.float32)

    def add(self, samples: Samples) -> Samples:
        """The next samples [n]; gives what is known to be followed by sound, up to and with the last sound."""
        audio = np.concatenate([self._quiet, samples])
        loud = np.flatnonzero(np.abs(audio) > QUIET)
        if not len(loud):
            self._quiet = audio if self._began else audio[max(0, len(audio) - self._attack) :]
            return audio[:0]
        first = 0 if self._began else max(0, int(loud[0]) - self._attack)
        self._began, end = True, int(loud[-1]) + 1
        self._quiet = audio[end:]
        return audio[first:end]

    def end(self) -> Samples:
        """The pause after the last sound."""
        return self._quiet[: self._pause] if self._began else self._quiet[:0]
