"""The live speaker's voice: what is collected, when it is learned, and that the speech changes to it between units."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, Refused
from pipeline.events import AudioChunk, Fault, Lag, ReadingUnit, SpeechChunk, Transcript, Word
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.stages.speak import whole
from pipeline.voices.reference_clip import LONGEST_S, VOICE_HZ
from pipeline.voices.speaker_voices import ENROL_S, KEPT_S, REFINE_S, LiveVoice, SpeakerVoices, VoicesLearner, _as_one
from tests import scripted
from tests.scripted_voices import PRESET, Learner

HZ = 16_000


def chunk(start_s, seconds=0.1, level=0.5, rate=HZ):
    return AudioChunk(np.full(round(seconds * rate), level, np.float32), rate, start_s)


def words(*spans, probability=1.0):
    committed = tuple(Word(" word", start, end, probability) for start, end in spans)
    return Transcript(committed, (), "en", spans[-1][1] if spans else 0.0, 0.0, ended=False)


def test_it_is_due_once_at_each_length_and_then_everything_is_freed():
    live = LiveVoice()
    clips = []
    for number in range(400):
        live.hear(chunk(number * 0.1))
        live.note(words((number * 0.1, number * 0.1 + 0.1)))
        if (clip := live.due()) is not None:
            clips.append((number * 0.1, clip))
    (first_s, first), (second_s, second) = clips
    assert first.sample_rate == second.sample_rate == VOICE_HZ
    assert first_s == pytest.approx(ENROL_S, abs=0.4)
    assert second_s == pytest.approx(REFINE_S, abs=0.4)
    assert ENROL_S <= first.duration < ENROL_S + 0.3
    assert REFINE_S <= second.duration < REFINE_S + 0.3
    assert live.done
    assert live.speech_s == 0
    assert not live._audio


def test_only_the_audio_of_sure_words_is_collected():
    live = LiveVoice()
    for number in range(100):
        live.hear(chunk(number * 0.1, level=0.5 if 2 <= number * 0.1 < 4 else 0.01))
    live.note(words((2.1, 3.0), (3.1, 3.9)))
    live.note(words((5.0, 7.0), probability=0.2))
    live.note(words())
    samples = _as_one(live._collected)
    assert live.speech_s == pytest.approx(1.8 + 2 * 0.08, abs=0.01)
    assert (np.abs(samples[2000:-2000]) > 0.4).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.05, 0.9), min_size=4, max_size=12), st.lists(st.integers(200, 4000), min_size=1, max_size=5))
def test_the_cut_of_the_audio_changes_nothing(lengths, sizes):
    ends = np.cumsum([length + 0.05 for length in lengths])
    spans = [(float(end - length), float(end)) for end, length in zip(ends, lengths, strict=True)]
    audio = np.random.default_rng(0).normal(0, 0.1, int((ends[-1] + 0.2) * HZ)).astype(np.float32)

    def collected(cuts):
        live = LiveVoice([1e9])
        start = 0
        for size in cuts:
            live.hear(AudioChunk(audio[start : start + size], HZ, start / HZ))
            start += size
        live.note(words(*spans))
        return _as_one(live._collected)

    cuts = [sizes[number % len(sizes)] for number in range(len(audio) // 200 + 1)]
    enough = int(np.searchsorted(np.cumsum(cuts), len(audio))) + 1
    np.testing.assert_allclose(collected(cuts[:enough]), collected([len(audio)]), atol=1e-6)


def test_no_audio_is_taken_twice_where_words_touch():
    live = LiveVoice([1e9])
    for number in range(60):
        live.hear(chunk(number * 0.1))
    for number in range(50):
        live.note(words((number * 0.1, number * 0.1 + 0.1)))
    assert live.speech_s == pytest.approx(5.0 + 0.08, abs=0.01)


def test_a_gap_and_a_change_of_rate_make_pieces():
    live = LiveVoice([1e9])
    live.hear(chunk(0.0, 1.0))
    live.hear(chunk(3.0, 1.0))
    live.hear(chunk(4.0, 1.0, rate=48_000))
    live.note(words((0.0, 5.0)))
    assert live.speech_s == pytest.approx(3.0, abs=0.01)
    assert [piece.sample_rate for piece in live._collected] == [HZ, HZ, 48_000]
    assert len(_as_one(live._collected)) == pytest.approx(3 * VOICE_HZ, abs=3)


def test_memory_is_bounded_when_nobody_speaks():
    live = LiveVoice()
    for number in range(3000):
        live.hear(chunk(number * 0.1))
    assert sum(piece.duration for piece in live._audio) <= KEPT_S + 0.2


def test_a_long_turn_gives_no_clip_that_is_too_long():
    live = LiveVoice()
    for number in range(400):
        live.hear(chunk(number * 0.1))
    live.note(words((0.0, 39.0)))
    assert live.due().duration == LONGEST_S
    assert live.due() is None
    assert live.done


def same_voice(synthesizer):
    return SpeakerVoices(synthesizer, learner=VoicesLearner(synthesizer, one=True))


def unit(number):
    return ReadingUnit(number, (), "hola hola", "es", 0.0, 1.0, 1.0)


async def loudness(speaking, number) -> float:
    chunks = [part async for part in speaking.say(unit(number), whole("hola hola"))]
    assert chunks[-1].last
    return float(chunks[0].samples[0])


async def hear(same, until_s, level=0.5, start_s=0.0):
    for number in range(round(start_s * 10), round(until_s * 10)):
        await same.learner.put(chunk(number * 0.1, level=level))
        await same.learner.put(words((number * 0.1, number * 0.1 + 0.1)))


async def test_a_preset_speaks_until_the_voice_is_learned_and_refined():
    learner = Learner()
    same = same_voice(learner)
    async with same.open(None, "es") as speaking:
        assert await loudness(speaking, 0) == PRESET
        await hear(same, 6.0, level=0.5)
        assert await loudness(speaking, 1) == pytest.approx(0.5, abs=0.01)
        await hear(same, 13.0, level=0.3, start_s=6.0)
        assert await loudness(speaking, 2) == pytest.approx(0.4, abs=0.05)
        assert await loudness(speaking, 3) == pytest.approx(0.4, abs=0.05)
    assert [voice and voice.name for voice in learner.opened] == [None, "same", "same"]
    assert learner.open_now == 0
    assert len(learner.enrolled) == 2


async def test_a_session_that_could_not_be_opened_with_the_voice_is_opened_at_the_next_try(monkeypatch):
    learner = Learner()
    same = same_voice(learner)

    def full(*_):
        raise DeviceError("no memory for a session")

    async with same.open(None, "es") as speaking:
        await hear(same, 6.0)
        with monkeypatch.context() as without_memory:
            without_memory.setattr(learner, "open", full)
            for _ in range(2):  # never with the session that is closed
                with pytest.raises(DeviceError):
                    await loudness(speaking, 0)
        assert await loudness(speaking, 0) == pytest.approx(0.5, abs=0.01)
    assert learner.open_now == 0


async def test_a_unit_that_is_being_spoken_keeps_its_voice():
    same = same_voice(Learner())
    async with same.open(Voice("vivian"), "es") as speaking:
        chunks = speaking.say(unit(0), whole("hola hola"))
        first = await anext(chunks)
        await hear(same, 6.0)
        second = await anext(chunks)
        assert first.samples[0] == second.samples[0] == PRESET
        await chunks.aclose()


async def test_a_synthesizer_that_cannot_clone_is_refused_at_once():
    with pytest.raises(Refused, match="cannot clone"):
        async with same_voice(Learner(clones=False)).open(None, "es"):
            pytest.fail("it was opened")


async def test_a_clip_that_is_refused_is_told_and_the_next_one_is_tried(monkeypatch):
    learner = Learner()
    same = same_voice(learner)
    good = learner.enrol

    async def clipped(audio):
        raise BadInput("it is clipped")

    async with same.open(None, "es") as speaking:
        monkeypatch.setattr(learner, "enrol", clipped)
        await hear(same, 6.0)
        assert same.learner.notices == [Fault("speak", "the speaker's voice was not learned: it is clipped", fatal=False)]
        assert await loudness(speaking, 0) == PRESET
        monkeypatch.setattr(learner, "enrol", good)
        await hear(same, 13.0, start_s=6.0)
        assert await loudness(speaking, 1) == pytest.approx(0.5, abs=0.01)


class Fixed:
    """A talk at one level."""

    live = True

    def __init__(self, seconds):
        self._talk = scripted.Talk(seconds)

    async def __aiter__(self):
        async for piece in self._talk:
            yield replace(piece, samples=np.full_like(piece.samples, 0.4))


@pytest.mark.looptime
async def test_in_a_session_the_voice_changes_and_no_unit_is_lost():
    learner = Learner()
    same = same_voice(learner)
    models = scripted.Models()
    kept = scripted.Keep()
    session = Session(Models(models, models, same), SessionOptions(("en",), ("es",), spoken="es"))
    async with asyncio.timeout(100):
        await session.run(Fixed(30.0), [SinkQueue(same.learner), SinkQueue(kept)])
    units = kept.of(ReadingUnit)
    spoken = [piece for piece in kept.of(SpeechChunk) if len(piece.samples)]
    levels = [round(float(np.median(piece.samples)), 2) for piece in spoken]
    assert units
    assert {lag.unit for lag in kept.of(Lag)} == {one.number for one in units}
    assert levels[0] == pytest.approx(PRESET, abs=0.02)
    assert levels[-1] == pytest.approx(0.4, abs=0.03)
    assert len(learner.opened) == 3
