"""Audio that has arrived: in pieces of 32 ms, each judged for voice; the last moments are kept for a late onset."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.asr.vad import (
    WINDOW_S,
    WINDOW_SAMPLES,
    Endpoint,
    Endpointer,
    EndpointOptions,
    NoiseFloor,
    SpeechDetector,
    level_of,
)
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.window import VOICED
from pipeline.events import Fault, Samples

RISE_DB = 6.0  # above the noise: sound before an onset that belongs to it
LONGEST_DIP = 3  # quiet pieces inside a sound, such as the closure of a plosive
QUIET_DB = -55.0
JUDGED_PIECES = 94  # of voice, 3 s, before its level is judged


@dataclass(frozen=True, slots=True, eq=False)
class AudioPiece:
    """512 samples from ``start_sample`` on (the last piece of a stream: fewer), the probability of speech, the level."""

    samples: Samples
    start_sample: int
    voice: float
    level_db: float


class VoicedAudioBuffer:
    """One stream's audio, in order. Positions are samples since stream time 0.

    An onset is heard from ``padding_s`` before it, and up to ``reach_s`` more while the sound is louder than the noise:
    speech detectors are late on soft beginnings. ``notices`` tells of speech that is very quiet, once.
    """

    def __init__(
        self, detector: Callable[[], SpeechDetector], options: EndpointOptions, padding_s: float, reach_s: float
    ) -> None:
        self._new_detector = detector
        self._options = options
        self._padding = round((padding_s + options.start_s) / WINDOW_S) + 1
        self._recent: deque[AudioPiece] = deque(maxlen=self._padding + round(reach_s / WINDOW_S))
        self._voiced_pieces, self._voiced_power = 0, 0.0
        self.notices: list[Fault] = []
        self.restart(0)

    def restart(self, sample: int) -> None:
        """Begin anew at ``sample``: after a hole in the audio nothing is known of what was before."""
        self.position = sample
        self._arrived = np.zeros(0, np.float32)
        self._read = 0
        self._detector = self._new_detector()
        self._noise = NoiseFloor()
        self._endpointer = Endpointer(self._options, sample / SAMPLE_RATE)
        self._recent.clear()

    @property
    def waiting(self) -> int:
        """Samples that no piece was made of yet."""
        return len(self._arrived) - self._read

    @property
    def silence_s(self) -> float:
        """Length of the silence so far; 0 while somebody speaks."""
        return self._endpointer.silence_s

    def feed(self, samples: Samples) -> None:
        """Take the next samples."""
        self._arrived = np.concatenate([self._arrived[self._read :], samples])
        self._read = 0

    def listen(self) -> tuple[AudioPiece, list[Endpoint]] | None:
        """Return the next piece and what begins or ends in it; None: more audio is needed."""
        if self.waiting < WINDOW_SAMPLES:
            return None
        piece = self._take(WINDOW_SAMPLES)
        endpoints = self._endpointer.hear([piece.voice])
        self._noise.hear(piece.level_db)
        self._recent.append(piece)
        self._judge(piece)
        return piece, endpoints

    def onset(self) -> list[AudioPiece]:
        """Return the newest pieces, from a little before the onset that was just found."""
        pieces = list(self._recent)
        begin = max(0, len(pieces) - self._padding)
        for index in range(begin - 1, -1, -1):
            if pieces[index].level_db > self._noise.level_db + RISE_DB:
                begin = index
            elif begin - index > LONGEST_DIP:
                break
        return pieces[begin:]

    def rest(self) -> AudioPiece:
        """Give what is left at the end of the stream, shorter than a piece."""
        return self._take(self.waiting)

    def skip(self, samples: int) -> None:
        """Leave out the next samples."""
        kept = self._arrived[self._read + samples :]
        self.restart(self.position + samples)
        self._arrived = kept.copy()

    def _take(self, count: int) -> AudioPiece:
        samples = self._arrived[self._read : self._read + count]
        voice = self._detector.probabilities(samples)
        piece = AudioPiece(samples, self.position, float(voice[0]) if len(voice) else 0.0, level_of(samples))
        self._read += count
        self.position += count
        return piece

    def _judge(self, piece: AudioPiece) -> None:
        """Tell, once enough was heard, if the speech is so quiet that words will be missed."""
        if piece.voice < VOICED or self._voiced_pieces >= JUDGED_PIECES:
            return
        self._voiced_pieces += 1
        self._voiced_power += 10 ** (piece.level_db / 10) / JUDGED_PIECES
        level_db = 10 * np.log10(self._voiced_power + 1e-12)
        if self._voiced_pieces == JUDGED_PIECES and level_db < QUIET_DB:
            message = f"the speech is very quiet ({level_db:.0f} dB below full scale): words may be missed; raise the gain"
            self.notices.append(Fault("recognize", message, fatal=False))
