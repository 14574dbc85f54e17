"""Faster speech at the same pitch: WSOLA (Verhelst and Roelands, ICASSP 1993), streaming.

Time is squeezed by skipping a little of the signal every `HOP_S` and crossfading to the place, within `SEEK_S` of where the
rate says, that looks most like what would have come next: whole pitch periods go, and the pitch stays.

Not Signalsmith Stretch: its Python binding (python-stretch 0.3.1) resets the processor at every call of ``process``, so the
chunks of a stream do not join and low tones change their pitch; fed whole, speech would wait for the end of its unit.
"""

from __future__ import annotations

import numpy as np

from pipeline.events import Samples

HOP_S = 0.015  # a period of the deepest voices (67 Hz): the piece that is crossfaded and compared
SEEK_S = 0.008  # to either side: one period of a 62 Hz voice in all
SLOWEST, FASTEST = 1.0, 2.0


class Stretch:
    """Stretches one unit of speech after the other; a unit begins with `process` and ends with `flush`.

    At rate 1.0 samples pass untouched and at once. Otherwise the output runs 2 hops (30 ms) behind the input, is in all
    exactly ``len / rate`` long, begins with the unit's first sample and ends with its last. However a unit is cut, its
    output is that of the whole.
    """

    def __init__(self, sample_rate: int) -> None:
        self._hop = max(1, round(HOP_S * sample_rate))
        self._seek = max(1, round(SEEK_S * sample_rate))
        self._fade_in = (0.5 - 0.5 * np.cos(np.pi * (np.arange(self._hop) + 0.5) / self._hop)).astype(np.float32)
        self._begin()

    def _begin(self) -> None:
        self._rate = 0.0  # unknown until the unit begins
        self._signal = np.zeros(0, np.float32)  # the input from sample ``_dropped`` on
        self._dropped = 0
        self._next = 0  # input sample that would follow the last one played
        self._made = 0  # output samples so far

    def process(self, samples: Samples, rate: float) -> Samples:
        """What can be given so far of mono float32 [n] at ``rate`` (1 to 2), which must not change within a unit."""
        if not SLOWEST <= rate <= FASTEST:
            raise ValueError(f"the rate must be between {SLOWEST} and {FASTEST}, not {rate}")
        if self._rate not in (0.0, rate):
            raise ValueError(f"the rate changed from {self._rate} to {rate} within a unit")
        self._rate = rate
        if rate == 1.0:
            return samples
        self._signal = np.concatenate([self._signal, samples])
        return self._hops()

    def flush(self) -> Samples:
        """The rest of the unit; the next `process` begins another one."""
        rest = self._last_piece() if self._rate > 1.0 else np.zeros(0, np.float32)
        self._begin()
        return rest

    def _hops(self) -> Samples:
        """All hops whose input is there; two hops are left for the end, whatever comes."""
        pieces = [np.zeros(0, np.float32)]
        while (self._made + 2 * self._hop) * self._rate <= self._dropped + len(self._signal):
            pieces.append(self._one_hop(round(self._made * self._rate)))
        self._forget()
        return np.concatenate(pieces)

    def _one_hop(self, wanted: int) -> Samples:
        """Crossfade from what would follow to the most similar place near input sample ``wanted``."""
        following = self._piece(self._next, self._hop)
        first = max(self._dropped, wanted - self._seek) if self._made else 0
        last = wanted + self._seek if self._made else 0
        candidates = self._piece(first, last - first + self._hop)
        place = first + _most_similar(following, candidates)
        chosen = self._piece(place, self._hop)
        self._next = place + self._hop
        self._made += self._hop
        return following + self._fade_in * (chosen - following)

    def _last_piece(self) -> Samples:
        """One to two hops that crossfade into the very end of the input."""
        heard = self._dropped + len(self._signal)
        length = round(heard / self._rate) - self._made
        following = self._piece(self._next, length)
        ending = self._piece(heard - length, length)
        return following + np.linspace(0, 1, length, dtype=np.float32) * (ending - following)

    def _piece(self, start: int, length: int) -> Samples:
        """``length`` samples of the input from ``start``, with silence after its end."""
        begin = start - self._dropped
        piece = self._signal[begin : begin + length]
        return np.pad(piece, (0, length - len(piece)))

    def _forget(self) -> None:
        """Drop input that no later hop can reach."""
        reach = min(self._next, round(self._made * self._rate) - self._seek) - self._dropped
        reach = min(reach, len(self._signal) - 3 * self._hop)
        if reach > 0:
            self._signal = self._signal[reach:]
            self._dropped += reach


def _most_similar(pattern: Samples, candidates: Samples) -> int:
    """Where in ``candidates`` [m ≥ n] the normalized correlation with ``pattern`` [n] is greatest."""
    if len(candidates) == len(pattern):
        return 0
    products = np.correlate(candidates, pattern, "valid")
    energy = np.cumsum(np.concatenate([[0.0], candidates.astype(np.float64) ** 2]))
    energies = energy[len(pattern) :] - energy[: -len(pattern)]
    return int(np.argmax(products / np.sqrt(np.maximum(energies, 1e-9))))
