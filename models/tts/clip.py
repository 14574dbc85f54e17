"""Reference clip of a voice: checked, and converted to the rate that a model reads."""

from __future__ import annotations

import numpy as np

from pipeline.errors import BadInput, Refused
from pipeline.events import AudioChunk, Samples

SHORTEST_S, LONGEST_S = 3.0, 15.0
_SILENT_RMS = 10 ** (-45 / 20)
_FULL_SCALE = 0.999
_MOST_CLIPPED = 0.002


def check_clip(audio: AudioChunk, sample_rate: int) -> Samples:
    """Convert a clip to float32 [n] at ``sample_rate``; raises `BadInput` with advice for one that is unfit."""
    samples = np.asarray(audio.samples, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise BadInput("the reference clip is not mono audio of finite numbers", hint="record it again")
    if not SHORTEST_S <= audio.duration <= LONGEST_S + 0.5:
        raise BadInput(
            f"the reference clip is {audio.duration:.1f} s long: {SHORTEST_S:.0f} to {LONGEST_S:.0f} s of one person's "
            "speech are needed",
            hint="cut it, or record a longer one",
        )
    if np.sqrt(np.square(samples, dtype=np.float64).mean()) < _SILENT_RMS:
        raise BadInput("the reference clip is silent, or nearly so", hint="check the microphone and speak up")
    if (np.abs(samples) >= _FULL_SCALE).mean() > _MOST_CLIPPED:
        hint = "lower the microphone's level and record it again"
        raise BadInput("the reference clip is clipped (too loud)", hint=hint)
    if audio.sample_rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, audio.sample_rate, sample_rate)
    return np.ascontiguousarray(samples, dtype=np.float32)


def cannot_clone(name: str) -> Refused:
    """Make the refusal of a voice that is no preset."""
    hint = "the profile gpu, or cloning_synthesizer.use=models.tts.pocket:Pocket on a CPU, or a preset voice"
    return Refused(f"{name} cannot clone a voice; Pocket TTS and Qwen3-TTS can", hint=hint)
