"""Words get their speakers: when they are decided, in order, once, and never later than allowed."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.diarizing import SpeakerSpan, SpeakerTurns
from pipeline.events import SpeakerFound, Transcript, Word
from pipeline.policies.speaker_labels import UNKNOWN, SpeakerLabels


def word(number: int) -> Word:
    return Word(f" w{number}", float(number), number + 0.5, 1.0)


def heard(
    heard_s: float, *words: Word, ended: bool = False, language: str = "en", tail: tuple[Word, ...] = ()
) -> Transcript:
    return Transcript(words, tail, language, heard_s, 0.0, ended)


def turns(*spans: tuple[float, float, str], decided_s: float) -> SpeakerTurns:
    return SpeakerTurns(tuple(SpeakerSpan(*span) for span in spans), decided_s)


def committed(transcripts: list[Transcript]) -> list[tuple[str, str]]:
    return [(one.text, one.speaker) for transcript in transcripts for one in transcript.committed]


def test_a_word_waits_for_its_speaker_and_is_shown_meanwhile():
    labels = SpeakerLabels()
    (shown,) = labels.label(heard(1.0, word(0), tail=(word(1),)))
    assert (shown.committed, shown.tentative) == ((), (word(0), word(1)))
    labels.know(turns((0.0, 1.2, "1"), decided_s=1.2))
    (shown,) = labels.label(heard(1.1, tail=(word(1),)))
    assert committed([shown]) == [(" w0", "Speaker 1")]
    assert shown.tentative == (word(1),)
    assert shown.notices == (SpeakerFound("Speaker 1", 0.0),)


def test_no_word_waits_longer_than_a_second_of_audio():
    labels = SpeakerLabels()
    labels.know(turns((0.0, 0.9, "1"), decided_s=0.9))
    assert committed(labels.label(heard(1.0, word(0), word(1)))) == [(" w0", "Speaker 1")]
    assert committed(labels.label(heard(1.9))) == []
    assert committed(labels.label(heard(2.0))) == [(" w1", "Speaker 1")]


def test_names_stand_for_numbers_and_known_voices_for_themselves():
    labels = SpeakerLabels({"2": "Bob"})
    labels.know(turns((0.0, 1.0, "1"), (1.0, 2.0, "2"), (2.0, 3.0, "Ana"), decided_s=3.0))
    assert [speaker for _, speaker in committed(labels.label(heard(3.0, word(0), word(1), word(2))))] == [
        "Speaker 1",
        "Bob",
        "Ana",
    ]


def test_the_end_of_an_utterance_waits_with_its_last_word():
    labels = SpeakerLabels()
    labels.label(heard(1.0, word(0)))
    (shown,) = labels.label(heard(1.2, ended=True))
    assert not shown.ended
    labels.know(turns((0.0, 1.0, "1"), decided_s=2.0))
    first, second = labels.label(heard(1.6, word(1)))
    assert first.ended
    assert not second.ended
    assert committed([first]) == [(" w0", "Speaker 1")]
    assert committed([second]) == [(" w1", "Speaker 1")]


def test_an_utterance_that_ends_without_words_that_wait_ends_at_once():
    (shown,) = SpeakerLabels().label(heard(1.0, ended=True))
    assert shown.ended


def test_words_keep_the_language_in_which_they_were_committed():
    labels = SpeakerLabels()
    labels.label(heard(1.0, word(0)))
    labels.know(turns((0.0, 3.0, "1"), decided_s=3.0))
    shown = labels.label(heard(2.0, word(1), language="fr"))
    assert [(one.language, len(one.committed)) for one in shown] == [("en", 1), ("fr", 1)]


def test_a_diarizer_that_is_lost_holds_no_word_and_names_nobody():
    labels = SpeakerLabels()
    labels.know(turns((0.0, 1.0, "1"), decided_s=1.0))
    labels.label(heard(1.0, word(0), word(1)))
    labels.lose()
    assert committed(labels.label(heard(1.1, word(2)))) == [(" w1", UNKNOWN), (" w2", UNKNOWN)]


def test_one_that_is_lost_before_it_named_anybody_leaves_words_as_they_were():
    labels = SpeakerLabels()
    labels.lose()
    (shown,) = labels.label(heard(1.0, word(0), ended=True))
    assert shown == heard(1.0, word(0), ended=True)


def test_what_the_recognizer_says_of_a_speaker_stays():
    labels = SpeakerLabels()
    labels.know(turns((0.0, 1.0, "1"), decided_s=1.0))
    assert committed(labels.label(heard(1.0, Word(" a", 0.0, 0.5, 1.0, "Eve")))) == [(" a", "Eve")]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 3), st.sampled_from(["en", "fr"])), max_size=20),
    st.data(),
)
def test_every_word_comes_once_in_order_and_ends_are_kept(steps, data):
    labels, out, number, ends = SpeakerLabels(), [], 0, 0
    for index, (count, ended, decided_s, language) in enumerate(steps):
        words = tuple(word(number + offset) for offset in range(count))
        number, ends = number + count, ends + ended
        labels.know(turns((0.0, decided_s, data.draw(st.sampled_from("12"))), decided_s=decided_s * index))
        out += labels.label(heard(float(index), *words, ended=ended, language=language))
    out += labels.label(heard(99.0), final=True)
    assert [text for text, _ in committed(out)] == [f" w{one}" for one in range(number)]
    assert bool(ends) == any(one.ended for one in out)


@pytest.mark.parametrize("wait_s", [0.0, 1.0])
def test_runs_of_words_have_one_speaker_each(wait_s):
    labels = SpeakerLabels(wait_s=wait_s)
    labels.know(turns((0.0, 2.0, "1"), (2.0, 4.0, "2"), decided_s=4.0))
    shown = labels.label(heard(4.0, *(word(number) for number in range(4))))
    assert [speaker for speaker, _ in groupby(committed(shown), key=lambda one: one[1])] == ["Speaker 1", "Speaker 2"]
