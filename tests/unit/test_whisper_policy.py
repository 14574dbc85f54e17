"""The words that each policy calls settled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scripted_speech import NoFeatures
from models.asr.whisper import window as windows
from models.asr.whisper.commit import POLICIES, CommitOptions, HypothesisTail, align, flush, hold, hybrid, local_agreement
from models.asr.whisper.hypothesis import HeardWord
from models.asr.whisper.window import Window, aligned

OPTIONS = CommitOptions()


def word(text, start, end, probability=0.9):
    return HeardWord(text, start, end, probability, (1,))


def evidence(words, audio_end, previous=()):
    return HypothesisTail(words, audio_end, previous)


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


def test_agreement_on_an_unsure_word_waits_the_longer_the_less_sure_it_is():
    half = [word(" a", 0.0, 0.8, OPTIONS.sure_probability / 2)]
    least_s = 0.8 + OPTIONS.agreement_s + OPTIONS.weak_s / 2
    assert local_agreement(evidence(half, least_s - 0.01, (" a",)), OPTIONS) == 0
    assert local_agreement(evidence(half, least_s + 0.01, (" a",)), OPTIONS) == 1
    sure = [word(" a", 0.0, 0.8, OPTIONS.sure_probability)]
    assert local_agreement(evidence(sure, 0.81 + OPTIONS.agreement_s, (" a",)), OPTIONS) == 1


def test_first_words_that_are_all_unsure_wait_longer():
    """Whisper base hears "Had he married" as "How do you marry" for 2 s, each word below 0.6."""

    def settled_after(*probabilities, begins=True):
        words = [word(text, 0.0, 0.4, p) for text, p in zip((" How", " do"), probabilities, strict=False)]
        seconds = np.arange(0.4, 5.0, 0.01)
        return next(s for s in seconds if local_agreement(HypothesisTail(words, s, (" How", " do"), begins), OPTIONS))

    assert settled_after(0.4, 0.5) > settled_after(0.4, 0.5, begins=False) + 0.5
    assert settled_after(0.4, 0.9) == settled_after(0.4, 0.9, begins=False)
    assert settled_after(0.9) == settled_after(0.9, begins=False)


def test_the_gate_waits_where_the_hypothesis_before_said_another_word():
    words = [word(" head", 0.0, 0.4, 0.95), word(" down", 0.4, 0.8)]
    assert align(evidence(words, 3.0, (" hair",)), OPTIONS) == 0
    assert align(evidence(words, 3.0, (" Head,",)), OPTIONS) == 1


def test_agreement_is_on_what_is_said_whatever_marks_and_capitals_it_has():
    assert local_agreement(evidence([word(" himself,", 0.0, 0.4)], 1.0, (" Himself.",)), OPTIONS) == 1
    assert local_agreement(evidence([word(" 3.1", 0.0, 0.4)], 1.0, (" 3.",)), OPTIONS) == 0


def test_hold_keeps_its_words_back():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert hold(evidence(words, 9.0), OPTIONS) == 1
    assert hold(evidence(words[:1], 9.0), OPTIONS) == 0


def test_a_pause_settles_all_but_trailing_noise():
    assert flush([word(" a", 0, 1), word(" b", 1, 2, 0.1), word(" c", 2, 3), word(" d", 3, 4, 0.15)], OPTIONS) == 3
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


def test_words_are_aligned_by_what_is_said_of_each_once(monkeypatch):
    asked = []
    monkeypatch.setattr(windows, "spoken", lambda text: asked.append(text) or text.strip(" .").lower())
    committed = [word(f" word{number}", number, number + 0.5) for number in range(20)]
    reading = [word(f" Word{number}.", number + 0.1, number + 0.6) for number in range(30) if number != 7]
    pairs = aligned(committed, reading, 20.0)
    assert len(asked) == len(committed) + len(reading)
    assert {said: heard for said, heard in pairs if said > 7}[8] == 7
    assert pairs[-1] == (20, 19)
