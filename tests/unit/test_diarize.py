"""Speakers told apart on a stream: scripted voices, whose sample value is their direction."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.asr.vad import Loudness
from models.diarize.stream import ClusterOptions, Clusters, DiarizationOptions, DiarizingStream
from tests.scripted_speakers import direction

HZ = 16_000
DEFAULT = DiarizationOptions()


def voice(number: int, seconds: float) -> np.ndarray:
    return np.full(round(seconds * HZ), 0.1 + 0.05 * number, np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * HZ), np.float32)


def spans_of(audio: np.ndarray, step: int = 1600, options: DiarizationOptions = DEFAULT) -> list:
    stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters))
    found, decided_s = [], 0.0
    for start in range(0, len(audio), step):
        turns = stream.hear(audio[start : start + step], start / HZ)
        assert turns.decided_s >= decided_s
        decided_s = turns.decided_s
        found += turns.spans
    return [*found, *stream.finish().spans]


def speaker_at(spans: list, moment: float) -> str:
    return next(span.speaker for span in spans if span.start <= moment <= span.end)


def test_each_turn_has_its_speaker_also_when_one_comes_back():
    turns = [(0, 3.0), (1, 3.0), (0, 3.0), (2, 3.0), (1, 3.0)]
    audio = np.concatenate([part for number, length in turns for part in (voice(number, length), silence(0.4))])
    spans = spans_of(audio)
    assert [speaker_at(spans, 3.4 * turn + 1.5) for turn in range(5)] == ["0", "1", "0", "2", "1"]
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(spans))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20_000))
def test_the_cut_into_chunks_does_not_matter(step):
    audio = np.concatenate([voice(0, 2.1), voice(1, 2.5), silence(0.5), voice(0, 1.7), silence(0.3)])

    def merged(spans: list) -> list:
        """Spans without the borders that only say when something was decided."""
        joined: list = []
        for span in spans:
            if joined and joined[-1][2] == span.speaker and abs(joined[-1][1] - span.start) < 1e-6:
                joined[-1] = (joined[-1][0], span.end, span.speaker)
            else:
                joined.append((span.start, span.end, span.speaker))
        return [(round(start, 6), round(end, 6), speaker) for start, end, speaker in joined]

    assert merged(spans_of(audio, step)) == merged(spans_of(audio, len(audio)))


def test_every_moment_is_decided_in_time():
    audio = np.concatenate([voice(number % 3, 0.7 + 0.4 * number) for number in range(8)])
    options = DiarizationOptions()
    stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters))
    for start in range(0, len(audio), 800):
        heard_s = (start + 800) / HZ
        assert stream.hear(audio[start : start + 800], start / HZ).decided_s >= heard_s - options.decide_within_s - 0.04


def test_one_speaker_is_one_for_an_hour_and_memory_stays_bounded():
    options = DiarizationOptions()
    stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters))
    audio, found = np.concatenate([voice(0, 55), silence(5)]), set()
    for minute in range(60):
        found |= {span.speaker for span in stream.hear(audio, 60.0 * minute).spans}
        assert len(stream._audio) < 4 * HZ
        assert len(stream._marks) <= 16
    assert found == {"0"}


def test_of_eleven_speakers_ten_are_told_apart_and_the_last_is_somebody():
    audio = np.concatenate([part for number in range(11) for part in (voice(number, 3.0), silence(0.4))])
    spans = spans_of(audio)
    assert len({span.speaker for span in spans}) == 10
    assert speaker_at(spans, 10 * 3.4 + 1.5)


def test_with_two_speakers_the_third_joins_the_nearest():
    options = DiarizationOptions(clusters=ClusterOptions(most=2))
    audio = np.concatenate([part for number in range(3) for part in (voice(number, 3.0), silence(0.4))])
    assert {span.speaker for span in spans_of(audio, options=options)} == {"0", "1"}


def test_a_cough_makes_no_speaker():
    audio = np.concatenate([voice(0, 4.0), silence(0.3), voice(9, 0.4), silence(0.3), voice(0, 4.0), silence(0.5)])
    assert {span.speaker for span in spans_of(audio)} == {"0"}


def test_a_jump_in_time_keeps_the_speakers():
    options = DiarizationOptions()
    stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters))
    spans = [*stream.hear(voice(0, 3.0), 0.0).spans, *stream.hear(voice(1, 3.0), 100.0).spans]
    spans += [*stream.hear(voice(0, 3.0), 200.0).spans, *stream.finish().spans]
    assert [speaker_at(spans, at) for at in (1.5, 101.8, 201.8)] == ["0", "1", "0"]


def test_a_known_voice_has_the_first_number():
    options = DiarizationOptions()
    stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters, [direction(voice(3, 1.0))]))
    audio = np.concatenate([voice(1, 3.0), silence(0.4), voice(3, 3.0), silence(0.4)])
    spans = [*stream.hear(audio, 0.0).spans, *stream.finish().spans]
    assert [speaker_at(spans, at) for at in (1.5, 5.0)] == ["1", "0"]


def test_a_stream_that_follows_has_the_speakers_of_the_one_before():
    options, found = DiarizationOptions(), []
    for numbers, expected in (([0, 1], ["0", "1"]), ([1, 2, 0], ["1", "2", "0"])):
        stream = DiarizingStream(direction, Loudness, options, Clusters(options.clusters, found=found))
        audio = np.concatenate([part for number in numbers for part in (voice(number, 3.0), silence(0.4))])
        spans = [*stream.hear(audio, 0.0).spans, *stream.finish().spans]
        assert [speaker_at(spans, 3.4 * turn + 1.5) for turn in range(len(numbers))] == expected
    assert len(found) == 3


@pytest.mark.parametrize("wrong", [{"same": 1.5}, {"most": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(Exception, match=next(iter(wrong))):
        ClusterOptions(**wrong)


def test_a_short_word_of_somebody_known_is_theirs_also_where_it_is_not_sure():
    """A window that is too short to be sure is of whoever is nearest, not of who spoke before."""
    short = np.where(np.arange(round(0.7 * HZ)) % 3 > 0, np.float32(0.1), np.float32(0.55))  # mostly voice 0, with noise
    audio = np.concatenate([voice(0, 3.0), silence(0.4), voice(1, 3.0), silence(1.2), short, silence(2.0), voice(1, 3.0)])
    spans = spans_of(audio, options=DiarizationOptions(clusters=ClusterOptions(same=0.95)))
    assert speaker_at(spans, 7.9) == "0"
