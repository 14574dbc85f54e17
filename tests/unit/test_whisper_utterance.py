"""An utterance: where it has voice, where its window is cut, its language, and what becomes of what never settles."""

from dataclasses import replace
from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.scripted_speech import (
    PERFECT,
    Manner,
    NoFeatures,
    ScriptedEngine,
    ScriptedVoice,
    ScriptedWord,
    listen,
    open_stream,
    render,
    write_script,
)
from models.asr.whisper.audio_buffer import AudioPiece
from models.asr.whisper.commit import CommitOptions, Committer, likelier
from models.asr.whisper.hypothesis import HeardWord, Hypothesis
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.stream import Expectation, Stream
from models.asr.whisper.utterance import StreamOutput, Utterance, WindowLimits
from models.asr.whisper.window import FREE_S, KEPT_WORDS, Window
from pipeline.events import Gap, LanguageChanged


def test_a_window_is_cut_in_the_widest_gap_and_in_a_later_one_rather_than_in_one_as_wide():
    def widest(ends, gaps, keep_words=1, keep_s=1.0):
        window = Window(0, NoFeatures())
        window.push(np.zeros(16_000 * 4, np.float32), 1.0)
        window.commit([HeardWord(" a", 0.4 * n + gap, 0.4 * (n + 1), 0.9, (1,)) for n, gap in enumerate(gaps[:ends])])
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


@pytest.mark.parametrize(
    ("voice", "part"),
    [
        ("..######........##########..", (2, 8)),
        ("..##...####........##########..", (7, 11)),
        ("##........##########..", (10, 20)),
        ("..######.....######....", (2, 8)),
        ("..#####.....######....", (12, 18)),
    ],
)
def test_the_last_word_of_a_hypothesis_ends_at_the_first_pause(voice, part):
    found = window_of(voice).voiced_part(place(0), place(len(voice)), last=True)
    assert [(moment - 1.0) / PIECE_S for moment in found] == pytest.approx(part)


@given(
    st.text("#.", min_size=8, max_size=40), st.integers(0, 39), st.integers(0, 9), st.floats(0.0, 0.1), st.integers(0, 20)
)
def test_there_is_voice_where_it_was_heard_also_after_a_cut(voice, first, pieces, margin_s, cut):
    begin, end = place(first) + 0.001, place(first + pieces) + 0.001
    borders = [(moment - place(0)) / PIECE_S for moment in (begin - margin_s, end + margin_s)]
    assume(all(abs(border - round(border)) > 1e-6 for border in borders))  # where rounding decides
    heard = [number for number, one in enumerate(voice) if one == "#"]
    expected = any(place(number) <= end + margin_s and place(number + 1) > begin - margin_s for number in heard)
    window = window_of(voice)
    assert window.is_voiced(begin, end, margin_s) == expected
    part = window.voiced_part(begin, end)
    if cut <= first - 4:
        window.cut(place(cut))
        assert window.is_voiced(begin, end, margin_s) == expected
        assert window.voiced_part(begin, end) == part


def test_what_never_settles_is_decoded_without_what_leads_the_decoder_and_then_given_up():
    """Two words, and then one that lasts as long as there is audio."""

    class Endless(ScriptedEngine):
        def hear(self, start, end):
            said = [HeardWord(" w1", 0.3, 0.6, 0.9, (1,)), HeardWord(" w2", 0.6, 0.9, 0.9, (2,))] if start < 0.3 else []
            return [*said, HeardWord(" w3", max(start, 0.9), end, 0.9, (3,))]

    options, stream, jobs, heard = StreamOptions(), open_stream(StreamOptions()), [], []
    stream.feed(render([ScriptedWord(1, 0.2, 12.0)], 12.0))
    while (job := stream.job()) is not None:
        jobs.append(job)
        stream.accept(Endless(()).decode([job])[0], 0.0)
        heard.append(stream.take())
    assert [word.text for transcript in heard for word in transcript.committed] == [" w1", " w2"]
    (gap,) = (notice for transcript in heard for notice in transcript.notices)
    lost = next(number for number, transcript in enumerate(heard) if transcript.notices)
    assert gap == Gap(0.9, jobs[lost].end - options.keep_s, "unrecognized")
    leads = [bool(job.prefix) for job in jobs[: lost + 1]]
    bare = leads.index(False, leads.index(True))
    settled = max(number for number, transcript in enumerate(heard) if transcript.committed)
    assert jobs[bare].end - jobs[settled].end > options.stall_s
    assert leads[bare:] == [False] * 3, "it is tried thrice"
    assert jobs[lost + 1].start == pytest.approx(gap.end, abs=0.01)


def test_voice_without_words_is_heard_on_in_short_windows_decoded_bare_and_told_as_gaps():
    options, engine = StreamOptions(), ScriptedEngine(())
    heard = listen(open_stream(options), engine, render([ScriptedWord(1, 0.2, 40.0)], 40.0), repeat(4800))
    assert max(end - start for start, end in engine.windows) <= options.window_s + 2 * options.step_s
    assert engine.windows[-1][1] == pytest.approx(40.0)
    assert not any(transcript.committed for transcript in heard)
    gaps = [notice for transcript in heard for notice in transcript.notices]
    assert all(isinstance(gap, Gap) and gap.reason == "unrecognized" for gap in gaps)
    assert gaps[0].start < 0.3
    assert [before.end for before in gaps[:-1]] == pytest.approx([after.start for after in gaps[1:]], abs=0.02)
    assert gaps[-1].end == pytest.approx(40.0, abs=0.1)


class Deaf(ScriptedEngine):
    """Says "end of text" after a prefix of more words than it likes, like tiny.en after a full stop of its own."""

    def __init__(self, script, patience, from_s=0.0, bare_too=False):
        super().__init__(script)
        self.patience, self.from_s, self.bare_too = patience, from_s, bare_too

    def _decode(self, job):
        heard = super()._decode(job)
        deaf = len(job.prefix) > self.patience or (self.bare_too and not job.prefix)
        return replace(heard, words=()) if deaf and job.end > self.from_s else heard


def test_a_decoder_that_goes_deaf_after_a_prefix_is_asked_without_it_and_loses_nothing():
    script = write_script(5, 60, Manner(pauses=0.0))
    heard = listen(open_stream(StreamOptions()), Deaf(script, 5), render(script, script[-1].end + 0.5), repeat(4800))
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]


def test_speech_that_is_not_heard_without_prefix_either_is_told_as_a_gap():
    script = write_script(5, 60, Manner(pauses=0.0))
    engine = Deaf(script, 0, from_s=10.0, bare_too=True)
    heard = listen(open_stream(StreamOptions()), engine, render(script, script[-1].end + 0.5), repeat(4800))
    words = [word for transcript in heard for word in transcript.committed]
    gaps = [notice for transcript in heard for notice in transcript.notices]
    assert [word.text for word in words] == [word.text for word in script[: len(words)]]
    lost = [word for word in script[len(words) :] if not any(gap.start <= word.start + 0.05 <= gap.end for gap in gaps)]
    assert not lost


def test_a_loop_in_the_silence_after_speech_is_seen_before_its_copies_are_dropped():
    window = Window(0, NoFeatures())
    for piece in range(94):
        window.push(np.zeros(512, np.float32), 1.0 if piece < 84 else 0.1)
    window.commit([HeardWord(" ever", 0.9, 1.9, 0.7, (1,)), HeardWord(" failed", 1.9, 2.36, 0.9, (2,))])
    copies = [HeardWord(text, 2.98, 2.98, 0.97, (3,)) for _ in range(8) for text in (" failed", " ever")]
    loop = Hypothesis((HeardWord(" ever", 2.4, 2.98, 0.64, (3,)), *copies), "en")
    assert Committer("hybrid", CommitOptions()).plausible(loop, window, bare=False) is None


def test_what_a_stuttering_word_stands_for_is_what_was_heard_there_before():
    window = window_of("#" * 60)
    committer = Committer("hybrid", CommitOptions())
    stutter = HeardWord(" ill-d-d-d-d-d-d", 1.9, 2.8, 0.6, (3, *[4, 5] * 6))
    loop = Hypothesis((HeardWord(" an", 1.5, 1.9, 0.9, (1,)), stutter), "en")
    before = [HeardWord(text, 1.5 + 0.4 * n, 1.9 + 0.4 * n, 0.8, (9,)) for n, text in enumerate((" an", " ill", " man"))]
    assert committer.plausible(loop, window, bare=False, before=before) is None
    heard = committer.plausible(loop, window, bare=True, before=before)
    assert [word.text for word in heard] == [" an", " ill", " man"]
    assert [word.text for word in committer.plausible(loop, window, bare=True)] == [" an"]


def at(start, step_s, *texts, length_s=None):
    """Words of one token each, ``step_s`` after each other."""
    length_s = step_s if length_s is None else length_s
    return [HeardWord(text, start + n * step_s, start + n * step_s + length_s, 0.9, (n,)) for n, text in enumerate(texts)]


SEE_YOU = at(1.4, 0.2, " See", " you", " tomorrow")


@pytest.mark.parametrize(
    ("heard", "before", "completed"),
    [
        ([*at(1.4, 0.2, " See"), *at(1.6, 0.01, *[" See"] * 20)], SEE_YOU, [" See", " you", " tomorrow"]),
        ([*at(1.4, 0.2, " See"), *at(1.6, 0.01, *[" See"] * 20)], [], [" See"]),
        ([*at(1.4, 0.2, " See"), *at(1.6, 0.01, *[" See"] * 20)], at(1.4, 0.2, *[" See"] * 4), [" See"]),
        (
            [*at(1.4, 0.2, " I", " see"), *at(1.8, 0.01, *[" see"] * 20)],
            at(1.4, 0.2, " I", *[" see"] * 4),
            [" I", " see"],
        ),
        ([*at(1.4, 0.2, " See"), *at(1.58, 0.01, *[" See"] * 20)], at(1.49, 0.2, " See", " you"), [" See", " you"]),
        ([*SEE_YOU[:1], *at(1.6, 0.0, " you", " See", " you")], SEE_YOU, [" See", " you", " tomorrow"]),
        ([*SEE_YOU, *at(2.0, 0.0, " See", " you", " tomorrow")], SEE_YOU, [" See", " you", " tomorrow"]),
        ([*SEE_YOU[:1], *at(1.6, 0.0, " you", " See", " you")], [], [" See"]),
        (at(1.4, 0.1, *[" no"] * 14), SEE_YOU, [" no"] * 14),
    ],
)
def test_what_lies_under_a_loop_or_words_without_length_is_what_was_heard_there_before(heard, before, completed):
    committer = Committer("hybrid", CommitOptions())
    words = committer.plausible(Hypothesis(tuple(heard), "en"), window_of("#" * 60), bare=True, before=before)
    assert [word.text for word in words] == completed


def test_the_word_before_a_loop_lasts_until_the_voice_ends():
    """Else "tents." ended before it was over, and what it was cut to was heard once more: "tense."."""
    loop = [*at(1.4, 0.2, " See", " you"), *at(1.8, 0.0, *[" you"] * 20), *at(3.0, 0.0, " you")]
    words = Committer("hybrid", CommitOptions()).plausible(
        Hypothesis(tuple(loop), "en"), window_of("#" * 40 + "." * 30), bare=True
    )
    assert [(word.text, round(word.end, 2)) for word in words] == [(" See", 1.6), (" you", round(1 + 40 * PIECE_S, 2))]


def test_speech_that_lies_under_a_loop_is_heard_again_and_is_not_taken_for_a_long_word():
    output, window = StreamOutput(), window_of("#" * 220)
    utterance = Utterance(window, Committer("hybrid", CommitOptions()), WindowLimits(20.0, 0.4, 3.0, 6.0), output)
    loop = Hypothesis((*at(1.4, 0.2, " See", " you"), *at(1.8, 0.0, *[" you"] * 20), *at(7.9, 0.0, " you")), "en")
    utterance.settle(loop, last=False, bare=True, may_commit=True)
    assert utterance.again
    assert [(word.text, round(word.end, 2)) for word in output.committed] == [(" See", 1.6), (" you", 1.8)]
    assert window.start == pytest.approx(1.8, abs=0.02)


def test_a_few_words_are_kept_over_a_short_pause():
    """One alone, cut off from those before it, is misheard."""
    output, window = StreamOutput(), window_of("#" * 60 + "." * 40)
    utterance = Utterance(window, Committer("hybrid", CommitOptions()), WindowLimits(20.0, 0.4, 3.0, 6.0), output)
    said = at(1.0, 0.25, *(f" word{n}" for n in range(8)), length_s=0.24)
    utterance.settle(Hypothesis(tuple(said), "en"), last=True, bare=True, may_commit=True)
    utterance.close()
    assert utterance.rest()
    assert [word.text for word in window.words] == [" word5", " word6", " word7"]


@pytest.mark.parametrize("stuck", [0, 2])
def test_a_decoder_that_loops_when_speech_stops_loses_no_word_of_it(stuck):
    """Whisper base, at the end of a short sentence after half a second of silence: "See See See See"."""
    script = [ScriptedWord(n, 0.5 + 0.3 * n, 0.8 + 0.3 * n) for n in range(4)]

    class Looping(ScriptedEngine):
        def _decode(self, job):
            heard = super()._decode(job)
            if job.end < script[-1].end + 0.25 or len(heard.words) <= stuck:
                return heard
            last = heard.words[stuck]
            again = (replace(last, start=last.end, end=last.end) for _ in range(20))
            return replace(heard, words=(*heard.words[: stuck + 1], *again))

    heard = listen(open_stream(StreamOptions()), Looping(script, PERFECT), render(script, 3.5), repeat(4800))
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]


SURE = [(" grain", 0.9), (" perhaps", 0.9)]


@pytest.mark.parametrize(
    ("before", "after", "committed"),
    [
        ([(" or", 0.6), (" two", 0.8)], [(" of", 0.6), (" tube", 0.4)], [" or", " two"]),
        ([(" of", 0.6), (" tube", 0.4)], [(" or", 0.6), (" two", 0.8)], [" or", " two"]),
        ([(" ortoo", 0.9)], [(" or", 0.4), (" two", 0.4)], [" ortoo"]),
        ([(" or", 0.9), (" two", 0.9)], [], []),
        ([], [(" or", 0.2), (" two", 0.2)], [" or", " two"]),
    ],
)
def test_of_two_readings_of_the_same_speech_the_likelier_one_is_committed(before, after, committed):
    """And no word is taken that the newest hypothesis has no reading of, nor one left out."""

    def heard(between):
        spoken = [SURE[0], *between, SURE[1]]
        places = [1.1, *(1.5 + n * 0.8 / len(between) for n in range(len(between))), 2.3]
        ends = [*places[1:], 2.7] if between else [1.5, 2.7]
        rows = zip(spoken, places, ends, strict=True)
        return Hypothesis(tuple(HeardWord(text, at, end, p, (7,)) for (text, p), at, end in rows), "en")

    output, window = StreamOutput(), window_of("#" * 60)
    utterance = Utterance(
        window, Committer("hybrid", CommitOptions(easy_probability=0)), WindowLimits(20.0, 0.4, 3.0, 6.0), output
    )
    utterance.settle(heard(before), last=False, bare=False, may_commit=False)
    utterance.settle(heard(after), last=False, bare=False, may_commit=False)
    utterance.close()
    assert [word.text for word in output.committed] == [SURE[0][0], *committed, SURE[1][0]]


def test_a_likelier_reading_that_lasts_longer_hides_no_word_that_follows_it():
    def heard(*words):
        return Hypothesis(tuple(HeardWord(text, start, end, p, (7,)) for text, start, end, p in words), "en")

    output, window = StreamOutput(), window_of("#" * 60)
    utterance = Utterance(
        window, Committer("hybrid", CommitOptions(easy_probability=0)), WindowLimits(20.0, 0.4, 3.0, 6.0), output
    )
    utterance.settle(
        heard((" we", 1.1, 1.4, 0.9), (" heart", 1.4, 1.95, 0.8), (" a", 1.95, 2.0, 0.5)),
        last=False,
        bare=False,
        may_commit=False,
    )
    rest = (" man", 1.75, 2.2, 0.9), (" say", 2.2, 2.6, 0.9)
    utterance.settle(
        heard((" we", 1.1, 1.4, 0.9), (" hard", 1.4, 1.65, 0.5), (" a", 1.65, 1.75, 0.1), *rest),
        last=True,
        bare=False,
        may_commit=True,
    )
    utterance.settle(
        heard((" we", 1.1, 1.4, 0.9), (" hard", 1.4, 1.65, 0.5), (" a", 1.65, 1.75, 0.9), *rest),
        last=True,
        bare=False,
        may_commit=True,
    )
    utterance.close()
    assert [word.text for word in output.committed] == [" we", " heart", " a", " man", " say"]


def heard_words(pieces, begin_s=1.0):
    return [HeardWord(text, begin_s + 0.3 * n, begin_s + 0.3 * n + 0.25, p, (n,)) for n, (text, p) in enumerate(pieces)]


PIECES = st.lists(st.tuples(st.sampled_from([" a", " b", " c", " d"]), st.floats(0, 1)), max_size=7)


@given(PIECES, PIECES, st.floats(0.8, 1.4))
def test_the_likelier_reading_is_never_less_sure_and_keeps_what_the_newest_alone_says(new, old, begin_s):
    words, before = heard_words(new), heard_words(old, begin_s)
    chosen = likelier(words, before)
    assert {(word.text, word.probability) for word in chosen} <= {*new, *old}
    assert all(one.end <= two.start for one, two in pairwise(chosen) if two in words), "what is heard next is not hidden"
    assert chosen[-1:] == words[-1:], "what is heard last may be another word when more of it is heard"
    assert likelier(words, []) == likelier(words, words) == words
    assert [word.start for word in chosen if word in words] == sorted(word.start for word in chosen if word in words)
    assert likelier(chosen, before) == chosen or len(chosen) != len(words)


def test_every_committed_word_of_a_language_with_spaces_begins_with_one():
    """After a forced word the decoder may go on with a mark or with the rest of that word."""
    window = window_of("#" * 60)
    window.commit([HeardWord(" noise", 1.1, 1.5, 0.9, (1,))])
    committer = Committer("hybrid", CommitOptions())

    def heard(*texts, language="en"):
        words = [HeardWord(text, 1.5 + 0.2 * n, 1.7 + 0.2 * n, 0.9, (n + 5,)) for n, text in enumerate(texts)]
        return [(word.text, word.tokens) for word in committer.plausible(Hypothesis(tuple(words), language), window, False)]

    assert heard("-est", " of") == [(" est", (5,)), (" of", (6,))]
    assert heard(",", " and", " so") == [(" and", (5, 6)), (" so", (7,))], "the mark leads the decoder, unseen"
    assert heard(",") == []
    assert heard("一", "二", language="zh") == [("一", (5,)), ("二", (6,))]


def test_a_word_is_settled_only_when_another_one_follows():
    window = window_of("#" * 120)
    committer = Committer("hybrid", CommitOptions())
    words = [HeardWord(" 3", 1.1, 1.5, 0.9, (1,)), HeardWord(" noise", 1.5, 2.0, 0.9, (2,))]
    window.remember(words)
    window.push(np.zeros(16_000, np.float32), 1.0)
    assert committer.committed_count(words, window) == 1
    assert committer.committed_count(words[:1], window) == 0
    assert committer.count_at_pause(words, window) == 2


def test_an_unsure_word_waits_longer_the_less_sure_all_that_was_heard_is():
    window, committer = window_of("#" * 60), Committer("hybrid", CommitOptions())

    def committed(others):
        words = heard_words([*[(" x", others)] * 12, (" unsure", 0.6), (" next", others)], begin_s=1.0 - 12 * 0.3)
        return committer.count_at_pause(words, window)

    assert [committed(others) for others in (0.95, 0.87, 0.83, 0.7)] == [14, 14, 12, 0]


def test_a_word_cut_off_by_the_end_of_the_audio_does_not_make_speech_hard():
    words = heard_words([(" and", 0.55), (" mister", 0.85), (" John", 0.95), (" dash", 0.1)], begin_s=0.2)
    window, committer = window_of("#" * 15), Committer("hybrid", CommitOptions())
    window.remember(words[:3])
    window.push(np.zeros(16_000, np.float32), 1.0)
    assert committer.options.on(words) != committer.options
    assert committer.committed_count(words, window) == 3


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_in_hard_speech_no_threshold_is_lower_and_in_easy_speech_all_are_as_set(probabilities, sure, pause, easy):
    options = CommitOptions(sure_probability=sure, pause_probability=pause, easy_probability=easy)
    words = heard_words([(" w", probability) for probability in probabilities])
    here = options.on(words)
    harder = options.on([replace(word, probability=word.probability / 2) for word in words])
    for name in ("weak_s", "sure_probability", "pause_probability"):
        assert getattr(options, name) <= getattr(here, name) <= getattr(harder, name) + 1e-9
    if all(probability >= easy for probability in probabilities) and easy <= 0.9:
        assert here == options or here.weak_s - options.weak_s < 1e-9


def said_and_heard(said, heard):
    """A window of 8 s in which ``said`` was committed, and the rest of a hypothesis that hears the words ``heard``."""
    window = window_of("#" * 250)
    window.commit([HeardWord(text, 1.0 + n / 2, 1.4 + n / 2, 0.9, (n,)) for n, text in enumerate(said)])
    rest = window.read((), [HeardWord(text, at, at + 0.4, 0.9, (n,)) for n, (text, at) in enumerate(heard)], bare=False)
    return [word.text for word in rest]


@pytest.mark.parametrize(
    ("heard", "rest"),
    [
        ([(" his", 1.0), (" hair", 1.5), (" was", 2.0), (" cut", 2.5)], [" cut"]),
        ([(" his", 1.0), (" was", 2.0), (" cut", 2.5)], [" cut"]),
        ([(" this", 1.0), (" is", 1.2), (" hair", 1.5), (" was", 2.0), (" was", 2.5)], [" was"]),
        ([(" his", 1.0), (" head", 1.5), (" wasn't", 2.1), (" cut", 2.5)], [" cut"]),
        ([(" his", 1.0), (" head", 1.5), (" was-it", 2.1), (" cut", 2.5)], [" it", " cut"]),
        ([(" his", 1.0), (" head", 1.5), (" wo", 1.8), (" oz", 1.95), (" cut", 2.5)], [" cut"]),
        ([(" his", 1.0), (" head", 1.5)], []),
        ([], []),
    ],
)
def test_a_hypothesis_that_hears_committed_words_otherwise_neither_repeats_nor_skips_a_word(heard, rest):
    assert said_and_heard([" his", " head", " was"], heard) == rest


def test_what_two_hypotheses_say_leads_the_next_but_for_the_newest_seconds():
    window, texts = window_of("#" * 250), [f" w{n}" for n in range(14)]
    first = [HeardWord(text, 1.0 + n / 2, 1.5 + n / 2, 0.9, (n,)) for n, text in enumerate(texts)]
    window.read((), first, bare=False)
    assert not window.lead
    window.read((), [*first[:3], replace(first[3], text=" x"), *first[4:]], bare=False)
    assert [word.text for word in window.lead] == texts[:3]
    window.read([(1.0, 1.5), (1.5, 2.0), (2.0, 2.5)], [replace(first[3], text=" x"), *first[4:]], bare=False)
    free_from_s = first[-1].end - FREE_S
    assert [word.text for word in window.lead] == [" w0", " w1", " w2", " x", *texts[4 : int((free_from_s - 1.0) * 2)]]


def test_a_window_is_cut_before_what_is_read_in_it_has_more_tokens_than_fit():
    """Committed as one token each, the words are spelled in ten when they are read again."""
    window = Window(0, NoFeatures())
    utterance = Utterance(window, Committer("hybrid", CommitOptions()), WindowLimits(20.0, 0.4, 3.0, 6.0), StreamOutput())
    words = tuple(HeardWord(f" w{n}", n / 2, n / 2 + 0.45, 0.9, (n,)) for n in range(18))
    for _ in range(round(9.4 / PIECE_S)):
        utterance.push(AudioPiece(np.zeros(512, np.float32), 0, 1.0, 0.0))
    utterance.settle(Hypothesis(words, "en"), last=False, bare=False, may_commit=True)
    utterance.trim(20.0)
    assert window.start == 0.0
    spelled = tuple(replace(word, tokens=tuple(range(10 * n, 10 * n + 10))) for n, word in enumerate(words))
    utterance.settle(Hypothesis(spelled[len(window.lead) :], "en"), last=False, bare=False, may_commit=True)
    utterance.trim(20.0)
    assert window.start > 0.0


def test_the_end_of_speech_settles_what_was_too_unsure_when_it_stopped():
    committer = Committer("hybrid", CommitOptions())
    words = [
        HeardWord(" by", 1.1, 1.5, 0.9, (1,)),
        HeardWord(" King", 1.5, 2.0, 0.3, (2,)),
        HeardWord(" m", 2, 2, 0.1, (3,)),
    ]
    assert committer.count_at_pause(words, window_of("#" * 120)) == 1
    assert committer.count_at_end(words) == 2


def test_an_utterance_has_one_language_which_is_told_before_its_first_word():
    first = write_script(3, 15, Manner(pauses=0.0))
    pause_s = first[-1].end + 2.0
    script = [*first, *(replace(word, start=word.start + pause_s, end=word.end + pause_s) for word in first)]
    jobs = []

    class Bilingual(ScriptedEngine):
        def _decode(self, job):
            jobs.append(job)
            spoken, other = ("de", "en") if job.start < pause_s else ("en", "de")
            asked = {spoken: 0.95, other: 0.05} if job.detect else {}
            return replace(super()._decode(job), language=job.language or spoken, languages=asked)

    stream = Stream(StreamOptions(), Expectation(("de", "en")), ScriptedVoice, NoFeatures)
    heard = listen(stream, Bilingual(script, PERFECT), render(script, script[-1].end + 0.5), repeat(4800))
    told = [(transcript.language, len(transcript.committed), transcript.notices) for transcript in heard]
    changes = [(index, notice) for index, (_, _, notices) in enumerate(told) for notice in notices]
    assert [notice.language for _, notice in changes] == ["de", "en"]
    assert all(isinstance(notice, LanguageChanged) for _, notice in changes)
    assert [notice.at for _, notice in changes] == pytest.approx([first[0].start, pause_s + first[0].start], abs=0.35)
    (begun, _), (changed, _) = changes
    assert sum(count for _, count, _ in told[:begun]) == 0
    assert sum(count for _, count, _ in told[:changed]) == len(first)
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]
    assert {language for language, *_ in told[begun:changed]} == {"de"}
    assert {language for language, *_ in told[changed:]} == {"en"}
    assert sum(job.detect for job in jobs) < 10, "a language that is settled is not asked for again"


@pytest.mark.parametrize(("pause_s", "together"), [(1.2, True), (3.5, False)])
def test_speech_after_a_short_pause_is_decoded_with_what_came_before_it(pause_s, together):
    """Alone it would begin like a text: with a capital, and with whatever fits half a sentence."""
    first = write_script(3, 12, Manner(pauses=0.0, repeats=0.0))
    shift_s = first[-1].end + pause_s - first[0].start
    script = [*first, *(replace(word, start=word.start + shift_s, end=word.end + shift_s) for word in first)]
    stream, engine, jobs, heard = open_stream(StreamOptions()), ScriptedEngine(script), [], []
    stream.feed(render(script, script[-1].end + 1.0))
    while not stream.exhausted:
        while (job := stream.job()) is not None:
            jobs.append(job)
            stream.accept(engine.decode([job])[0], 0.0)
        heard.append(stream.take())
        stream.finish()
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]
    assert sum(transcript.ended for transcript in heard) == 2
    after = next(job for job in jobs if job.end > script[12].start)
    assert (after.start < first[-1].start) == together


@pytest.mark.parametrize("words", [12, 1])
def test_a_decoder_that_ends_at_the_pause_is_asked_without_what_came_before_it(words):
    """Whisper ends the text after a forced sentence and a pause: base lost the last sentence so, tiny.en a "No."."""
    first, script = said_twice(words)

    class Ending(ScriptedEngine):
        def _decode(self, job):
            heard = super()._decode(job)
            return replace(heard, words=()) if job.start < first[-1].start and job.end > script[12].start else heard

    heard = listen(open_stream(StreamOptions()), Ending(script), render(script, script[-1].end + 1.0), repeat(4800))
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]
    assert not any(transcript.notices for transcript in heard)


def said_twice(words):
    """Twelve words, and after a short pause the first of them once more."""
    first = write_script(3, 12, Manner(pauses=0.0, repeats=0.0))
    shift_s = first[-1].end + 1.2 - first[0].start
    return first, [*first, *(replace(word, start=word.start + shift_s, end=word.end + shift_s) for word in first[:words])]


def test_speech_under_a_last_word_that_is_stretched_over_a_pause_is_heard():
    """Whisper's alignment ends with the audio: tiny.en lost "And Mr. John Dashwood had" under "ill-disposed"."""
    first, script = said_twice(12)

    class Stretching(ScriptedEngine):
        def hear(self, start, end):
            heard = super().hear(start, end)
            if start >= first[-1].start or end <= script[12].start:
                return heard
            before = [word for word in heard if word.start < first[-1].end]
            return [*before[:-1], HeardWord(" again", before[-1].start, end, 0.9, (99,))]

    heard = listen(open_stream(StreamOptions()), Stretching(script), render(script, script[-1].end + 1.0), repeat(4800))
    assert [word.text for transcript in heard for word in transcript.committed] == [word.text for word in script]
    assert not any(transcript.notices for transcript in heard)
