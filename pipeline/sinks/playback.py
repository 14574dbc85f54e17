"""The queue of a speaker: speech without clicks, and the original voice under it."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from pipeline.audio.mixer import limited
from pipeline.events import Samples

PREBUFFER_S = 0.12  # a unit begins when this much of it, or all of it, is there
FADE_S = 0.005
ORIGINAL_S = 1.0  # the original is live: what could not be played for so long is old


class Playback:
    """Speech and original voice in, blocks for the device out; safe to use from both threads.

    Speech that stops coming in the middle of a unit is faded out, counted in ``underruns``, and goes on, faded in, when
    `PREBUFFER_S` of it is there again.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.underruns = 0
        self._lock = threading.Lock()
        self._fade = round(FADE_S * sample_rate)
        self.restart()

    def restart(self) -> None:
        """Drop everything that waits and begin from silence: the device is another one."""
        self.clear()
        self._level = np.float32(0)  # the last sample played, to fade from

    def clear(self) -> None:
        """Drop everything that waits; what is playing fades out."""
        with self._lock:
            self._speech: deque[tuple[Samples, bool]] = deque()  # samples, and whether their unit ends with them
            self._original: deque[Samples] = deque()
            self._queued = self._original_queued = 0
            self._ends = 0  # units whose end is in the queue
            self._playing = self._resuming = False

    @property
    def seconds(self) -> float:
        """Seconds of speech that wait."""
        return self._queued / self.sample_rate

    def add(self, samples: Samples, last: bool) -> None:
        """Queue speech; ``last`` ends its unit."""
        with self._lock:
            self._speech.append((samples, last))
            self._queued += len(samples)
            self._ends += last

    def hear(self, samples: Samples) -> None:
        """Queue the original voice; the oldest beyond `ORIGINAL_S` is dropped."""
        with self._lock:
            self._original.append(samples)
            self._original_queued += len(samples)
            while self._original_queued > ORIGINAL_S * self.sample_rate and len(self._original) > 1:
                self._original_queued -= len(self._original.popleft())

    def take(self, length: int) -> Samples:
        """Take the next ``length`` samples, silence where nothing is to be said."""
        with self._lock:
            speech = self._next_speech(length)
            return limited(speech + self._next_original(length)) if self._original_queued else speech

    def _next_speech(self, length: int) -> Samples:
        block = np.zeros(length, np.float32)
        filled = 0
        while filled < length and self._may_play():
            samples, last = self._speech.popleft()
            piece, rest = samples[: length - filled], samples[length - filled :]
            block[filled : filled + len(piece)] = self._faded_in(piece)
            filled += len(piece)
            self._queued -= len(piece)
            if len(rest):
                self._speech.appendleft((rest, last))
            elif last:
                self._ends -= 1
                self._playing = False
        self._fade_out(block, filled)
        return block

    def _may_play(self) -> bool:
        """Tell if the unit goes on, or another one, or the rest of this one, has come in far enough to begin."""
        if self._playing and not self._speech:
            self.underruns += 1
            self._playing, self._resuming = False, True
        elif not self._playing and self._speech:
            self._playing = self._ends > 0 or self.seconds >= PREBUFFER_S
        return self._playing

    def _faded_in(self, piece: Samples) -> Samples:
        if not self._resuming or not len(piece):
            return piece
        self._resuming = False
        ramp = np.minimum(1, np.arange(len(piece), dtype=np.float32) / self._fade)
        return piece * ramp

    def _fade_out(self, block: Samples, filled: int) -> None:
        """Fade from the last sample to silence in `FADE_S`, so that an end never clicks."""
        level = block[filled - 1] if filled else self._level
        if filled < len(block) and level:
            ramp = level * np.linspace(1, 0, self._fade + 1, dtype=np.float32)[1:]
            space = block[filled : filled + self._fade]
            space += ramp[: len(space)]
        self._level = block[-1]

    def _next_original(self, length: int) -> Samples:
        block = np.zeros(length, np.float32)
        filled = 0
        while filled < length and self._original:
            samples = self._original.popleft()
            piece, rest = samples[: length - filled], samples[length - filled :]
            block[filled : filled + len(piece)] = piece
            filled += len(piece)
            if len(rest):
                self._original.appendleft(rest)
        self._original_queued -= filled
        return block
