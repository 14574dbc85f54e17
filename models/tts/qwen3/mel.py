"""The log-mel spectrogram that the speaker encoder hears."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_WINDOW = 1024  # samples, 43 ms at 24 kHz
_HOP = 256
_HIGHEST_HZ = 12000.0
_FLOOR = 1e-5
_LINEAR_HZ = 200 / 3  # Slaney's scale: linear below 1 kHz at 200/3 Hz a mel, logarithmic above
_BREAK_HZ = 1000.0
_STEP = math.log(6.4) / 27


def log_mel(samples: Tensor, sample_rate: int, bins: int) -> Tensor:
    """Log-mel energies [frames, bins] of ``samples`` float32 [n]: Hann window, reflected edges, Slaney's filters."""
    margin = (_WINDOW - _HOP) // 2
    padded = functional.pad(samples[None, None], (margin, margin), mode="reflect")[0, 0]
    window = torch.hann_window(_WINDOW, device=samples.device)
    spectrum = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).square().sum(-1) + 1e-9)
    filters = mel_filters(sample_rate, bins).to(samples.device)
    return torch.log((filters @ magnitude).clamp(min=_FLOOR)).T


def mel_filters(sample_rate: int, bins: int) -> Tensor:
    """Triangular filters of equal area [bins, frequencies] on Slaney's mel scale (Auditory Toolbox, 1998)."""
    frequencies = torch.linspace(0, sample_rate / 2, _WINDOW // 2 + 1, dtype=torch.float64)
    edges = _hz(torch.linspace(0, _mel(_HIGHEST_HZ), bins + 2, dtype=torch.float64))
    slopes = edges.unsqueeze(1) - frequencies
    widths = edges.diff().unsqueeze(1)
    rising, falling = -slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2])).unsqueeze(1)).float()


def _mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_HZ / _LINEAR_HZ + math.log(hz / _BREAK_HZ) / _STEP


def _hz(mels: Tensor) -> Tensor:
    at_break = _BREAK_HZ / _LINEAR_HZ
    return torch.where(mels < at_break, mels * _LINEAR_HZ, _BREAK_HZ * torch.exp(_STEP * (mels - at_break)))
