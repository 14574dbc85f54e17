import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sinks.playback import FADE_S, PREBUFFER_S, Playback

RATE_HZ = 1000
BLOCK = 20


def level(length, value=0.5):
    return np.full(length, value, np.float32)


def blocks(playback, count):
    return np.concatenate([playback.take(BLOCK) for _ in range(count)])


def test_a_unit_begins_when_enough_of_it_is_there():
    playback = Playback(RATE_HZ)
    playback.add(level(round(PREBUFFER_S * RATE_HZ) - 1), last=False)
    assert not blocks(playback, 3).any()
    playback.add(level(1), last=False)
    assert blocks(playback, 3).all()


def test_a_short_unit_begins_when_it_is_whole():
    playback = Playback(RATE_HZ)
    playback.add(level(20), last=False)
    assert not playback.take(BLOCK).any()
    playback.add(level(0), last=True)
    assert playback.take(BLOCK).all()


def test_units_follow_each_other_without_a_gap():
    playback = Playback(RATE_HZ)
    playback.add(level(130), last=True)
    playback.add(level(130), last=True)
    assert blocks(playback, 13).all()
    assert playback.underruns == 0
    assert playback.seconds == 0


def test_an_underrun_is_counted_and_faded_out_and_in():
    playback = Playback(RATE_HZ)
    playback.add(level(130), last=False)
    out = blocks(playback, 10)
    assert playback.underruns == 1
    assert np.abs(np.diff(out[100:])).max() <= 0.5 / (FADE_S * RATE_HZ) + 1e-6
    assert not out[130 + 5 :].any()
    playback.add(level(130), last=True)
    resumed = blocks(playback, 7)
    assert resumed[0] == 0
    assert np.abs(np.diff(resumed)).max() <= 0.5 / (FADE_S * RATE_HZ) + 1e-6


def test_clearing_is_silence_from_the_next_block_on_without_a_click():
    playback = Playback(RATE_HZ)
    playback.add(level(5000), last=True)
    before = playback.take(BLOCK)
    playback.clear()
    after = playback.take(BLOCK)
    assert abs(after[0]) < abs(before[-1])
    assert not after[5:].any()
    assert playback.seconds == 0
    assert playback.underruns == 0


def test_the_original_is_heard_under_speech_and_never_late():
    playback = Playback(RATE_HZ)
    for number in range(50):
        playback.hear(level(100, number / 100))
    assert playback.take(BLOCK)[0] == pytest.approx(0.4)  # all but the last second is dropped
    playback.add(level(200, 0.3), last=True)
    assert playback.take(BLOCK)[0] == pytest.approx(0.7)


def test_two_loud_voices_stay_in_range():
    playback = Playback(RATE_HZ)
    playback.hear(level(500, 0.8))
    playback.add(level(500, 0.9), last=True)
    assert 0.9 < blocks(playback, 5).max() <= 1


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 400), max_size=10), block=st.integers(1, 97))
def test_every_sample_is_played_once_in_order(lengths, block):
    playback, values = Playback(RATE_HZ), iter(np.linspace(0.1, 0.9, 4001, dtype=np.float32))
    speech = [np.array([next(values) for _ in range(length)], np.float32) for length in lengths]
    for samples in speech:
        playback.add(samples, last=True)
    out = np.concatenate([playback.take(block) for _ in range(sum(lengths) // block + 2)])
    want = np.concatenate([np.zeros(0, np.float32), *speech])
    np.testing.assert_array_equal(out[: len(want)], want)
    assert playback.underruns == 0
