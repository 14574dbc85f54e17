"""Silero VAD over a whole recording, as a backend that is found by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.asr.vad import StreamingVad
from pipeline.events import Samples


@dataclass(frozen=True, slots=True)
class SileroSpeech:
    """Tells speech from noise and music. Windows quieter than ``floor_db`` (dB below full scale) count as silence."""

    floor_db: float = -60.0

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """The speech probability of each whole 32 ms of 16 kHz audio [n]; raises `ModelError` without its model file."""
        return StreamingVad(self.floor_db).probabilities(samples)
