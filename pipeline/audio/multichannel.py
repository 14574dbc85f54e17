"""Several channels: as one, mixed or the louder where they cancel each other; and who speaks, each on one of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from pipeline.diarizing import SpeakerSpan, SpeakerTurns
from pipeline.events import AudioChunk, Samples

WEIGHTS = {"FC": 1.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}
"""Weights of channels in a mix (ITU-R BS.775): the center carries the speech of films; others have 0.5."""

CANCELLED, RESTORED = 0.1, 0.3  # power of the mix as a share of what it would be if its channels were independent
NO_POWER = 1e-9  # -90 dB: nothing to judge by
MEMORY_S = 0.3  # over which powers are averaged


class Downmix:
    """One stream of several channels, mixed to mono.

    Channels of opposite phase, as of a microphone with one wire crossed, leave nothing or only noise in a mix: then the
    louder channel is heard, ``louder`` names it, and the mix returns when the channels no longer cancel.
    """

    def __init__(self) -> None:
        self.louder = ""
        self._chosen: int | None = None
        self._powers: NDArray[np.float64] = np.zeros(0)
        self._mixed = 0.0

    def mix(self, planes: Samples, sample_rate: int, names: Sequence[str]) -> Samples:
        """Mix float32 [channels, n], named as FFmpeg does ("FL"), to [n]."""
        if len(planes) == 1 or not planes.shape[1]:
            return np.asarray(planes[0], np.float32)
        weights: Samples = np.array([WEIGHTS.get(name, 0.5) for name in names], np.float32)
        if not weights.any():
            weights[:] = 1
        weights /= weights.sum()
        mixed = np.asarray(weights @ planes, np.float32)
        self._judge(planes, mixed, weights, sample_rate)
        if self._chosen is None:
            return mixed
        self.louder = self.louder or names[self._chosen]
        return np.asarray(planes[self._chosen], np.float32)

    def _judge(self, planes: Samples, mixed: Samples, weights: Samples, sample_rate: int) -> None:
        """Compare the mix's power with that of its channels, and choose one where they cancel."""
        powers = np.nan_to_num(np.mean(np.square(planes), axis=1, dtype=np.float64), posinf=0)
        power = float(np.nan_to_num(np.mean(np.square(mixed), dtype=np.float64), posinf=0))
        if len(powers) != len(self._powers):
            self._powers, self._mixed, self._chosen = np.zeros(len(powers)), 0.0, None
        new = min(1.0, planes.shape[1] / (MEMORY_S * sample_rate)) if self._powers.any() else 1.0
        self._powers += new * (powers - self._powers)
        self._mixed += new * (power - self._mixed)
        independent = float(np.square(weights) @ self._powers)
        if independent < NO_POWER:
            return
        if self._chosen is None and self._mixed < CANCELLED * independent:
            self._chosen = int(np.argmax(self._powers * (weights > 0)))
        elif self._mixed > RESTORED * independent:
            self._chosen = None


SLOT_S, PIECE_S = 0.1, 0.02
SLOTS = 6000  # ten minutes, more than a source is ahead of who hears it
SILENT_POWER = 1e-6  # -60 dB: nobody speaks
CLEAR = 2.0  # 3 dB: channels that are nearer are one voice that both microphones hear


class ChannelLevels:
    """Powers of a source's channels by slots of 0.1 s, written by the thread that decodes and read by the session.

    It is a `Diarizer`, too: the first channel is speaker "1". A slot has the channel that is louder with its neighbors;
    where none is clearly so, the one before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: deque[NDArray[np.float64]] = deque(maxlen=SLOTS)  # [channels] each
        self._count = 0  # of slots that are over
        self._open: tuple[int, NDArray[np.float64], float] | None = None  # the slot that is being filled: energy, seconds

    def add(self, planes: Samples, sample_rate: int, start_s: float) -> None:
        """Take the next samples [channels, n]."""
        step = max(1, round(PIECE_S * sample_rate))
        for first in range(0, planes.shape[1], step):
            piece = planes[:, first : first + step]
            energy = np.nan_to_num(np.sum(np.square(piece, dtype=np.float64), axis=1)) / sample_rate
            length_s = piece.shape[1] / sample_rate
            self._add(energy, length_s, int((start_s + first / sample_rate + length_s / 2) / SLOT_S))

    def _add(self, energy: NDArray[np.float64], length_s: float, number: int) -> None:
        with self._lock:
            if self._open is not None and (self._open[0] != number or len(self._open[1]) != len(energy)):
                self._finish(number)
            _, before, known_s = self._open or (number, np.zeros(len(energy)), 0.0)
            self._open = number, before + energy, known_s + length_s

    def powers(self, first: int, before: int) -> list[NDArray[np.float64]]:
        """Return the powers of slots [first, before), as far as they are kept; silence for others."""
        with self._lock:
            oldest = self._count - len(self._slots)
            known = range(oldest, self._count)
            return [self._slots[number - oldest] if number in known else np.zeros(1) for number in range(first, before)]

    @asynccontextmanager
    async def open(self, most: int | None, known: Mapping[str, AudioChunk]) -> AsyncIterator[ChannelTurns]:
        """Begin a stream; there are as many speakers as channels, and no voice is known by its sound."""
        yield ChannelTurns(self)

    def _finish(self, number: int) -> None:
        """Close the slot that was being filled; slots without samples are silent."""
        assert self._open is not None
        at, energy, length_s = self._open
        self._slots.extend([np.zeros(1)] * min(SLOTS, at - self._count))
        self._slots.append(energy / length_s)
        self._slots.extend([np.zeros(1)] * min(SLOTS, max(0, number - at - 1)))
        self._count = max(at + 1, number)
        self._open = None


class ChannelTurns:
    """One session's reading of the levels; satisfies `pipeline.diarizing.Diarizing`."""

    def __init__(self, levels: ChannelLevels) -> None:
        self._levels = levels
        self._given = 0  # slots
        self._channel = 0

    async def hear(self, audio: AudioChunk) -> SpeakerTurns:
        """Give the channels that were heard up to a slot before the end of the audio."""
        return self._until(max(self._given, int(audio.end / SLOT_S) - 2))

    async def finish(self) -> SpeakerTurns:
        """Do nothing: what is left has the channel that spoke last."""
        return SpeakerTurns((), self._given * SLOT_S)

    def _until(self, before: int) -> SpeakerTurns:
        powers = self._levels.powers(self._given - 1, before + 1)
        spans: list[SpeakerSpan] = []
        for number, near in enumerate(zip(powers, powers[1:], powers[2:], strict=False), self._given):
            self._channel = louder(near, self._channel)
            spans.append(SpeakerSpan(number * SLOT_S, (number + 1) * SLOT_S, str(self._channel + 1)))
        self._given = before
        return SpeakerTurns(tuple(spans), before * SLOT_S)


def louder(powers: tuple[NDArray[np.float64], ...], before: int) -> int:
    """Choose the channel that is clearly louder than all others, else the one before."""
    total = np.zeros(max(map(len, powers)))
    for one in powers:
        total[: len(one)] += one
    order = np.argsort(total)
    if total[order[-1]] < SILENT_POWER or (len(order) > 1 and total[order[-1]] < CLEAR * total[order[-2]]):
        return before
    return int(order[-1])
