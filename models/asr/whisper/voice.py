"""Where a stream's speech probabilities come from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.asr.vad import WINDOW_SAMPLES
from pipeline.events import Samples


class VoiceActivity(Protocol):
    """Speech probabilities of one stream, one for each 512 samples at 16 kHz."""

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """One probability for each window that ``samples`` complete."""
        ...


class Loudness:
    """Takes whatever is louder than ``floor_db`` (dB below full scale) for speech.

    For sounds that a speech detector rightly refuses, like the tone language of the tests, and for hardware gates.
    """

    def __init__(self, floor_db: float = -30.0) -> None:
        self._floor_power = 10.0 ** (floor_db / 10)
        self._rest = np.zeros(0, np.float32)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """1 for a loud window, 0 for a quiet one."""
        audio = np.concatenate([self._rest, samples])
        count = len(audio) // WINDOW_SAMPLES
        self._rest = audio[count * WINDOW_SAMPLES :].copy()
        windows = audio[: count * WINDOW_SAMPLES].reshape(count, WINDOW_SAMPLES)
        loud: NDArray[np.float32] = (np.mean(np.square(windows), axis=1) > self._floor_power).astype(np.float32)
        return loud
