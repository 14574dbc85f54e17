"""Whether a recording is good enough to learn a voice from, and what to do if it is not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import BadInput
from pipeline.events import AudioChunk

SHORTEST_S, LONGEST_S = 3.0, 15.0
_SILENT_RMS = 10 ** (-45 / 20)
_FULL_SCALE = 0.999
_MOST_CLIPPED = 0.002


def check_clip(audio: AudioChunk, sample_rate: int) -> Tensor:
    """The clip as float32 [n] at ``sample_rate``; raises `BadInput` that says what is wrong and what to record instead."""
    samples = np.asarray(audio.samples, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise BadInput("the reference clip is not mono audio of finite numbers: record it again")
    if not SHORTEST_S <= audio.duration <= LONGEST_S + 0.5:
        raise BadInput(
            f"the reference clip is {audio.duration:.1f} s long: {SHORTEST_S:.0f} to {LONGEST_S:.0f} s of one person's "
            "speech are needed; cut it, or record a longer one"
        )
    if np.sqrt(np.square(samples, dtype=np.float64).mean()) < _SILENT_RMS:
        raise BadInput("the reference clip is silent, or nearly so: check the microphone and speak up")
    if (np.abs(samples) >= _FULL_SCALE).mean() > _MOST_CLIPPED:
        raise BadInput("the reference clip is clipped (too loud): lower the microphone's level and record it again")
    if audio.sample_rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, audio.sample_rate, sample_rate)
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
