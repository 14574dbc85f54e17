"""Several channels as one: a weighted mix, or the louder channel where the channels cancel each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

WEIGHTS = {"FC": 1.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}
"""Weights of channels in a mix (ITU-R BS.775): the center carries the speech of films; others have 0.5."""

CANCELLED, RESTORED = 0.1, 0.3  # power of the mix as a share of what it would be if its channels were independent
SILENT_POWER = 1e-9  # -90 dB: nothing to judge by
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
        if independent < SILENT_POWER:
            return
        if self._chosen is None and self._mixed < CANCELLED * independent:
            self._chosen = int(np.argmax(self._powers * (weights > 0)))
        elif self._mixed > RESTORED * independent:
            self._chosen = None
