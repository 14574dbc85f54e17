"""Stretching: the length the rate asks for, the pitch it had, nothing lost at either end, and stream == whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.stretch import Stretch, stretched

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
@given(length=st.integers(0, 100) | st.integers(0, 6000), rate=st.floats(0.9, 2.0))
def test_every_length_down_to_nothing_has_its_length(length: int, rate: float) -> None:
    out = stretched(np.full(length, 0.5, np.float32), rate, RATE_HZ)
    assert abs(len(out) - length / rate) <= 1
    assert np.isfinite(out).all()
    assert out.dtype == np.float32


@pytest.mark.parametrize("rate", [0.92, 1.05, 1.25])
@pytest.mark.parametrize("tone_hz", [80.0, 220.0, 900.0])
def test_the_pitch_stays(tone_hz: float, rate: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * tone_hz * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    assert pitch_hz(stretched(tone, rate, RATE_HZ)) == pytest.approx(tone_hz, rel=0.01)


@pytest.mark.parametrize("rate", [0.92, 1.1, 1.25])
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


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, RATE_HZ), max_size=12),
    length=st.integers(0, RATE_HZ),
    rate=st.sampled_from([0.8, 1.0, 1.05, 1.13, 1.25, 3.7]),
)
def test_the_stream_is_the_whole_however_it_is_cut(cuts: list[int], length: int, rate: float) -> None:
    samples = voice()[:length]
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    stream = Stretch(rate, RATE_HZ)
    pieces = [stream.push(samples[begin:end]) for begin, end in pairwise(edges)]
    out = np.concatenate([*pieces, stream.push(samples[:0], last=True)])
    np.testing.assert_array_equal(out, stretched(samples, rate, RATE_HZ))
    assert len(out) == round(length / rate)


def test_a_stream_is_less_than_fifty_milliseconds_behind_and_keeps_no_more_than_it_needs() -> None:
    samples, stream = voice(3.0), Stretch(1.25, RATE_HZ)
    given = heard = 0
    for begin in range(0, len(samples), 240):
        given += len(stream.push(samples[begin : begin + 240]))
        heard = begin + 240
        assert given >= (heard - 0.05 * RATE_HZ) / 1.25 - 0.015 * RATE_HZ
        assert len(stream._input) < 0.08 * RATE_HZ
    assert given <= heard / 1.25


@pytest.mark.parametrize("rate", [0.8, 1.1, 1.25])
def test_blocks_join_without_a_jump(rate: float) -> None:
    """As smooth as the voice itself, which a cut at a wrong place is not."""
    samples = voice(2.0)
    steepest = np.abs(np.diff(samples)).max()
    assert np.abs(np.diff(stretched(samples, rate, RATE_HZ))).max() < 1.1 * steepest


def test_rate_one_passes_every_piece_on_at_once() -> None:
    stream, samples = Stretch(1.0, RATE_HZ), voice(0.1)
    assert stream.push(samples) is samples
