"""Faster or slower speech at the same pitch, as a stream.

WSOLA (Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity"): output blocks of 15 ms are
taken from the input at ``rate`` times their place, each moved by up to 10 ms to where it goes on best from the block before
it, and cross-faded into it. python-stretch is not used because it begins anew at every call, so its pieces do not join.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

_BLOCK_S = 0.015
_SEARCH_S = 0.010  # more than half a period of a low voice (80 Hz)
_HOME = 1e-3  # of correlation lost at the ends of the search: of equals, the nearest place wins


class Stretch:
    """One stream of mono speech, played at ``rate`` times its speed, about 45 ms behind.

    All output together has round(n / rate) samples for n samples of input, and does not depend on how the input is cut.
    At rate 1 it is the input itself, at once.
    """

    def __init__(self, rate: float, sample_rate: int) -> None:
        self._rate = rate
        self._block = round(_BLOCK_S * sample_rate)
        self._search = round(_SEARCH_S * sample_rate)
        self._fade_in = (0.5 - 0.5 * np.cos(np.pi * (np.arange(self._block) + 0.5) / self._block)).astype(np.float32)
        self._input = np.zeros(0, np.float32)
        self._dropped = 0  # samples of input before `_input`
        self._blocks = 0  # that were given
        self._next = 0  # the place in the input at which the last block would go on

    def push(self, samples: Samples, last: bool = False) -> Samples:
        """Take the next samples; give what can be played, float32 [n], and after the ``last`` all that is left."""
        if self._rate == 1.0:
            return samples
        self._input = np.concatenate([self._input, samples])
        end = self._dropped + len(self._input)
        total = round(end / self._rate)
        blocks = []
        while last and self._blocks * self._block < total or self._needed() <= end:
            size = min(self._block, total - self._blocks * self._block) if last else self._block
            blocks.append(self._take(size, end))
        self._drop()
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def _home(self) -> int:
        return round(self._blocks * self._block * self._rate)

    def _needed(self) -> int:
        """Give the length of input from which on the next block does not depend on where the input ends."""
        return self._home() + self._search + self._block + round(self._block * max(1.0, self._rate))

    def _take(self, size: int, end: int) -> Samples:
        """Give the next block, of ``size``: where the input goes on, faded into the place that is most like it."""
        begin = self._place(min(self._home() + self._search, end - size)) if self._blocks else 0
        faded = self._fade_in[:size] if self._blocks else np.ones(size, np.float32)
        block = self._at(begin, size) * faded + self._at(self._next, size) * (1 - faded)
        self._next = begin + self._block
        self._blocks += 1
        return block

    def _place(self, latest: int) -> int:
        """Find the place up to ``latest`` whose block is most like what would follow the last one."""
        home = self._home()
        first = max(0, home - self._search)
        if latest <= first:
            return max(0, latest)
        wanted = self._at(self._next, self._block).astype(np.float64)
        heard = self._at(first, latest - first + self._block).astype(np.float64)
        powers = np.concatenate([np.zeros(1), np.cumsum(heard**2)])
        power = powers[self._block :] - powers[: -self._block]
        likeness = np.correlate(heard, wanted) / np.sqrt(power * (wanted @ wanted) + 1e-9)
        away = np.abs(np.arange(first, latest + 1) - home) / self._search
        return first + int(np.argmax(likeness - _HOME * away))

    def _at(self, begin: int, size: int) -> NDArray[np.float32]:
        """Give ``size`` samples of the input from ``begin`` on, zeros behind its end."""
        piece = self._input[begin - self._dropped : begin - self._dropped + size]
        return piece if len(piece) == size else np.concatenate([piece, np.zeros(size - len(piece), np.float32)])

    def _drop(self) -> None:
        """Forget the input that no later block looks at."""
        keep = max(0, min(self._next, self._home() - self._search))
        self._input = self._input[keep - self._dropped :]
        self._dropped = keep


def stretched(samples: Samples, rate: float, sample_rate: int) -> Samples:
    """Play mono float32 [n] at ``rate`` times its speed: [n / rate], pitch unchanged."""
    return Stretch(rate, sample_rate).push(samples, last=True)
