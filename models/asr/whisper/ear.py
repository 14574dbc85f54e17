"""The audio that has arrived: in pieces of 32 ms, each judged for voice; the last moments are kept for a late onset."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.asr.vad import WINDOW_S, WINDOW_SAMPLES, Endpoint, Endpointer, EndpointOptions
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.voice import VoiceActivity
from pipeline.events import Samples


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """512 samples from ``start_sample`` on (the last piece of a stream: fewer), and the probability of speech."""

    samples: Samples
    start_sample: int
    voice: float


class Ear:
    """One stream's audio, in order. Positions are samples since stream time 0."""

    def __init__(self, voice: Callable[[], VoiceActivity], options: EndpointOptions, padding_s: float) -> None:
        self._new_voice = voice
        self._options = options
        kept = round((padding_s + options.start_s) / WINDOW_S) + 1
        self.recent: deque[Piece] = deque(maxlen=kept)
        self.restart(0)

    def restart(self, sample: int) -> None:
        """Begin anew at ``sample``: after a hole in the audio nothing is known of what was before."""
        self.position = sample
        self._arrived = np.zeros(0, np.float32)
        self._read = 0
        self._voice = self._new_voice()
        self._endpointer = Endpointer(self._options, sample / SAMPLE_RATE)
        self.recent.clear()

    @property
    def waiting(self) -> int:
        """Samples that no piece was made of yet."""
        return len(self._arrived) - self._read

    @property
    def silence_s(self) -> float:
        """How long it has been silent; 0 while somebody speaks."""
        return self._endpointer.silence_s

    def feed(self, samples: Samples) -> None:
        """Take the next samples."""
        self._arrived = np.concatenate([self._arrived[self._read :], samples])
        self._read = 0

    def listen(self) -> tuple[Piece, list[Endpoint]] | None:
        """The next piece and what begins or ends in it; None: more audio is needed."""
        if self.waiting < WINDOW_SAMPLES:
            return None
        piece = self._take(WINDOW_SAMPLES)
        endpoints = self._endpointer.hear([piece.voice])
        self.recent.append(piece)
        return piece, endpoints

    def rest(self) -> Piece:
        """What is left at the end of the stream, shorter than a piece."""
        return self._take(self.waiting)

    def skip(self, samples: int) -> None:
        """Leave out the next samples."""
        kept = self._arrived[self._read + samples :]
        self.restart(self.position + samples)
        self._arrived = kept.copy()

    def _take(self, count: int) -> Piece:
        samples = self._arrived[self._read : self._read + count]
        voice = self._voice.probabilities(samples)
        piece = Piece(samples, self.position, float(voice[0]) if len(voice) else 0.0)
        self._read += count
        self.position += count
        return piece
