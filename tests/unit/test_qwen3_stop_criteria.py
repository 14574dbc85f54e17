"""Guards end what would not end, pauses are measured, history is bounded, and the most urgent speech comes first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tts.qwen3.prompt import ReferenceHistory, SpokenUnit
from models.tts.qwen3.utterance import (
    CHUNKS,
    FRAMES_PER_TOKEN,
    Ending,
    StopCriteria,
    UtteranceProgress,
    chunk_size,
    next_rows,
    repeats,
)
from models.tts.silence import EdgeTrim, pause_s

RATE = 24_000


def drawn(stop, codes, text_ended=True):
    for code in codes:
        if (ending := stop.drawn(code, text_ended)) is not None:
            return ending
    return None


def test_an_utterance_that_never_ends_is_stopped_at_its_budget():
    stop = StopCriteria(limit=375, tokens=4)
    assert drawn(stop, range(1000)) is Ending.BUDGET
    assert stop.frames == FRAMES_PER_TOKEN * 4 + 25


def test_no_budget_while_text_is_to_come_but_the_limit_holds():
    stop = StopCriteria(limit=300, tokens=1)
    assert drawn(stop, range(299), text_ended=False) is None
    assert drawn(stop, [1], text_ended=False) is Ending.BUDGET


def test_the_end_is_made_likelier_only_after_slow_speech_and_before_the_budget():
    stop = StopCriteria(limit=375, tokens=10)
    assert 10 * 12.5 / 3 < stop.overstay < stop.budget


@pytest.mark.parametrize("pattern", [[7], [1, 2], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_loop_is_found(pattern):
    assert drawn(StopCriteria(375, tokens=20), [99, 98, *pattern * 40]) is Ending.LOOP
    assert repeats((pattern * 24)[:24])
    assert not repeats((pattern * 24)[:23])
    assert not repeats([*range(24)])


def test_silence_after_the_text_ends_speech_and_a_pause_within_it_does_not():
    stop = StopCriteria(375, tokens=10)
    drawn(stop, range(30))
    assert stop.decoded([False] * 10 + [True] * 7 + [False], True) is None
    assert stop.decoded([True] * 7, True) is None
    assert stop.decoded([True], True) is Ending.SILENCE
    assert StopCriteria(375, tokens=10).decoded([False] + [True] * 8, True) is None  # too early for so much text
    assert StopCriteria(375, tokens=1).decoded([False] + [True] * 8, False) is None  # text is to come


def test_speech_that_does_not_begin_is_given_up():
    stop = StopCriteria(375, tokens=10)
    assert stop.decoded([True] * 24, True) is None
    assert stop.decoded([True], True) is Ending.MUTE
    assert [ending for ending in Ending if ending.clean] == [Ending.SPOKEN]


def silence(seconds):
    return np.full(round(seconds * RATE), 1e-4, dtype=np.float32)


def tone(seconds):
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def passed(samples, cuts, pause=0.15, broken_off=False):
    edges = EdgeTrim(RATE)
    parts = [edges.pass_on(part) for part in np.split(samples, sorted(cuts))]
    return np.concatenate([*parts, edges.finish(pause, broken_off)])


@given(cuts=st.lists(st.integers(0, 50_000), max_size=12), tail=st.sampled_from([0, 0.003, 0.1, 0.3, 0.9]))
@settings(max_examples=60, deadline=None)
def test_silence_is_cut_alike_however_the_audio_is_cut(cuts, tail):
    samples = np.concatenate([silence(0.43), tone(0.5), silence(0.2), tone(0.3), silence(tail)])
    cuts = [min(cut, len(samples)) for cut in cuts]
    assert passed(samples, cuts).tolist() == passed(samples, []).tolist()


def test_leading_silence_goes_and_the_pause_after_speech_is_the_wanted_one():
    out = passed(np.concatenate([silence(0.43), tone(0.5), silence(0.3)]), [])
    loud = np.flatnonzero(np.abs(out) > 0.01)
    assert loud[0] <= 0.035 * RATE
    assert abs((len(out) - loud[-1]) / RATE - 0.15) < 0.012
    short = passed(np.concatenate([tone(0.5), silence(0.02)]), [], pause=0.3)
    assert len(short) == round(0.8 * RATE)


@pytest.mark.parametrize("seconds", [0.5037, 0.51, 0.56], ids=["in a block", "between blocks", "between frames"])
def test_joints_of_units_are_continuous_and_broken_off_speech_fades(seconds):
    ends = passed(tone(seconds), [], broken_off=True)
    assert len(ends) == round((seconds + 0.15) * RATE)
    joined = np.concatenate([ends, passed(np.concatenate([silence(0.1), tone(0.2), silence(0.2)]), [])])
    assert np.abs(np.diff(joined)).max() < 0.05


def test_a_silent_utterance_is_nothing():
    assert len(passed(silence(2), [])) == 0


def test_pauses_follow_punctuation():
    assert (
        pause_s("So it is.")
        == pause_s("本当ですか。")
        == pause_s('"Really?" ')
        > pause_s("well,")
        > pause_s("and so on")
        > 0
    )


def said(frames, text="word"):
    return SpokenUnit(text, np.zeros((frames, 16), dtype=np.int64))


@given(lengths=st.lists(st.integers(1, 120), max_size=40))
@settings(max_examples=100, deadline=None)
def test_history_is_bounded_and_keeps_its_anchor(lengths):
    history, anchor = ReferenceHistory("en", 10**9), None
    for index, frames in enumerate(lengths):
        history.add(said(frames, f"unit{index}"))
        if anchor is None and frames <= 50:
            anchor = f"unit{index}"
        reference = history.reference(lambda text: [len(text)])
        if anchor:
            assert reference.codes.shape[0] <= 50 + 75
            texts = []
            history.reference(lambda text, texts=texts: texts.append(text) or [])
            assert texts[0].startswith(anchor)


def test_history_is_renewed_after_its_time_and_when_forgotten():
    history = ReferenceHistory("en", renew_after_frames=100)
    history.add(said(40, "first"))
    history.add(said(30, "second"))
    assert history.reference(lambda _text: []) is not None
    history.add(said(35, "third"))
    assert history.reference(lambda _text: []) is None
    history.add(said(10, "fourth"))
    history.forget()
    assert history.reference(lambda _text: []) is None


def test_languages_without_spaces_are_joined_without():
    history, texts = ReferenceHistory("ja", 1000), []
    history.add(said(10, "今日は"))
    history.add(said(10, "晴れ。"))
    history.reference(lambda text: texts.append(text) or [])
    assert texts == ["今日は晴れ。"]


@given(frames=st.integers(1, 300))
def test_chunks_decode_every_frame_the_first_at_once(frames):
    waiting = decoded = chunks = 0
    for frame in range(frames):
        waiting += 1
        while size := chunk_size(waiting, chunks, frame == frames - 1):
            assert size <= max(CHUNKS)
            waiting, decoded, chunks = waiting - size, decoded + size, chunks + 1
        assert waiting < max(CHUNKS)
        assert decoded >= 1
    assert decoded == frames


def test_rows_go_by_urgency():
    rows = [
        UtteranceProgress(0, 9, True, True),
        UtteranceProgress(1, 3, True, True),
        UtteranceProgress(2, 0, False, True),
        UtteranceProgress(3, 0, True, False),
    ]
    assert next_rows(rows, lookahead=25, limit=8) == [2, 1, 0]
    assert next_rows(rows, lookahead=9, limit=8) == [2, 1]
    assert next_rows(rows, lookahead=25, limit=1) == [2]


@pytest.mark.parametrize(("streams", "limit"), [(6, 8), (12, 8), (12, 6)])
def test_no_listener_runs_dry_at_rated_load(streams, limit):
    """In virtual time: a step takes 40 ms for up to ``limit`` rows, a frame plays for 80 ms, streams begin 0.1 s apart."""
    step_s, frame_s, lookahead, most = 0.04, 0.08, 25, 120
    drawn, began, dry = [0] * streams, [None] * streams, 0.0
    now, waits = 0.0, []
    while min(drawn) < most:
        able = []
        for row in range(streams):
            if now >= row * 0.1 and drawn[row] < most:
                played = 0 if began[row] is None else min(drawn[row], int((now - began[row]) / frame_s))
                able.append(UtteranceProgress(row, drawn[row] - played, began[row] is not None, True))
        now += step_s
        for row in next_rows(able, lookahead, limit):
            drawn[row] += 1
            if began[row] is None:
                began[row] = now
                waits.append(now - row * 0.1)
        for row in range(streams):
            if began[row] is not None and drawn[row] < most:
                dry = max(dry, now - began[row] - drawn[row] * frame_s)
                assert drawn[row] - (now - began[row]) / frame_s <= lookahead + 1
    assert max(waits) <= 2 * step_s + 1e-9
    assert dry <= step_s + 1e-9
