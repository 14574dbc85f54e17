"""What each policy calls settled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scripted_speech import NoFeatures
from models.asr.whisper.hypothesis import HeardWord
from models.asr.whisper.policy import POLICIES, CommitOptions, Evidence, align, flush, hold, hybrid, local_agreement
from models.asr.whisper.window import KEPT_WORDS, Window

OPTIONS = CommitOptions()


def word(text, start, end, probability=0.9):
    return HeardWord(text, start, end, probability, (1,))


def evidence(words, audio_end, previous=()):
    return Evidence(words, audio_end, previous)


def test_the_gate_takes_words_that_ended_long_ago_but_never_the_last():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert align(evidence(words, 3.0), OPTIONS) == 2
    assert align(evidence(words, 1.0), OPTIONS) == 1


def test_the_gate_refuses_unsure_and_squeezed_words_and_all_that_follow():
    unsure = [word(" a", 0.0, 0.4, 0.5), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    squeezed = [word(" a", 0.0, 0.02), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert align(evidence(unsure, 3.0), OPTIONS) == 0
    assert align(evidence(squeezed, 3.0), OPTIONS) == 0


def test_agreement_is_word_by_word():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8)]
    assert local_agreement(evidence(words, 1.0), OPTIONS) == 0
    assert local_agreement(evidence(words, 1.0, (" a", " b")), OPTIONS) == 2
    assert local_agreement(evidence(words, 1.0, (" a", " x")), OPTIONS) == 1
    assert local_agreement(evidence(words, 1.0, (" x", " b")), OPTIONS) == 0


def test_agreement_is_with_the_newest_hypothesis_far_enough_apart():
    window = Window(16_000, NoFeatures())
    assert window.older_tail(0.3) == ()
    for text in (" a", " b", " c", " d"):
        window.push(np.zeros(1600, np.float32), 1.0)
        window.remember([word(text, 1.0, 1.1)])
    assert [window.older_tail(apart_s) for apart_s in (0.4, 0.3, 0.2, 0.05)] == [(), (" a",), (" b",), (" c",)]


def test_agreement_on_an_unsure_word_waits_until_it_is_well_behind():
    words = [word(" a", 0.0, 0.8, 0.3)]
    assert local_agreement(evidence(words, 1.0, (" a",)), OPTIONS) == 0
    assert local_agreement(evidence(words, 1.3, (" a",)), OPTIONS) == 1


def test_hold_keeps_its_words_back():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert hold(evidence(words, 9.0), OPTIONS) == 1
    assert hold(evidence(words[:1], 9.0), OPTIONS) == 0


def test_a_pause_settles_all_but_trailing_noise():
    assert flush([word(" a", 0, 1), word(" b", 1, 2, 0.1), word(" c", 2, 3), word(" d", 3, 4, 0.2)], OPTIONS) == 3
    assert flush([word(" a", 0, 1, 0.1)], OPTIONS) == 0


words_of = st.lists(
    st.builds(
        lambda text, length, probability: (text, length, probability),
        st.sampled_from([" a", " b", " c"]),
        st.floats(0.0, 0.6),
        st.floats(0.0, 1.0),
    ),
    max_size=6,
)


@given(words_of, st.lists(st.sampled_from([" a", " b", " c"]), max_size=6), st.floats(0.0, 2.0))
def test_hybrid_settles_what_either_settles_and_more_audio_never_unsettles(drawn, previous, more_s):
    at, words = 0.0, []
    for text, length, probability in drawn:
        words.append(word(text, at, at + length, probability))
        at += length
    now = evidence(words, at + 0.2, tuple(previous))
    later = evidence(words, at + 0.2 + more_s, tuple(previous))
    assert hybrid(now, OPTIONS) >= max(align(now, OPTIONS), local_agreement(now, OPTIONS))
    assert all(policy(later, OPTIONS) >= policy(now, OPTIONS) for policy in POLICIES.values())


def test_a_window_is_cut_in_the_widest_gap_and_in_a_later_one_rather_than_in_one_as_wide():
    def widest(ends, gaps, keep_words=1, keep_s=1.0):
        window = Window(0, NoFeatures())
        window.push(np.zeros(16_000 * 4, np.float32), 1.0)
        window.commit([word(" a", 0.4 * n + gap, 0.4 * (n + 1)) for n, gap in enumerate(gaps[:ends])])
        gap = window.widest_gap(keep_words, keep_s)
        return gap and (gap.index, round(gap.width_s, 3), round(gap.middle, 3))

    gaps = [0.0, 0.1, 0.05, 0.1, 0.0, 0.1, 0.3, 0.0, 0.35]
    assert widest(9, gaps) == (5, 0.3, 2.55), "the widest of all leaves too little after it"
    assert widest(9, gaps, keep_s=0.1) == (7, 0.35, 3.375)
    assert widest(6, gaps) == (4, 0.1, 2.05)
    assert widest(6, gaps, keep_words=3) == (2, 0.1, 1.25)
    assert widest(6, gaps, keep_words=KEPT_WORDS, keep_s=3.2) == (0, 0.1, 0.45)
    assert widest(1, gaps) is None


BEGAN = 16_000
PIECE_S = 512 / 16_000


def window_of(voice):
    """A window that begins at second 1, with voice where there is a #."""
    window = Window(BEGAN, NoFeatures())
    for one in voice:
        window.push(np.zeros(512, np.float32), float(one == "#"))
    return window


def place(piece):
    return BEGAN / 16_000 + piece * PIECE_S


@pytest.mark.parametrize(
    ("voice", "span", "part"),
    [
        ("..##..####...#..", (0, 16), (2, 10)),
        ("..##...####..", (0, 13), (7, 11)),
        ("..####...##..", (0, 13), (2, 6)),
        ("..##########..", (4.5, 8.25), (4.5, 8.25)),
        ("..##########..", (0.5, 8.25), (2, 8.25)),
        ("##............", (1.5, 9), (1.5, 2)),
        ("......##......", (1, 6), (1, 6)),
        ("......##......", (1, 6.5), (6, 6.5)),
    ],
)
def test_a_word_lasts_as_long_as_its_longest_stretch_of_voice(voice, span, part):
    found = window_of(voice).voiced_part(*map(place, span))
    assert [(moment - 1.0) / PIECE_S for moment in found] == pytest.approx(part)


@given(
    st.text("#.", min_size=8, max_size=40), st.integers(0, 39), st.integers(0, 9), st.floats(0.0, 0.1), st.integers(0, 20)
)
def test_there_is_voice_where_it_was_heard_also_after_a_cut(voice, first, pieces, margin_s, cut):
    begin, end = place(first) + 0.001, place(first + pieces) + 0.001
    heard = [number for number, one in enumerate(voice) if one == "#"]
    expected = any(place(number) <= end + margin_s and place(number + 1) > begin - margin_s for number in heard)
    window = window_of(voice)
    assert window.is_voiced(begin, end, margin_s) == expected
    part = window.voiced_part(begin, end)
    if cut <= first - 4:
        window.cut(place(cut))
        assert window.is_voiced(begin, end, margin_s) == expected
        assert window.voiced_part(begin, end) == part
