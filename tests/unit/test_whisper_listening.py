"""Listening in virtual time: overload that says what is lost, holes, errors, and streams that share one engine."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.scripted_speech import (
    PERFECT,
    Manner,
    NoFeatures,
    ScriptedEngine,
    ScriptedVoice,
    render,
    write_script,
)
from models.asr.whisper.backend import BatchedEngine
from models.asr.whisper.hypothesis import HeardWord, Hypothesis, Terms
from models.asr.whisper.listening import WhisperRecognizer
from models.asr.whisper.load_shedding import FRUGAL_WINDOW_S
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.prompt_terms import PromptTerms, is_doubtful, says_a_term
from pipeline.errors import BadInput, Refused
from pipeline.events import AudioChunk, Fault, Gap
from pipeline.lane import Lane

RATE = 16_000


class Slow:
    """Decodes after so many virtual seconds; fails where told."""

    def __init__(self, engine, cost_s, failing=()):
        self._engine, self._cost_s, self._failing, self.jobs = engine, cost_s, set(failing), []

    async def decode(self, job):
        self.jobs.append(job)
        await asyncio.sleep(self._cost_s)
        if len(self.jobs) in self._failing:
            raise RuntimeError("engine")
        return self._engine.decode([job])[0]


def recognizer(engine, batched, **settings):
    return WhisperRecognizer(engine, batched, StreamOptions(**settings), ScriptedVoice, NoFeatures)


def speech(seed=1, words=120, pauses=0.05):
    script = write_script(seed, words, Manner(pauses=pauses))
    return script, render(script, script[-1].end + 1.0)


def chunk(audio, start, size=1600):
    return AudioChunk(audio[start : start + size], RATE, start / RATE)


async def live(listening, audio):
    """A microphone that does not wait: what arrives while the recognizer is busy comes as one chunk."""
    loop, begun, at, heard = asyncio.get_running_loop(), asyncio.get_running_loop().time(), 0, []
    while at < len(audio):
        await asyncio.sleep(0.1)
        until = min(len(audio), int((loop.time() - begun) * RATE))
        heard.append((await listening.hear(chunk(audio, at, until - at)), loop.time() - begun))
        at = until
    return [*heard, (await listening.finish(), loop.time() - begun)]


@pytest.mark.looptime
@pytest.mark.parametrize("cost_s", [0.05, 0.7, 1.8, 4.0])
async def test_a_slow_engine_keeps_up_or_says_what_it_left_out(cost_s):
    script, audio = speech()
    engine = ScriptedEngine(script, PERFECT)
    slow = Slow(engine, cost_s)
    async with recognizer(engine, slow, greedy_languages=()).open(["en"], []) as listening:
        heard = await live(listening, audio)
    gaps = [notice for transcript, _ in heard for notice in transcript.notices if isinstance(notice, Gap)]
    words = [word for transcript, _ in heard for word in transcript.committed]
    behind = max(now - transcript.heard_s for transcript, now in heard)
    assert all(gap.reason == "overload" for gap in gaps)
    assert behind <= 6.0 + 3 * cost_s + 1.0
    assert bool(gaps) == (cost_s > 2.0)
    spans = [*engine.windows, *((gap.start, gap.end) for gap in gaps)]
    assert all(any(start <= word.end - 0.03 <= end for start, end in spans) for word in script)
    if not gaps:
        assert [word.text for word in words] == [word.text for word in script]
    skips = [transcript for transcript, _ in heard if set(transcript.notices) & set(gaps)]
    assert all(transcript.ended and not transcript.tentative for transcript in skips), "what follows is another utterance"
    frugal = [(job, after) for job, after in pairwise(slow.jobs) if job.greedy]
    assert all(job.end - after.start <= FRUGAL_WINDOW_S for job, after in frugal)


@pytest.mark.parametrize(("languages", "greedy"), [(["en"], True), (["pt"], False), (["en", "pt"], False)])
async def test_languages_that_need_no_beam_are_decoded_without_once_they_are_known(languages, greedy):
    script, audio = speech(words=8)
    engine = ScriptedEngine(script, PERFECT)
    engine.languages = frozenset({"en", "pt"})
    slow = Slow(engine, 0.0, failing=(1,))  # to ask is enough
    async with recognizer(engine, slow).open(languages, []) as listening:
        with pytest.raises(RuntimeError, match="engine"):
            await listening.hear(chunk(audio, 0, 3 * RATE))
    assert slow.jobs[0].greedy == greedy


async def test_an_error_loses_no_audio_and_the_same_update_is_tried_again():
    script, audio = speech(words=20)
    engine = ScriptedEngine(script, PERFECT)
    slow = Slow(engine, 0.0, failing=(2, 3, 7))
    words, errors = [], 0
    async with recognizer(engine, slow).open(["en"], []) as listening:
        for start in range(0, len(audio), 1600):
            try:
                words += (await listening.hear(chunk(audio, start))).committed
            except RuntimeError:
                errors += 1
        words += (await listening.finish()).committed
    assert errors == 3
    assert [word.text for word in words] == [word.text for word in script]


async def test_two_streams_on_one_engine_hear_what_each_hears_alone():
    scripts = [speech(seed, 25) for seed in (3, 4)]

    async def alone(script, audio):
        engine = ScriptedEngine(script, PERFECT)
        return await all_words(recognizer(engine, Slow(engine, 0.0)), audio)

    class Both:
        """Hears either script: the first word of a window says which, as sound would."""

        n_mels, window_s, languages = 0, 30.0, frozenset({"en"})
        encode_text = tuple
        batches: list[int] = []

        def decode(self, jobs):
            self.batches.append(len(jobs))
            return [engines[int(job.features.shape[0])].decode([job])[0] for job in jobs]

    engines = [ScriptedEngine(script, PERFECT) for script, _ in scripts]
    with Lane("both") as lane:
        both = BatchedEngine(Both(), lane, 8)
        together = await asyncio.gather(
            *(
                all_words(WhisperRecognizer(Both(), both, StreamOptions(), ScriptedVoice, lambda n=n: Numbered(n)), audio)
                for n, (_, audio) in enumerate(scripts)
            )
        )
    assert together == [await alone(*one) for one in scripts]


class Numbered(NoFeatures):
    """Features that say whose they are."""

    def __init__(self, number):
        self._number = number

    def matrix(self):
        return np.zeros((self._number, 0), np.float32)


async def all_words(shared, audio):
    words = []
    async with shared.open(["en"], []) as listening:
        for start in range(0, len(audio), 1600):
            words += (await listening.hear(chunk(audio, start))).committed
        return words + list((await listening.finish()).committed)


async def test_a_transcript_never_reaches_beyond_the_end_of_an_utterance():
    script, audio = speech(words=12, pauses=0.5)
    engine = ScriptedEngine(script, PERFECT)
    async with recognizer(engine, Slow(engine, 0.0)).open(["en"], []) as listening:
        heard = [await listening.hear(chunk(audio, 0, len(audio)))]
        while not heard[-1].committed or heard[-1].ended:
            heard.append(await listening.hear(AudioChunk(audio[:0], RATE, len(audio) / RATE)))
            if heard[-1].heard_s >= len(audio) / RATE - 0.1:
                break
        heard.append(await listening.finish())
    for transcript in heard[:-1]:
        assert all(after.start - before.end < 0.9 for before, after in pairwise(transcript.committed))
    assert [word.text for one in heard for word in one.committed] == [word.text for word in script]


async def test_a_hole_in_the_audio_ends_the_utterance_and_times_go_on_after_it():
    script, audio = speech(words=8, pauses=0.0)
    moved = [*script, *(replace(word, start=word.start + 100.0, end=word.end + 100.0) for word in script)]
    engine = ScriptedEngine(moved, PERFECT)
    async with recognizer(engine, Slow(engine, 0.0)).open(["en"], []) as listening:
        words = []
        for offset_s in (0.0, 100.0):
            for start in range(0, len(audio) - RATE, 1600):
                piece = chunk(audio, start)
                words += (await listening.hear(AudioChunk(piece.samples, RATE, piece.start + offset_s))).committed
        words += (await listening.finish()).committed
    assert [word.text for word in words] == [word.text for word in moved]
    assert words[len(script)].start == pytest.approx(100.0 + script[0].start, abs=0.05)


async def test_bad_audio_is_refused_with_the_reason():
    script, audio = speech(words=3)
    engine = ScriptedEngine(script, PERFECT)
    shared = recognizer(engine, Slow(engine, 0.0))
    async with shared.open(["en"], []) as listening:
        with pytest.raises(BadInput, match="16000 Hz, got 8000"):
            await listening.hear(AudioChunk(audio[:100], 8000, 0.0))
        await listening.hear(chunk(audio, 0))
        with pytest.raises(BadInput, match="in order"):
            await listening.hear(chunk(audio, 0))
        first = await listening.finish()
        assert (await listening.finish()).committed == ()
        assert first.heard_s == pytest.approx(0.1)
        with pytest.raises(BadInput, match="finished"):
            await listening.hear(chunk(audio, 1600))
    with pytest.raises(Refused, match="valid: en"):
        async with shared.open(["xx"], []):
            pass


async def test_notices_of_the_model_open_every_stream():
    engine = ScriptedEngine((), PERFECT)
    fault = Fault("recognize", "no heads", fatal=False)
    shared = replace(recognizer(engine, Slow(engine, 0.0)), notices=(fault,))
    async with shared.open([], []) as listening:
        first = await listening.hear(AudioChunk(np.zeros(1600, np.float32), RATE, 0.0))
        second = await listening.hear(AudioChunk(np.zeros(1600, np.float32), RATE, 0.1))
    assert (first.notices, second.notices) == ((fault,), ())


@pytest.mark.parametrize(("languages", "allowed"), [(["en"], ("en",)), ([], ("de", "en"))])
async def test_every_update_knows_the_languages_and_as_many_of_the_expected_words_as_there_is_room_for(languages, allowed):
    class Spelling(ScriptedEngine):
        languages = frozenset({"en", "de"})

        def encode_text(self, text):
            return tuple(text.strip(" .").split(", "))

    script, audio = speech(words=6)
    engine = Spelling(script)
    slow = Slow(engine, 0.0)
    expected = [" Kubernetes ", "Helm", " ", "Helm", *(f"word{number}" for number in range(200))]
    async with recognizer(engine, slow).open(languages, expected) as listening:
        heard = await listening.hear(chunk(audio, 0, len(audio)))
    assert {job.allowed for job in slow.jobs} == {allowed}
    (fault,) = (notice for notice in heard.notices if isinstance(notice, Fault))
    assert "128 of the 202 terms" in fault.message
    (context,) = {job.terms.tokens for job in slow.jobs if job.terms.tokens}
    assert context == ("Kubernetes", "Helm", *(f"word{number}" for number in range(126)))


async def test_the_update_after_speech_stopped_is_known_as_the_last():
    script, audio = speech(words=6)
    engine = ScriptedEngine(script, PERFECT)
    slow = Slow(engine, 0.0)
    await all_words(recognizer(engine, slow), audio)
    assert not slow.jobs[0].last
    assert slow.jobs[-1].last


def test_a_term_that_was_said_is_expected_before_those_that_were_not():
    terms = [f"term{number:03}" for number in range(300)]
    vocabulary = PromptTerms(terms, lambda text: tuple(text.strip(" .").split(", ")))
    assert vocabulary.tokens == tuple(terms[:128])
    vocabulary.hear([" Then", " Term002,", " and", " Term", "250,", " it", " was"])
    rest = [term for term in terms if term not in {"term250", "term002"}]
    assert vocabulary.tokens == ("term250", "term002", *rest[:126])
    assert not PromptTerms(terms[:5], tuple).notices


def test_a_term_too_long_to_be_told_hides_no_other():
    vocabulary = PromptTerms(["x" * 300, "Ana", "Norland"], lambda text: tuple(text.strip(" .").replace(", ", "")))
    assert vocabulary.text == "Ana, Norland"
    (notice,) = vocabulary.notices
    assert "2 of the 3 terms" in notice.message


def heard_so(*words):
    return Hypothesis(tuple(HeardWord(text, 0.0, 1.0, probability, (1,)) for text, probability in words), "en")


@pytest.mark.parametrize(
    ("again", "taken"),
    [
        (heard_so((" Mr.", 0.9), (" Dashwood", 0.8), (" had", 0.9)), True),
        (heard_so((" Mr.", 0.9), (" Dashwood", 0.3), (" had", 0.5)), False),
        (heard_so((" Mr.", 0.9), (" Cashwood", 0.9), (" had", 0.9)), False),
        (heard_so(), False),
    ],
)
def test_a_second_hearing_is_taken_if_it_says_a_term_and_is_likelier_for_it(again, taken):
    first = heard_so((" Mr.", 0.9), (" Ashwood", 0.5), (" had", 0.8))
    assert is_doubtful(first.words, last=False)
    assert not is_doubtful(first.words[:2], last=False), "the last word may be half heard"
    assert is_doubtful(first.words[:2], last=True), "nothing more of it will be heard"
    assert says_a_term(Terms(" Dashwood, Combe Magna."), first, again) == taken
