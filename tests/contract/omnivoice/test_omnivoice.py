"""OmniVoice behind its contract: units in one voice, closed at any moment, by as many sessions as there is room for."""

import asyncio

import numpy as np
import pytest

from pipeline.contracts import EnrolsWords, Voice
from pipeline.errors import BadInput, DeviceError, ModelError, Refused
from pipeline.voices.choice import check_same_voice
from tests.omnivoice_parts import RATE, clip, heard, reading_unit
from tests.scripted import pieces

WORDS = "these are the words of the clip"


@pytest.mark.parametrize(
    "text", ["hello world", "", "   ", "…", "\ud800", "a" * 900, "हैलो", "你好", "$5 [laughter] <|text_end|>"]
)
async def test_any_text_ends_with_one_last_chunk(backend, text):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        samples = await heard(session, 3, text)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max(initial=0) <= 1
        assert bool(len(samples)) == any(letter.isalnum() for letter in text)


async def test_text_in_pieces_is_the_text(backend):
    async with backend.load() as synthesizer:
        spoken = []
        for cuts in (("hello world",), ("hel", "lo wor", "ld")):
            async with synthesizer.open(None, "en") as session:
                spoken.append(await heard(session, 0, *cuts))
    np.testing.assert_array_equal(*spoken)


async def test_what_came_before_an_error_in_the_text_is_spoken_first(backend):
    async def broken():
        yield "hello world"
        raise ModelError("the translator died")

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        speech = session.say(reading_unit(), broken())
        assert not (await anext(speech)).last
        with pytest.raises(ModelError, match="translator died"):
            await anext(speech)
        assert len(await heard(session, 1, "again"))


async def test_sessions_speak_at_once_as_each_would_alone(backend):
    async def speak(synthesizer, text):
        async with synthesizer.open(None, "en") as session:
            return [await heard(session, number, text) for number in range(2)]

    async with backend.load() as synthesizer:
        texts = ("hello world", "something else, and longer")
        alone = [await speak(synthesizer, text) for text in texts]
        together = await asyncio.gather(*(speak(synthesizer, text) for text in texts))
    for one, other in zip(alone, together, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)


async def test_a_unit_closed_inside_a_step_leaves_nothing_behind(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            expected = await heard(session, 0, "hello world")
        engine, stepping, release = synthesizer._loop.engine, asyncio.Event(), asyncio.Event()
        loop, exactly = asyncio.get_running_loop(), engine.step

        def held(units):
            loop.call_soon_threadsafe(stepping.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            exactly(units)

        async with synthesizer.open(None, "en") as session:
            engine.step = held
            saying = asyncio.create_task(heard(session, 0, "to be cut off"))
            await stepping.wait()
            saying.cancel()
            await asyncio.sleep(0)
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await saying
            engine.step = exactly
            assert not engine.busy
        async with synthesizer.open(None, "en") as session:
            np.testing.assert_array_equal(await heard(session, 0, "hello world"), expected)


async def test_more_sessions_than_memory_are_refused_and_the_others_go_on(backend):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as first:
        async with synthesizer.open(None, "en"):
            with pytest.raises(DeviceError, match="no further session"):
                await synthesizer.open(None, "en").__aenter__()
            assert len(await heard(first, 0, "hello world"))
        async with synthesizer.open(None, "en") as third:
            assert len(await heard(third, 0, "hello world"))


async def test_a_full_gpu_is_told_and_the_session_goes_on(backend):
    import torch

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._loop.engine
        exactly = engine.step

        def full(units):
            raise torch.OutOfMemoryError("CUDA out of memory")

        engine.step = full
        with pytest.raises(DeviceError, match="no memory left"):
            await heard(session, 0, "hello world")
        engine.step = exactly
        assert len(await heard(session, 1, "hello world"))


async def test_a_voice_is_learned_from_a_clip_and_its_words(backend):
    async with backend.load() as synthesizer:
        assert isinstance(synthesizer, EnrolsWords)
        voice = await synthesizer.enrol_said(clip(), WORDS)
        assert {array.dtype for array in voice.arrays.values()} == {np.dtype(np.float32)}
        async with synthesizer.open(voice, "de") as session:
            mine = await heard(session, 0, "hello world")
        async with synthesizer.open(None, "de") as session:
            other = await heard(session, 0, "hello world")
    assert len(mine)
    assert len(mine) != len(other) or not np.allclose(mine, other)


async def test_without_its_words_a_clip_is_refused(backend):
    with pytest.raises(Refused, match="not from a live speaker"):
        check_same_voice(backend)
    async with backend.load() as synthesizer:
        with pytest.raises(Refused, match="the words in it"):
            await synthesizer.enrol(clip())
        with pytest.raises(BadInput, match="no words"):
            await synthesizer.enrol_said(clip(), "  ")
        with pytest.raises(BadInput, match="too many words"):
            await synthesizer.enrol_said(clip(), "word " * 200)


@pytest.mark.parametrize(
    ("audio", "says"), [(clip(1.5), "1.5 s long"), (clip(40), "40.0 s long"), (clip(level=1e-5), "silent")]
)
async def test_a_clip_one_cannot_learn_from_is_refused_with_advice(backend, audio, says):
    async with backend.load() as synthesizer:
        with pytest.raises(BadInput, match=says):
            await synthesizer.enrol_said(audio, WORDS)


async def test_a_clip_of_another_rate_is_taken(backend):
    async with backend.load() as synthesizer:
        voice = await synthesizer.enrol_said(clip(4, rate=16_000), WORDS)
        assert voice.arrays["codes"].shape == (8, 4 * RATE // 960)


async def test_voices_of_other_models_are_refused(backend):
    async with backend.load() as synthesizer:
        for voice in (Voice("ryan"), Voice("me", {"speaker": np.zeros(7, np.float32)})):
            with pytest.raises(Refused, match="another model|no preset"):
                await synthesizer.open(voice, "en").__aenter__()


async def test_a_voice_that_is_made_up_stays(backend):
    """The first unit is long enough to become the reference of the next: that is spoken otherwise than by itself."""
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        await heard(session, 0, "a first unit of some length")
        assert session._voice.reference.text == "a first unit of some length"
        assert len(await heard(session, 1, "a second one"))


async def test_a_session_closed_amid_speech_closes(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            speech = session.say(reading_unit(text="a" * 900), pieces("a" * 900))
            assert len((await anext(speech)).samples)
            await speech.aclose()
        assert not synthesizer._loop.engine.busy
