import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.mixer import BLOCK_S, Timeline, limited
from pipeline.events import AudioChunk, SpeechChunk

RATE_HZ = 1000


def speech(start, length, unit=0, level=0.5):
    return SpeechChunk(unit, np.full(length, level, np.float32), RATE_HZ, True, start)


def heard(start, length, level=0.5):
    return AudioChunk(np.full(length, level, np.float32), RATE_HZ, start)


def all_of(timeline, *events):
    blocks = []
    for event in events:
        timeline.hear(event) if isinstance(event, AudioChunk) else timeline.speak(event)
        blocks += timeline.take()
    return np.concatenate([np.zeros(0, np.float32), *blocks, *timeline.finish()])


def test_speech_lies_at_its_time_and_silence_elsewhere():
    out = all_of(Timeline(RATE_HZ), heard(0, 3000), speech(0.5, 200), speech(2.0, 300, unit=1))
    assert len(out) == 3000
    assert set(np.flatnonzero(out)) == {*range(500, 700), *range(2000, 2300)}


def test_the_original_lies_under_it_at_its_gain():
    out = all_of(Timeline(RATE_HZ, original=0.2), heard(0, 1000), speech(0.2, 300), heard(1.0, 1000))
    np.testing.assert_allclose(out[:200], 0.1, atol=1e-6)
    np.testing.assert_allclose(out[200:500], 0.6, atol=1e-6)
    assert len(out) == 2000


def test_speech_that_would_overlap_is_said_after_what_is_being_said():
    out = all_of(Timeline(RATE_HZ), speech(0.0, 500), speech(0.3, 500, unit=1))
    np.testing.assert_allclose(out, np.full(1000, 0.5))


def test_chunks_of_a_unit_join_without_a_gap_at_another_rate():
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(22050) / 22050)).astype(np.float32)
    pieces = np.array_split(tone, 7)
    starts = np.cumsum([0, *[len(piece) for piece in pieces]]) / 22050
    chunks = [SpeechChunk(0, piece, 22050, i == 6, 1 + starts[i]) for i, piece in enumerate(pieces)]
    out = all_of(Timeline(24000), *chunks)
    assert len(out) == pytest.approx(48000, abs=1)
    want = 0.5 * np.sin(2 * np.pi * 200 * np.arange(len(out) - 24000) / 24000)
    np.testing.assert_allclose(out[24200:-200], want[200:-200], atol=1e-3)


def test_speech_that_changes_its_rate_or_never_ends_is_whole():
    chunks = [SpeechChunk(0, np.full(rate, 0.5, np.float32), rate, False, at) for at, rate in enumerate((22050, 16000))]
    out = all_of(Timeline(24000), *chunks)
    assert len(out) == pytest.approx(48000, abs=2)
    np.testing.assert_allclose(out[200:23_800], 0.5, atol=1e-3)
    np.testing.assert_allclose(out[24_200:-200], 0.5, atol=1e-3)


def test_blocks_come_as_soon_as_both_voices_are_known():
    timeline = Timeline(RATE_HZ, original=0.2)
    timeline.speak(speech(0.0, 1000))
    assert list(timeline.take()) == []
    timeline.hear(heard(0, 400))
    assert sum(map(len, timeline.take())) == 400


def test_speech_that_comes_too_late_is_placed_later_not_lost():
    timeline = Timeline(RATE_HZ)
    timeline.hear(heard(0, 40_000))
    given = sum(map(len, timeline.take()))
    assert given == 10_000
    timeline.speak(speech(5.0, 100))
    rest = np.concatenate(list(timeline.finish()))
    assert np.flatnonzero(rest).tolist() == list(range(100))


def test_a_jump_of_hours_costs_no_memory():
    timeline = Timeline(RATE_HZ, original=0.5)
    timeline.hear(heard(0, 100))
    timeline.hear(heard(36_000, 100))
    assert max(map(len, timeline.take())) <= BLOCK_S * RATE_HZ
    assert len(timeline._pieces) == 1


def test_memory_is_bounded_however_long_nobody_speaks():
    timeline = Timeline(RATE_HZ, original=0.5)
    most = 0
    for second in range(600):
        timeline.hear(heard(second, RATE_HZ))
        list(timeline.take())
        most = max(most, len(timeline._pieces))
    assert most <= 32


@settings(max_examples=50, deadline=None)
@given(
    units=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 3000)), max_size=8),
    cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=8),
)
def test_every_sample_comes_once_in_order_and_in_range(units, cuts):
    timeline, begin = Timeline(RATE_HZ, original=0.9), 0
    events = [speech(start, length, unit=number, level=0.9) for number, (start, length) in enumerate(sorted(units))]
    for length in cuts:
        events.append(heard(begin / RATE_HZ, length, level=0.001))
        begin += length
    out = all_of(timeline, *events)
    assert np.count_nonzero(out > 0.5) == sum(length for _, length in units)
    assert len(out) >= begin
    assert np.abs(out).max() <= 1


@pytest.mark.parametrize("level", [-1.5, 1.5])
def test_speech_alone_is_in_range_too(level):
    assert np.abs(all_of(Timeline(RATE_HZ), speech(0.0, 100, level=level))).max() == 1


def test_the_limiter_leaves_what_fits_and_bends_the_rest():
    quiet = np.linspace(-0.9, 0.9, 100, dtype=np.float32)
    assert limited(quiet) is quiet
    loud = np.linspace(-2, 2, 401, dtype=np.float32)
    assert np.abs(limited(loud)).max() <= 1
    assert (np.diff(limited(loud)) >= 0).all()


def test_silence_that_is_passed_over_is_as_long_as_if_it_were_given():
    timeline = Timeline(RATE_HZ, original=1.0, patience_s=0)
    timeline.hear(heard(3600.0, 1000))
    assert timeline.skip() == 3600 * RATE_HZ
    assert np.concatenate([*timeline.take(), *timeline.finish()]).tolist() == pytest.approx([0.5] * RATE_HZ, abs=1e-3)
    assert timeline.skip() == 0
    timeline.hear(heard(3601.5, 1000))
    assert timeline.skip() == 0, "a short one is given"
