"""Audio of a corpus: read whole, checked, and where speech begins and ends in it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np

from benchmarks.corpora.utterance import Issues
from pipeline.errors import BadInput, DeviceError
from pipeline.events import Samples

SHORTEST_S, LONGEST_S = 0.2, 60.0
CORPUS_HZ = 16_000


def read_audio(file: Path) -> tuple[Samples, int]:
    """Mono samples [n] and their rate; channels are averaged. Raises `BadInput`."""
    import soundfile  # noqa: PLC0415

    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise BadInput(f"cannot read the audio {file}: {error}. Convert it to WAV or FLAC") from error
    return np.ascontiguousarray(samples.mean(axis=1)), int(rate)


def write_audio(file: Path, samples: Samples, rate: int) -> None:
    """Write 16-bit audio; raises `DeviceError` when the disk or the folder refuses."""
    import soundfile  # noqa: PLC0415

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.clip(samples, -1, 1), rate, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise DeviceError(f"cannot write {file}: {error}. Free space or choose another folder") from error


def check_audio(
    file: Path, where: str, issues: Issues, stated_samples: int | None = None, longest_s: float = LONGEST_S
) -> float | None:
    """Duration in seconds, or None when the utterance must be dropped; everything odd is noted."""
    import soundfile  # noqa: PLC0415

    if not file.is_file():
        issues.drop("audio missing", where)
        return None
    try:
        samples, rate = read_audio(file)
        channels = soundfile.info(file).channels
    except BadInput:
        issues.drop("audio cannot be decoded", where)
        return None
    duration_s = len(samples) / rate
    if not len(samples):
        issues.drop("audio is empty", where)
        return None
    if not np.isfinite(samples).all():
        issues.drop("audio holds NaN or infinity", where)
        return None
    for wrong, kind in (
        (rate != CORPUS_HZ, f"sample rate {rate} Hz, resampled"),
        (channels != 1, f"{channels} channels, averaged"),
        (stated_samples is not None and abs(len(samples) - stated_samples) > 1, "length differs from the table"),
        (not SHORTEST_S <= duration_s <= longest_s, f"duration outside {SHORTEST_S:g} to {longest_s:g} s"),
        (not samples.any(), "audio is silent"),
    ):
        if wrong:
            issues.note(kind, where)
    return duration_s


def check_text(text: str, what: str, where: str, issues: Issues) -> str | None:
    """The text in NFC, or None when there is none."""
    normal = unicodedata.normalize("NFC", text).strip()
    if not normal:
        issues.drop(f"{what} is empty", where)
        return None
    if normal != text.strip():
        issues.note(f"{what} was not NFC", where)
    return normal


def speech_bounds_s(samples: Samples, rate: int) -> tuple[float, float]:
    """Find where speech begins and ends, by Silero VAD; the whole recording if none is found."""
    import soxr  # noqa: PLC0415

    from models.asr.vad import SAMPLE_RATE, WINDOW_S, StreamingVad  # noqa: PLC0415

    speech = np.flatnonzero(StreamingVad().probabilities(soxr.resample(samples, rate, SAMPLE_RATE)) >= 0.5)
    if not len(speech):
        return 0.0, len(samples) / rate
    return float(speech[0] * WINDOW_S), min(float((speech[-1] + 1) * WINDOW_S), len(samples) / rate)
