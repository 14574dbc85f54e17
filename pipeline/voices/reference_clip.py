"""Recordings, and the seconds of speech in them that a voice is learned from, with advice on what would be better."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.resampling import resampled
from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Samples
from pipeline.sources.files import AudioFile
from pipeline.voices import quality
from pipeline.voices.quality import PAD_WINDOWS, WINDOW_S, SpeechFinder, Windows

VOICE_HZ = 24_000  # what speaker encoders hear: up to 12 kHz
SHORTEST_S, LONGEST_S = 3.0, 15.0  # of speech
RECORDING_S = 60.0  # of a longer one nobody knows which part is meant, and who else speaks in it
SILENT_DB, QUIET_DB, WANTED_DB = -50.0, -35.0, -26.0
UNUSABLE_SNR_DB, POOR_SNR_DB, CLEAN_SNR_DB = 8.0, 20.0, 40.0
CLIPPED, SLIGHTLY_CLIPPED = 0.002, 0.0005
_HEADROOM = 0.9
_FADE_S = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file that was read."""

    path: Path
    samples: Samples  # mono, around zero: the offset of a cheap sound card is not heard, but would be taken for noise
    sample_rate: int  # the file's own
    faults: tuple[str, ...]  # of the file


async def read_recording(path: Path) -> Recording:
    """Read a file of at most `RECORDING_S`; raises `BadInput` for a longer one and for what is no audio."""
    file = AudioFile(path, realtime=False, clock=LoopClock())
    _refuse_long(path, file.duration_s or 0.0)
    pieces = [np.zeros(0, np.float32)]
    async with aclosing(aiter(file)) as chunks:
        async for chunk in chunks:
            pieces.append(chunk.samples)
            _refuse_long(path, chunk.end)
    faults = tuple(notice.message.removeprefix(f"{path}: ") for notice in file.notices if isinstance(notice, Fault))
    samples = np.concatenate(pieces)
    return Recording(path, samples - samples.mean() if len(samples) else samples, file.sample_rate, faults)


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > RECORDING_S:
        raise BadInput(
            f"{path} is longer than {RECORDING_S:.0f} s; a clip of one person with 3 to 15 s of speech is wanted",
            hint="a file that holds only that part of it",
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceClip:
    """Speech without its pauses."""

    audio: AudioChunk  # at `VOICE_HZ`, at most `LONGEST_S`
    speech_s: float  # in the whole recording
    snr_db: float
    advice: tuple[str, ...]  # for a better recording


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedRecording:
    """A recording, and its speech, level and noise."""

    recording: Recording
    speech: Windows
    level_db: float
    snr_db: float

    @property
    def speech_s(self) -> float:
        """Seconds of speech in it."""
        return int(self.speech.sum()) * WINDOW_S


def analyse(recording: Recording, finder: SpeechFinder) -> AnalysedRecording:
    """Find the speech in a recording; raises `BadInput` where it is silent or holds none."""
    path, samples = recording.path, recording.samples
    if not len(samples) or quality.decibels(float(np.square(samples).max())) < SILENT_DB:
        raise BadInput(f"{path} is silent; check which microphone recorded it, then record it again")
    heard_16k = resampled(samples, recording.sample_rate, quality.FINDER_HZ)
    speech = quality.speech_windows(finder.probabilities(heard_16k))
    if not speech.any():
        raise BadInput(f"{path} holds no speech, only noise or music; record one person who speaks")
    power = quality.powers(heard_16k, len(speech), quality.FINDER_HZ)
    level = quality.level_db(power, speech)
    if level < SILENT_DB:
        raise BadInput(f"{path} is almost silent: speech at {level:.0f} dB; speak nearer to the microphone")
    return AnalysedRecording(recording, speech, level, quality.signal_to_noise_db(power, speech))


def reference_clip(found: AnalysedRecording) -> ReferenceClip:
    """Cut out what a voice is learned from; raises `BadInput` for a recording that is too short, clipped or noisy."""
    recording = found.recording
    clipped = quality.clipped_share(recording.samples)
    _refuse_bad(found, clipped)
    samples = resampled(recording.samples, recording.sample_rate, VOICE_HZ)
    if found.snr_db < CLEAN_SNR_DB:
        samples = quality.gated(samples, VOICE_HZ, found.speech)
    voice = _raised(_without_pauses(samples, found.speech), found.level_db)
    return ReferenceClip(AudioChunk(voice, VOICE_HZ, 0.0), found.speech_s, found.snr_db, _advice(found, clipped))


def only_speech(found: AnalysedRecording, to_hz: int) -> AudioChunk:
    """Cut the speech out of a recording of any length and quality, up to `LONGEST_S` of it."""
    samples = resampled(found.recording.samples, found.recording.sample_rate, VOICE_HZ)
    return AudioChunk(resampled(_without_pauses(samples, found.speech), VOICE_HZ, to_hz), to_hz, 0.0)


def _refuse_bad(found: AnalysedRecording, clipped: float) -> None:
    path = found.recording.path
    if found.speech_s < SHORTEST_S:
        raise BadInput(
            f"{path} holds {found.speech_s:.1f} s of speech; {SHORTEST_S:.0f} to {LONGEST_S:.0f} s are needed; "
            "record some sentences, ten seconds are best"
        )
    if clipped > CLIPPED:
        raise BadInput(
            f"{path} is clipped: {clipped:.1%} of it is cut off at full scale; turn the microphone down, record it again"
        )
    if found.snr_db < UNUSABLE_SNR_DB:
        raise BadInput(
            f"{path} is too noisy: speech lies {found.snr_db:.0f} dB above the noise and {UNUSABLE_SNR_DB:.0f} dB are "
            f"needed; record it in a quiet room, near the microphone"
        )


def _without_pauses(samples: Samples, speech: Windows) -> Samples:
    """Join the stretches of speech with their edges, faded into each other's silence, up to `LONGEST_S`."""
    window = round(WINDOW_S * VOICE_HZ)
    stretches = quality.spans(quality.widened(speech, PAD_WINDOWS))
    joined = np.concatenate([faded(samples[first * window : end * window]) for first, end in stretches])
    longest = round(LONGEST_S * VOICE_HZ)
    return joined if len(joined) <= longest else faded(joined[:longest])


def faded(samples: Samples) -> Samples:
    """Fade 5 ms at both ends, so that stretches can be joined without a click."""
    length = min(round(_FADE_S * VOICE_HZ), len(samples) // 2)
    shaped = samples.copy()
    if length:
        ramp = np.linspace(0, 1, length, dtype=np.float32)
        shaped[:length] *= ramp
        shaped[-length:] *= ramp[::-1]
    return shaped


def _raised(samples: Samples, level_db: float) -> Samples:
    """Raise quiet speech to a usual level: encoders cut their spectrogram off at a fixed floor."""
    if level_db >= QUIET_DB:
        return samples
    gain = min(10 ** ((WANTED_DB - level_db) / 20), _HEADROOM / max(float(np.abs(samples).max()), 1e-6))
    return samples * np.float32(max(1.0, gain))


def _advice(found: AnalysedRecording, clipped: float) -> tuple[str, ...]:
    advice = [*found.recording.faults]
    if clipped > SLIGHTLY_CLIPPED:
        advice.append(f"slightly clipped ({clipped:.2%}): a lower microphone level would be better")
    if found.snr_db < POOR_SNR_DB:
        advice.append(f"noisy (speech {found.snr_db:.0f} dB above the noise): a quieter room would be better")
    if found.level_db < QUIET_DB:
        advice.append(f"quiet (speech at {found.level_db:.0f} dB): it is raised; nearer to the microphone would be better")
    if found.speech_s > LONGEST_S:
        advice.append(f"{found.speech_s:.0f} s of speech: the first {LONGEST_S:.0f} s are used")
    return tuple(advice)
