"""Audio on its way to the recognizer: at its rate, in one piece as long as it follows on, at its time after a jump."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.channel import Channel
from pipeline.clock import LoopClock
from pipeline.errors import ModelError
from pipeline.events import AudioChunk, Event, Gap, Transcript, Word
from pipeline.stages.control import Control, SessionContext, Stamped
from pipeline.stages.recognize import LIVE_S, RECOGNIZER_HZ, Intake, capture, checked, joined
from pipeline.stages.stream_time import HeardTime

NAN, INFINITY = float("nan"), float("inf")


def chunk(start_s: float, samples: int, rate_hz: int = RECOGNIZER_HZ) -> AudioChunk:
    return AudioChunk(np.full(samples, 0.5, np.float32), rate_hz, start_s)


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=5), st.sampled_from([16_000, 24_000, 44_100]))
def test_what_follows_on_is_one_stream_and_what_comes_after_a_jump_another(sizes: list[int], rate_hz: int) -> None:
    intake, taken = Intake(), []
    for begin_s in (1.0, 100.0):
        start_s = begin_s
        for size in sizes:
            taken += intake.take(chunk(start_s, size, rate_hz))
            start_s += size / rate_hz
    taken += intake.finish()
    streams = [[piece for piece in taken if (piece.start < 100.0) == first] for first in (True, False)]
    assert taken == [*streams[0], *streams[1]]
    for begin_s, pieces in zip((1.0, 100.0), streams, strict=True):
        assert all(piece.sample_rate == RECOGNIZER_HZ and len(piece.samples) for piece in pieces)
        assert all(after.start == pytest.approx(before.end) for before, after in pairwise([chunk(begin_s, 0), *pieces]))
        end_s = pieces[-1].end if pieces else begin_s  # less than a sample is none
        assert end_s == pytest.approx(begin_s + sum(sizes) / rate_hz, abs=1e-4)


def test_nothing_heard_leaves_nothing() -> None:
    assert Intake().finish() == []


def test_neighbors_are_joined_and_what_a_gap_divides_is_not() -> None:
    chunks = [chunk(0.0, 1600), chunk(0.1, 800), chunk(0.5, 1600), chunk(0.6, 160)]
    pieces = joined(chunks)
    assert [(piece.start, len(piece.samples)) for piece in pieces] == [(0.0, 2400), (0.5, 1760)]
    assert joined([]) == []


@pytest.mark.parametrize(("start_s", "end_s"), [(0.9, 1.2), (2.0, 1.9), (NAN, 2.0), (1.0, NAN), (1.0, INFINITY)])
def test_words_out_of_order_are_a_broken_recognizer(start_s: float, end_s: float) -> None:
    def transcript(*words: Word) -> Transcript:
        return Transcript(words, (), "en", 9.0, 0.0, ended=False)

    assert checked(transcript(Word("a", 0.5, 1.0, 1.0)), 0.5) == 1.0
    with pytest.raises(ModelError, match="after a word that ended at 1.000 s"):
        checked(transcript(Word("b", start_s, end_s, 1.0)), 1.0)
    assert checked(transcript(), 1.0) == 1.0


class Recording:
    """Seconds of audio at 44.1 kHz, in tenths."""

    def __init__(self, seconds: float, live: bool) -> None:
        self.seconds, self.live = seconds, live

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        for number in range(round(self.seconds * 10)):
            yield chunk(number / 10, 4410, 44_100)


@pytest.mark.parametrize(("seconds", "live", "skips"), [(60.0, False, False), (LIVE_S, True, False), (17.0, True, True)])
async def test_what_nobody_takes_waits_and_what_is_skipped_is_told(seconds: float, live: bool, skips: bool) -> None:
    shown: list[Event] = []

    async def show(event: Event) -> None:
        shown.append(event)

    clock, audio = LoopClock(), Channel[Stamped[AudioChunk]](10_000)
    run = SessionContext(Control(), HeardTime(clock), clock, show, shown.append)
    await capture(Recording(seconds, live), audio, run, lambda: False)
    gaps = [event for event in shown if isinstance(event, Gap)]
    assert bool(gaps) == skips
    spans = [(one.start, one.end) for one in (*gaps, *(stamped.item for stamped in audio.waiting()))]
    assert all(after[0] == pytest.approx(before[1]) for before, after in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (0.0, pytest.approx(seconds, abs=1e-4))
    assert not live or spans[-1][1] - spans[len(gaps)][0] <= LIVE_S
