"""Whisper's log-mel spectrogram of a window that grows at its end and is cut at its beginning.

Computing it anew for every update costs as much as a GPU encoder; here each frame is computed once. The numbers are those
of faster-whisper's ``FeatureExtractor`` (Radford et al. 2023, section 2.2) on the same samples, to 1e-6.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples

SAMPLE_RATE = 16_000
FFT_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms, so 100 frames a second
EDGE_SAMPLES = FFT_SAMPLES // 2  # a frame is centered on its first hop sample
DYNAMIC_RANGE = 8.0  # log10 units below the loudest frame of the window

Spectrogram = NDArray[np.float32]
"""Log-mel features [n_mels, frames]."""


class LogMel:
    """The features of the samples pushed so far, less the frames trimmed."""

    def __init__(self, n_mels: int) -> None:
        self._filters = mel_filters(n_mels)
        self._hann = np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)
        self._powers = np.zeros((n_mels, 0), np.float32)  # log10, before the range limit
        self._waiting: list[Samples] = []
        self._rest = np.zeros(0, np.float32)  # begins EDGE_SAMPLES before the next frame's center
        self._begun = False

    def push(self, samples: Samples) -> None:
        """Take the next samples float32 [n]; nothing is computed until `matrix`."""
        self._waiting.append(samples)

    def trim(self, frames: int) -> None:
        """Forget the first ``frames`` frames."""
        self._advance()
        self._powers = self._powers[:, frames:].copy()

    def matrix(self) -> Spectrogram:
        """Compute the features [n_mels, frames], the end seen as if silence followed."""
        self._advance()
        if not self._begun:
            return np.zeros((len(self._powers), 0), np.float32)
        tail = self._frames(np.pad(self._rest, (0, EDGE_SAMPLES)))
        powers = np.concatenate([self._powers, tail], axis=1)
        limited: Spectrogram = (np.maximum(powers, powers.max() - DYNAMIC_RANGE) + 4.0) / 4.0
        return limited

    def _advance(self) -> None:
        """Compute the frames that the samples in hand complete."""
        self._rest = np.concatenate([self._rest, *self._waiting])
        self._waiting.clear()
        if not self._begun:
            if len(self._rest) <= EDGE_SAMPLES:
                return
            mirrored = self._rest[1 : EDGE_SAMPLES + 1][::-1]
            self._rest = np.concatenate([mirrored, self._rest])
            self._begun = True
        frames = self._frames(self._rest)
        self._powers = np.concatenate([self._powers, frames], axis=1)
        self._rest = self._rest[frames.shape[1] * HOP_SAMPLES :].copy()

    def _frames(self, samples: Samples) -> Spectrogram:
        count = max(0, (len(samples) - FFT_SAMPLES) // HOP_SAMPLES + 1)
        if not count:
            return np.zeros((len(self._powers), 0), np.float32)
        pieces = np.lib.stride_tricks.sliding_window_view(samples, FFT_SAMPLES)[::HOP_SAMPLES][:count]
        magnitudes = np.abs(np.fft.rfft(pieces * self._hann, axis=1)).astype(np.float32) ** 2
        powers: Spectrogram = np.log10(np.maximum(self._filters @ magnitudes.T, 1e-10))
        return powers


@cache
def mel_filters(n_mels: int) -> Spectrogram:
    """Return the triangular filters [n_mels, frequencies] of equal area on Slaney's mel scale (Auditory Toolbox, 1998)."""
    from faster_whisper.feature_extractor import FeatureExtractor

    filters: Spectrogram = FeatureExtractor.get_mel_filters(SAMPLE_RATE, FFT_SAMPLES, n_mels).astype(np.float32)
    return filters
