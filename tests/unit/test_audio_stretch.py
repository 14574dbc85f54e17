"""Stretching: the length the rate asks for, the pitch it had, nothing lost at either end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.stretch import stretched

RATE_HZ = 24_000


def voice(seconds: float = 1.0, pitch_hz: float = 110.0) -> np.ndarray:
    """A buzz with the harmonics, the vibrato and the loudness changes of a voice."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (pitch_hz * time + 0.3 * np.sin(2 * np.pi * 5 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * buzz * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def pitch_hz(samples: np.ndarray) -> float:
    window = samples * np.hanning(len(samples))
    return float(np.argmax(np.abs(np.fft.rfft(window, 1 << 19))) * RATE_HZ / (1 << 19))


def test_rate_one_is_exact() -> None:
    samples = voice()
    assert stretched(samples, 1.0, RATE_HZ) is samples


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 100) | st.integers(0, 6000), rate=st.floats(1.0, 2.0))
def test_every_length_down_to_nothing_has_its_length(length: int, rate: float) -> None:
    out = stretched(np.full(length, 0.5, np.float32), rate, RATE_HZ)
    assert abs(len(out) - length / rate) <= 1
    assert np.isfinite(out).all()
    assert out.dtype == np.float32


@pytest.mark.parametrize("rate", [1.05, 1.25])
@pytest.mark.parametrize("tone_hz", [80.0, 220.0, 900.0])
def test_the_pitch_stays(tone_hz: float, rate: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * tone_hz * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    assert pitch_hz(stretched(tone, rate, RATE_HZ)) == pytest.approx(tone_hz, rel=0.01)


@pytest.mark.parametrize("rate", [1.1, 1.25])
def test_onset_and_end_lie_where_the_rate_puts_them(rate: float) -> None:
    samples = np.concatenate([np.zeros(7000, np.float32), voice(0.8), np.zeros(5000, np.float32)])
    loud = np.flatnonzero(np.abs(stretched(samples, rate, RATE_HZ)) > 0.04)
    assert loud[0] / RATE_HZ == pytest.approx(7000 / RATE_HZ / rate, abs=0.03)
    assert loud[-1] / RATE_HZ == pytest.approx((len(samples) - 5000) / RATE_HZ / rate, abs=0.03)


def test_what_stands_at_the_very_ends_is_not_lost() -> None:
    samples = voice(1.0)
    out = stretched(samples, 1.2, RATE_HZ)
    edge = RATE_HZ // 25
    for part, whole in ((out[:edge], samples[:edge]), (out[-edge:], samples[-edge:])):
        assert np.sqrt(np.mean(part**2)) > 0.3 * np.sqrt(np.mean(whole**2))
