"""What each policy calls settled."""

from hypothesis import given
from hypothesis import strategies as st

from models.asr.whisper.hypothesis import HeardWord
from models.asr.whisper.policy import POLICIES, CommitOptions, Evidence, align, flush, hold, hybrid, local_agreement

OPTIONS = CommitOptions()


def word(text, start, end, probability=0.9):
    return HeardWord(text, start, end, probability, (1,))


def evidence(words, audio_end, previous=(), apart_s=0.0):
    return Evidence(words, audio_end, previous, apart_s)


def test_the_gate_takes_words_that_ended_long_ago_but_never_the_last():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert align(evidence(words, 3.0), OPTIONS) == 2
    assert align(evidence(words, 1.0), OPTIONS) == 1


def test_the_gate_refuses_unsure_and_squeezed_words_and_all_that_follow():
    unsure = [word(" a", 0.0, 0.4, 0.5), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    squeezed = [word(" a", 0.0, 0.02), word(" b", 0.4, 0.8), word(" c", 0.8, 1.0)]
    assert align(evidence(unsure, 3.0), OPTIONS) == 0
    assert align(evidence(squeezed, 3.0), OPTIONS) == 0


def test_agreement_needs_hypotheses_far_enough_apart():
    words = [word(" a", 0.0, 0.4), word(" b", 0.4, 0.8)]
    assert local_agreement(evidence(words, 1.0, (" a", " b"), 0.2), OPTIONS) == 0
    assert local_agreement(evidence(words, 1.0, (" a", " b"), 0.3), OPTIONS) == 2
    assert local_agreement(evidence(words, 1.0, (" a", " x"), 0.5), OPTIONS) == 1


def test_agreement_on_an_unsure_word_waits_until_it_is_well_behind():
    words = [word(" a", 0.0, 0.8, 0.3)]
    assert local_agreement(evidence(words, 1.0, (" a",), 0.5), OPTIONS) == 0
    assert local_agreement(evidence(words, 1.3, (" a",), 0.5), OPTIONS) == 1


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


@given(words_of, st.lists(st.sampled_from([" a", " b", " c"]), max_size=6), st.floats(0.0, 1.0), st.floats(0.0, 2.0))
def test_hybrid_settles_what_either_settles_and_more_audio_never_unsettles(drawn, previous, apart_s, more_s):
    at, words = 0.0, []
    for text, length, probability in drawn:
        words.append(word(text, at, at + length, probability))
        at += length
    now = evidence(words, at + 0.2, tuple(previous), apart_s)
    later = evidence(words, at + 0.2 + more_s, tuple(previous), apart_s)
    assert hybrid(now, OPTIONS) >= max(align(now, OPTIONS), local_agreement(now, OPTIONS))
    assert all(policy(later, OPTIONS) >= policy(now, OPTIONS) for policy in POLICIES.values())
