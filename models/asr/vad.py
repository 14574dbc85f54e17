"""Voice activity: Silero VAD v6 on a stream, and the starts and ends of speech that follow from it.

The network is the ONNX file that faster-whisper ships (https://github.com/snakers4/silero-vad, MIT): it maps 512 samples at
16 kHz, the 64 before them and an LSTM state to the probability that somebody speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError, check_range
from pipeline.events import Samples

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 512
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE  # 0.032 s
CONTEXT_SAMPLES = 64
STATE_SIZE = 128
NOISE_RISE_DB = 3.0 * WINDOW_S  # 3 dB a second
NOISE_MARGIN_DB = 6.0
LOWEST_FLOOR_DB = -90.0
AUDIBLE_DB = -35.0  # Silero misses speech that is much quieter
CLEAR_DB, CLEAR_FACTOR = 20.0, 1.6
PITCH_WINDOWS = 64, 256  # of 16 kHz samples: their averages differ by what lies between 60 and 400 Hz
PEAK_FALL_DB = 1.0 * WINDOW_S  # 1 dB a second


class SpeechDetector(Protocol):
    """Speech probabilities of one stream, one for each 512 samples at 16 kHz."""

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Give one probability for each window that ``samples`` complete."""


class NoiseFloor:
    """Noise level of one stream in dB below full scale: the least level heard, which rises by 3 dB a second.

    Tracking the minimum needs no speech detector (Martin 2001, minimum statistics, without its bias compensation).
    """

    level_db = np.inf

    def hear(self, level_db: float) -> float:
        """Take the level of the next window; gives the noise level."""
        self.level_db = min(level_db, self.level_db + NOISE_RISE_DB)
        return self.level_db


def level_of(samples: Samples) -> float:
    """Return the level of ``samples`` [n] in dB below full scale; -120 for digital silence."""
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12)) if len(samples) else -120.0


def _pitch_filter() -> NDArray[np.float32]:
    """Return a FIR filter [taps]: the mean over the shorter of `PITCH_WINDOWS` less that over the longer, both Hann."""
    short, long = (window[1:-1] / window.sum() for window in (np.hanning(size + 2) for size in PITCH_WINDOWS))
    taps: NDArray[np.float32] = (np.pad(short, (len(long) - len(short)) // 2) - long).astype(np.float32)
    return taps


PITCH_FILTER = _pitch_filter()
BEFORE_SAMPLES = len(PITCH_FILTER) - 1


def pitch_of(samples: Samples) -> Samples:
    """Compute the pitch of voices in ``samples`` [n + `BEFORE_SAMPLES`] at 16 kHz, [n]: their envelope beats with it.

    Harmonics are a pitch apart, so that rectifying restores one that was cut off (the missing fundamental).
    """
    return np.convolve(np.abs(samples), PITCH_FILTER, "valid")


def model_file() -> Path:
    """Find the Silero file inside faster-whisper without importing it; raises `ModelError` when it is not there."""
    package = find_spec("faster_whisper")
    for folder in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(folder, "assets").glob("silero_vad_v6*.onnx")):
            return file
    raise ModelError(
        "the voice activity model silero_vad_v6.onnx was not found; it is part of the Python package faster-whisper 1.2.1",
        hint="pip install faster-whisper",
    )


class _Network(Protocol):
    def run(self, outputs: None, inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]: ...


@cache
def _session() -> _Network:
    """Load the network, once, for all streams; running it is thread-safe and keeps no state."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model_file()), options, providers=["CPUExecutionProvider"])
    return cast(_Network, session)


class StreamingVad:
    """Speech probabilities of one 16 kHz stream by Silero.

    Windows that do not rise 6 dB above the noise count as silence, but never those above ``floor_db``, and always those
    below -90 dB (both below full scale). Where the loudest windows stay below -35 dB, the network hears up to
    ``most_gain_db`` more. It doubts speech without the pitch, which no telephone passes: the pitch that the envelope has is
    added, and probabilities of what is 20 dB above the noise count 1.6 times. ``most_gain_db`` 0: its own probabilities.
    """

    def __init__(self, floor_db: float = -60.0, most_gain_db: float = 30.0) -> None:
        self._most_gain_db = most_gain_db
        self._session = _session()
        self._floor_db = floor_db
        self._noise = NoiseFloor()
        self._peak_db = LOWEST_FLOOR_DB
        self._hidden = np.zeros((1, 1, STATE_SIZE), np.float32)
        self._cell = np.zeros((1, 1, STATE_SIZE), np.float32)
        self._before = np.zeros(CONTEXT_SAMPLES, np.float32)  # as the network heard it
        self._waiting = np.zeros(BEFORE_SAMPLES, np.float32)  # what the next pitch needs, then what fills no window yet

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Give one probability for each window that ``samples`` [n] complete; the same values however the stream is cut.

        NaN and infinite samples are taken as 0, those outside -1..1 as the limit; ``samples`` is left as it is.
        """
        audio = np.concatenate([self._waiting, cleaned(samples)])
        count = (len(audio) - BEFORE_SAMPLES) // WINDOW_SAMPLES
        windows = [
            self._probability(audio[start : start + BEFORE_SAMPLES + WINDOW_SAMPLES])
            for start in range(0, count * WINDOW_SAMPLES, WINDOW_SAMPLES)
        ]
        self._waiting = audio[count * WINDOW_SAMPLES :].copy()
        return np.array(windows, np.float32)

    def _probability(self, samples: Samples) -> float:
        # One window a call: a batch is rounded differently, and the result would depend on the cut.
        window = samples[BEFORE_SAMPLES:]
        level_db = level_of(window)
        self._peak_db = max(level_db, self._peak_db - PEAK_FALL_DB)
        gain = np.float32(10 ** (min(self._most_gain_db, max(0.0, AUDIBLE_DB - self._peak_db)) / 20))
        heard = window + pitch_of(samples) if self._most_gain_db > 0 else window
        inputs = {"input": gain * np.concatenate([self._before, heard])[np.newaxis], "h": self._hidden, "c": self._cell}
        self._before = heard[-CONTEXT_SAMPLES:]
        speech, self._hidden, self._cell = self._session.run(None, inputs)
        noise_db = self._noise.hear(level_db)
        if level_db <= min(max(LOWEST_FLOOR_DB, noise_db + NOISE_MARGIN_DB), self._floor_db):
            return 0.0
        clear = self._most_gain_db > 0 and level_db > noise_db + CLEAR_DB
        return min(1.0, float(speech.item()) * (CLEAR_FACTOR if clear else 1.0))


class Loudness:
    """Speech detector that takes whatever is louder than ``floor_db`` (dB below full scale) for speech.

    For sounds that Silero rightly refuses, like the tone language of the tests, and for hardware gates.
    """

    def __init__(self, floor_db: float = -30.0) -> None:
        self._floor_power = 10.0 ** (floor_db / 10)
        self._rest = np.zeros(0, np.float32)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Give 1 for a loud window, 0 for a quiet one."""
        audio = np.concatenate([self._rest, samples])
        count = len(audio) // WINDOW_SAMPLES
        self._rest = audio[count * WINDOW_SAMPLES :].copy()
        windows = audio[: count * WINDOW_SAMPLES].reshape(count, WINDOW_SAMPLES)
        loud: NDArray[np.float32] = (np.mean(np.square(windows), axis=1) > self._floor_power).astype(np.float32)
        return loud


@dataclass(frozen=True, slots=True)
class SileroSpeech:
    """Silero over a whole recording, as a backend that is found by name; ``floor_db`` as for `StreamingVad`."""

    floor_db: float = -60.0

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the speech probability of each 32 ms of 16 kHz audio [n]; raises `ModelError` without its model file."""
        return StreamingVad(self.floor_db).probabilities(samples)


def cleaned(samples: Samples) -> Samples:
    """Return a copy of ``samples`` [n] that a model can bear: float32, NaN and infinity as 0, limited to -1..1."""
    audio = np.nan_to_num(np.asarray(samples, np.float32), copy=True, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(audio, -1.0, 1.0, out=audio)


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """Thresholds for the begin and end of speech. Probabilities 0..1, durations in seconds.

    Speech begins after ``start_s`` at or above ``speech_probability``. Silence begins below ``silence_probability`` and is
    broken only at ``speech_probability`` again; after ``soft_end_s`` of it speech may have ended, after ``end_s`` it has.
    """

    speech_probability: float = 0.5
    silence_probability: float = 0.35
    start_s: float = 0.064
    soft_end_s: float = 0.3
    end_s: float = 0.8

    def __post_init__(self) -> None:
        check_range("speech_probability", self.speech_probability, 0, 1)
        check_range("silence_probability", self.silence_probability, 0, self.speech_probability)
        check_range("start_s", self.start_s, 0, 10)
        check_range("end_s", self.end_s, WINDOW_S, 60)
        check_range("soft_end_s", self.soft_end_s, 0, self.end_s)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Speech that began, may have ended (`soft_end`) or has ended (`end`) at ``at_s``, which was known at ``known_s``.

    Both are stream seconds. ``at_s`` is the border of the first or last window of speech; add your own padding.
    After a `soft_end` the same speech may go on; it then has another `soft_end` or its `end` later.
    """

    kind: Literal["start", "soft_end", "end"]
    at_s: float
    known_s: float


class Endpointer:
    """Turns speech probabilities into starts and ends, window by window, so the cut does not matter.

    ``origin_s`` is the stream time of the first window: begin a new one after a gap.
    """

    def __init__(self, options: EndpointOptions | None = None, origin_s: float = 0.0) -> None:
        self._options = options or EndpointOptions()
        self._origin_s = origin_s
        self._windows = 0
        self._started_s: float | None = None  # where the windows that may become speech began
        self._silent_since_s: float | None = origin_s
        self._soft_end_told = False
        self.speaking = False

    @property
    def heard_s(self) -> float:
        """Stream time up to which the stream was heard."""
        return self._origin_s + self._windows * WINDOW_S

    @property
    def silence_s(self) -> float:
        """Length of the silence so far; 0 while somebody speaks."""
        return 0.0 if self._silent_since_s is None else self.heard_s - self._silent_since_s

    def hear(self, probabilities: Iterable[float] | NDArray[np.float32]) -> list[Endpoint]:
        """Take the next windows; gives what begins and ends in them, in order."""
        return [endpoint for probability in probabilities for endpoint in self._window(float(probability))]

    def _window(self, probability: float) -> list[Endpoint]:
        begin_s = self.heard_s
        self._windows += 1
        return self._while_speaking(probability, begin_s) if self.speaking else self._while_silent(probability, begin_s)

    def _while_silent(self, probability: float, begin_s: float) -> list[Endpoint]:
        if probability < self._options.speech_probability:
            self._started_s = None
            return []
        start_s = self._started_s = begin_s if self._started_s is None else self._started_s
        if self.heard_s - start_s < self._options.start_s - WINDOW_S / 2:
            return []
        self.speaking, self._started_s, self._silent_since_s, self._soft_end_told = True, None, None, False
        return [Endpoint("start", start_s, self.heard_s)]

    def _while_speaking(self, probability: float, begin_s: float) -> list[Endpoint]:
        if probability >= self._options.speech_probability:
            self._silent_since_s, self._soft_end_told = None, False
            return []
        if self._silent_since_s is None and probability < self._options.silence_probability:
            self._silent_since_s = begin_s
        if self._silent_since_s is None:
            return []
        told = []
        if not self._soft_end_told and self.silence_s >= self._options.soft_end_s:
            self._soft_end_told = True
            told.append(Endpoint("soft_end", self._silent_since_s, self.heard_s))
        if self.silence_s >= self._options.end_s:
            self.speaking = False
            told.append(Endpoint("end", self._silent_since_s, self.heard_s))
        return told
