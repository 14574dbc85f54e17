import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.stretch import Stretch

RATE_HZ = 24_000


def voice(seconds=1.0, pitch_hz=110.0):
    """A buzz with the harmonics, the vibrato and the loudness changes of a voice."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (pitch_hz * time + 0.3 * np.sin(2 * np.pi * 5 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * buzz * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def stretched(pieces, rate):
    stretch = Stretch(RATE_HZ)
    return np.concatenate([*[stretch.process(piece, rate) for piece in pieces], stretch.flush()])


def pitch_hz(samples):
    window = samples * np.hanning(len(samples))
    return np.argmax(np.abs(np.fft.rfft(window, 1 << 19))) * RATE_HZ / (1 << 19)


def test_rate_one_is_exact_and_at_once():
    stretch, samples = Stretch(RATE_HZ), voice()
    assert stretch.process(samples, 1.0) is samples
    assert len(stretch.flush()) == 0


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 12_000), max_size=20), rate=st.sampled_from([1.01, 1.2, 1.25, 2.0]))
def test_any_cut_gives_the_whole(cuts, rate):
    samples = voice(0.5)
    np.testing.assert_array_equal(stretched(np.split(samples, sorted(cuts)), rate), stretched([samples], rate))


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 3000), rate=st.floats(1.0, 2.0))
def test_every_length_down_to_nothing_is_exact(length, rate):
    samples = np.full(length, 0.5, np.float32)
    out = stretched([samples], rate)
    assert len(out) == (length if rate == 1 else round(length / rate))
    np.testing.assert_allclose(out, 0.5, atol=1e-6)  # a constant stays one: nothing is faded, doubled or lost


@pytest.mark.parametrize("rate", [1.05, 1.25])
@pytest.mark.parametrize("tone_hz", [80.0, 220.0, 900.0])
def test_the_pitch_stays(tone_hz, rate):
    tone = (0.5 * np.sin(2 * np.pi * tone_hz * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    out = stretched(np.split(tone, 25), rate)
    assert pitch_hz(out) == pytest.approx(tone_hz, rel=0.01)
    assert np.abs(np.diff(out)).max() < 1.2 * np.abs(np.diff(tone)).max()  # no click at any joint


@pytest.mark.parametrize("rate", [1.1, 1.25])
def test_onset_and_end_lie_where_the_rate_puts_them(rate):
    samples = np.concatenate([np.zeros(7000, np.float32), voice(0.8), np.zeros(5000, np.float32)])
    loud = np.flatnonzero(np.abs(stretched(np.array_split(samples, 40), rate)) > 0.02)
    assert loud[0] / RATE_HZ == pytest.approx(7000 / RATE_HZ / rate, abs=0.015)
    assert loud[-1] / RATE_HZ == pytest.approx((len(samples) - 5000) / RATE_HZ / rate, abs=0.015)


def test_first_and_last_sample_are_kept():
    samples = voice(0.3)
    out = stretched([samples], 1.2)
    assert out[0] == samples[0]
    assert out[-1] == samples[-1]


def test_a_unit_has_one_rate_and_the_next_its_own():
    stretch, samples = Stretch(RATE_HZ), voice(0.2)
    stretch.process(samples, 1.2)
    with pytest.raises(ValueError, match="within a unit"):
        stretch.process(samples, 1.1)
    stretch.flush()
    assert len(stretch.process(samples, 1.1)) + len(stretch.flush()) == round(len(samples) / 1.1)
    with pytest.raises(ValueError, match="between"):
        stretch.process(samples, 0.5)


def test_it_runs_at_most_two_hops_behind():
    stretch, made = Stretch(RATE_HZ), 0
    for heard, piece in enumerate(np.split(voice(), 50), start=1):
        made += len(stretch.process(piece, 1.25))
        assert made / RATE_HZ > heard * 0.02 / 1.25 - 0.031
    assert len(stretch._signal) < 0.1 * RATE_HZ  # what cannot be needed is forgotten
