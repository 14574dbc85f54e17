"""Guards: loops, inventions, echoes, languages, overload, and words that are whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.asr.whisper.hallucination_filter import (
    is_echo,
    is_invented,
    is_real,
    is_said_already,
    loop_begin,
    squeezed_begin,
    stutter_begin,
    token_budget,
)
from models.asr.whisper.hypothesis import HeardWord
from models.asr.whisper.language import LanguageTracker
from models.asr.whisper.load_shedding import LoadShedding
from models.asr.whisper.words import glue_pieces, split_words


def words(*texts, length_s=0.2, probability=0.9, tokens=1):
    return [
        HeardWord(text, index * length_s, (index + 1) * length_s, probability, (7,) * tokens)
        for index, text in enumerate(texts)
    ]


def test_a_loop_is_found_wherever_its_phrase_began():
    looping = words(*[" and", " so", " on"] * 5)
    assert loop_begin([], looping) == 3
    assert loop_begin(looping[:6], looping[6:]) == 0
    assert loop_begin(words(" hello"), looping) == 3


def test_people_repeat_themselves():
    assert loop_begin([], words(" no", " no", " no", " no")) is None
    assert loop_begin([], words(*[" very"] * 11, " good")) is None
    said = words(*[" stop"] * 14)
    assert loop_begin([], said) == 1
    assert loop_begin([], words(*[" stop"] * 3, tokens=4)) == 1
    assert loop_begin([], words(*[" stop"] * 2, tokens=6)) is None
    assert is_real(said[1:])
    assert not is_real(words(*[" stop"] * 14, length_s=0.02)[7:])


def test_a_word_that_is_itself_a_loop_is_found():
    def word(*tokens):
        return HeardWord(" ill-d-d", 1.0, 2.0, 0.6, tokens)

    assert stutter_begin([*words(" an"), word(5, *[6, 7] * 6)]) == 1
    assert stutter_begin([word(*[6] * 12)]) == 0
    assert stutter_begin([word(6, 7, 6, 7, 6, 7)]) is None, "ha-ha-ha is said"
    assert stutter_begin([word(*range(30))]) is None
    assert stutter_begin([word(*range(4), *range(4), *range(4))]) is None


def test_words_the_model_itself_doubts_are_invented():
    assert is_invented(words(" Thank", " you", probability=0.2), no_speech=0.9)
    assert not is_invented(words(" Thank", " you", probability=0.9), no_speech=0.9)
    assert not is_invented(words(" Thank", " you", probability=0.2), no_speech=0.3)
    assert not is_invented([], no_speech=0.9)


def test_the_vocabulary_alone_and_unsure_is_an_echo():
    assert is_echo(words(" Kubernetes", probability=0.4), "Kubernetes, Helm")
    assert not is_echo(words(" Kubernetes", probability=0.9), "Kubernetes, Helm")
    assert not is_echo(words(" We", " use", " Helm", probability=0.4), "Kubernetes, Helm")


def test_a_word_is_said_already_only_at_the_same_time():
    said = words(" no", " no")
    assert is_said_already(HeardWord(" no", 0.25, 0.38, 0.9, (1,)), said)
    assert not is_said_already(HeardWord(" no", 0.4, 0.6, 0.9, (1,)), said)
    assert not is_said_already(HeardWord(" yes", 0.25, 0.38, 0.9, (1,)), said)
    assert is_said_already(HeardWord(" no", 0.16, 0.26, 0.9, (1,)), said[1:]), "more than half of it"
    assert not is_said_already(HeardWord(" no", 0.12, 0.24, 0.9, (1,)), said[1:])


def test_words_without_length_are_invented():
    """The tiny and base models say the whole sentence again after its end, at no time at all."""
    said, again = words(" quite", " right."), words(" I", " do", " not", length_s=0.0)
    assert squeezed_begin([*said, *again]) == 2
    assert squeezed_begin([*said, *again[:2]]) == 4
    assert squeezed_begin([*again, *said]) == 0
    assert squeezed_begin([*said, *again, *said]) == 2


def test_the_token_budget_grows_with_the_audio():
    assert token_budget(0.0) == 8
    assert token_budget(2.0) == 24


def test_a_given_language_is_never_asked_for():
    tracker = LanguageTracker(["de"])
    assert (tracker.language, tracker.guess, tracker.settled, tracker.asks(9.0)) == ("de", "de", True, False)
    tracker.begin_utterance()
    assert tracker.settled


def test_the_first_language_needs_two_sure_updates_or_patience():
    tracker = LanguageTracker(["de", "en"])
    assert not tracker.observe({"de": 0.9, "en": 0.1}, speech_s=1.0, last=False)
    assert tracker.guess == "de"
    assert tracker.observe({"de": 0.95, "en": 0.05}, speech_s=1.5, last=False)
    assert (tracker.language, tracker.settled) == ("de", True)
    unsure = LanguageTracker(["de", "en"])
    assert not unsure.observe({"de": 0.6, "en": 0.4}, speech_s=2.0, last=False)
    assert unsure.observe({"de": 0.3, "en": 0.7}, speech_s=3.0, last=False)
    assert unsure.language == "en"


def test_a_short_utterance_decides_at_its_end():
    tracker = LanguageTracker(["de", "en"])
    assert tracker.observe({"de": 0.55, "en": 0.45}, speech_s=0.4, last=True)
    assert tracker.settled


def test_the_language_changes_only_for_sure():
    tracker = LanguageTracker(["de", "en"])
    tracker.observe({"de": 1.0, "en": 0.0}, speech_s=3.0, last=False)
    tracker.begin_utterance()
    assert tracker.asks(1.0)
    assert not tracker.observe({"de": 0.05, "en": 0.95}, speech_s=1.0, last=False)
    assert not tracker.settled
    assert tracker.observe({"de": 0.05, "en": 0.95}, speech_s=1.5, last=False)
    assert (tracker.language, tracker.settled) == ("en", True)
    tracker.begin_utterance()
    assert not tracker.observe({"de": 0.7, "en": 0.3}, speech_s=1.0, last=False)
    assert not tracker.observe({"de": 0.7, "en": 0.3}, speech_s=2.0, last=False)
    assert not tracker.settled
    assert not tracker.observe({"de": 0.7, "en": 0.3}, speech_s=3.0, last=False)
    assert (tracker.language, tracker.settled) == ("en", True), "unsure to the end of patience: as before"


def test_one_unsure_look_does_not_settle_the_old_language():
    """The probabilities that base gives for German after 2 s of pause in a talk that was English."""
    tracker = LanguageTracker(["de", "en", "nl"])
    tracker.observe({"en": 1.0, "de": 0.0, "nl": 0.0}, speech_s=3.0, last=False)
    tracker.begin_utterance()
    assert not tracker.observe({"de": 0.36, "en": 0.17, "nl": 0.47}, speech_s=1.3, last=False)
    assert not tracker.settled
    assert not tracker.observe({"de": 0.92, "en": 0.04, "nl": 0.04}, speech_s=1.8, last=False)
    assert tracker.observe({"de": 0.99, "en": 0.01, "nl": 0.0}, speech_s=2.3, last=False)
    assert (tracker.language, tracker.settled) == ("de", True)


def test_a_long_utterance_is_asked_again_and_one_sure_look_stops_commits_until_it_is_decided():
    tracker = LanguageTracker(["de", "en"])
    tracker.observe({"en": 1.0, "de": 0.0}, speech_s=3.0, last=False)
    assert not tracker.asks(5.0)
    assert tracker.asks(7.0)
    assert not tracker.observe({"en": 0.7, "de": 0.3}, speech_s=7.0, last=False)
    assert tracker.settled
    assert not tracker.asks(10.0)
    assert not tracker.observe({"en": 0.02, "de": 0.98}, speech_s=11.0, last=False)
    assert not tracker.settled
    assert tracker.asks(11.5)
    assert tracker.observe({"en": 0.02, "de": 0.98}, speech_s=11.5, last=False)
    assert (tracker.language, tracker.settled) == ("de", True)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.1, 4.0), st.booleans(), st.booleans()), max_size=12))
def test_a_tracker_is_settled_after_every_end_of_speech_once_it_was_told_anything(updates):
    tracker, told = LanguageTracker(["de", "en"]), False
    for share, speech_s, last, asked in updates:
        tracker.observe({"de": share, "en": 1 - share} if asked else {}, speech_s, last)
        told = told or asked
        assert (tracker.guess is not None) == told
        if last and (asked or tracker.language):
            assert tracker.settled
            assert tracker.language is not None
            tracker.begin_utterance()


def test_only_an_engine_that_cannot_catch_up_is_relieved():
    fast, slow = LoadShedding(6.0), LoadShedding(6.0)
    for cost_s in (0.1, 8.0, 0.1):
        fast.observe(cost_s)
    assert not fast.degradation(30.0, 0.5).at_once
    slow.observe(0.9)
    assert not slow.degradation(1.0, 0.5).at_once
    steps = [slow.degradation(waiting_s, 0.5) for waiting_s in (2.0, 4.0, 7.0)]
    assert [(step.at_once, step.frugal, step.skip) for step in steps] == [
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]


def test_an_engine_that_fell_behind_is_asked_as_often_as_it_can():
    load = LoadShedding(6.0)
    for cost_s in (0.4, 0.4, 0.4):
        load.observe(cost_s)
    assert not load.degradation(0.3, 0.4).at_once
    assert load.step_s(0.4) == 0.4  # audio that waits for no longer than a step, as where a file is read, changes nothing
    load.degradation(0.6, 0.4)
    load.degradation(0.1, 0.4)
    assert load.step_s(0.4) == pytest.approx(0.5)
    for cost_s in (0.2, 0.2, 0.2):
        load.observe(cost_s)
    load.degradation(0.1, 0.4)
    assert load.step_s(0.4) == 0.4
    for cost_s in (9.0, 9.0, 9.0):
        load.observe(cost_s)
    load.degradation(2.0, 0.4)
    assert load.step_s(0.4) == 1.5


class Bytes:
    """Splits a byte string where a space begins; a token is a byte."""

    eot = 256

    def split_to_word_tokens(self, tokens):
        rows = []
        for token in tokens:
            if not rows or token in (32, self.eot) or chr(token) in ".,?!":
                rows.append([])
            rows[-1].append(token)
        return [bytes(row).decode(errors="replace") if row != [256] else "" for row in rows], rows


def test_punctuation_stays_with_its_word():
    pieces = [
        (" Well", (1,)),
        (",", (2,)),
        (' "', (3,)),
        ("yes", (4,)),
        ("!", (5,)),
        ('"', (6,)),
        (" ¿", (7,)),
        ("Qué", (8,)),
    ]
    assert glue_pieces([(" noise", (1,)), ("-", (2,)), ("est", (3,)), (".1", (4,))]) == [(" noise-est.1", (1, 2, 3, 4))]
    assert glue_pieces([("一", (1,)), ("二", (2,))], spaced=False) == [("一", (1,)), ("二", (2,))]
    assert glue_pieces(pieces) == [(" Well,", (1, 2)), (' "yes!"', (3, 4, 5, 6)), (" ¿Qué", (7, 8))]


@given(st.text(alphabet="aé漢 .,?!", max_size=12), st.integers(0, 40))
def test_no_word_holds_half_a_character_and_no_token_is_invented(text, cut):
    tokens = list(text.encode())[:cut]
    pieces = split_words(tokens, Bytes())
    assert all(not word.endswith("\N{REPLACEMENT CHARACTER}") for word, _ in pieces)
    flat = [token for _, row in pieces for token in row]
    assert flat == tokens[: len(flat)]
