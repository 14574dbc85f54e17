"""eSpeak as a service: any text is spoken or quietly nothing, faults are told, no process outlives its session."""

import asyncio
import errno
import os
import signal
from contextlib import aclosing

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tts.espeak import Espeak
from models.tts.silence import QUIET, SilenceTrim
from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit
from tests.scripted import pieces

pytestmark = pytest.mark.skipif(bool(Espeak().missing()), reason="espeak-ng is not installed")

LONG = "la casa es muy grande y muy bonita " * 60


def unit(text, number=7):
    return ReadingUnit(number, (), text, "es", 0.0, 1.0, 1.0)


async def said(speaking, *texts):
    return [chunk async for chunk in speaking.say(unit("".join(texts)), pieces(*texts))]


def sound(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


def programs():
    return [child.pid for child in psutil.Process().children(recursive=True)]


async def test_speaks_a_unit_in_small_chunks_without_silence_around_it():
    async with Espeak().load() as synthesizer, synthesizer.open(None, "es") as speaking:
        chunks = await said(speaking, "él podría haber sido ", "más amable")
    audio = sound(chunks)
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.sample_rate, chunk.samples.dtype.name) for chunk in chunks} == {(7, 22050, "float32")}
    assert max(chunk.duration for chunk in chunks) <= 0.6
    assert 1.0 < len(audio) / 22050 < 3.0
    loud = np.flatnonzero(np.abs(audio) > QUIET)
    assert loud[0] <= 0.01 * 22050 + 1
    assert len(audio) - loud[-1] <= 0.1 * 22050
    assert np.max(np.abs(audio)) <= 1


async def test_pieces_are_one_text_and_faster_is_shorter():
    async with Espeak().load() as synthesizer, synthesizer.open(None, "es") as speaking:
        whole, cut = await said(speaking, "buenos días a todos"), await said(speaking, "buenos d", "ías a", " todos")
    async with Espeak(words_per_minute=260).load() as synthesizer, synthesizer.open(None, "es") as speaking:
        fast = await said(speaking, "buenos días a todos")
    np.testing.assert_array_equal(sound(whole), sound(cut))
    assert len(sound(fast)) < 0.85 * len(sound(whole))


async def test_a_very_long_text_is_spoken_whole_and_streams():
    async with Espeak(words_per_minute=450).load() as synthesizer, synthesizer.open(None, "es") as speaking:
        seconds = [chunk.duration async for chunk in speaking.say(unit(""), pieces("la casa es grande. " * 550))]
    assert sum(seconds) > 200
    assert max(seconds) < 1


async def test_a_process_killed_in_the_middle_is_told_and_the_next_unit_speaks():
    async with Espeak().load() as synthesizer, synthesizer.open(None, "es") as speaking:
        speech = speaking.say(unit(LONG), pieces(LONG))
        await anext(speech)
        os.kill(programs()[0], signal.SIGKILL)
        with pytest.raises(ModelError, match="code -9"):
            async for _ in speech:
                pass
        assert len(sound(await said(speaking, "hola"))) > 0
    assert programs() == []


async def test_leaving_or_cancelling_kills_the_process():
    async with Espeak().load() as synthesizer:
        async with synthesizer.open(None, "es") as speaking:
            await anext(speaking.say(unit(LONG), pieces(LONG)))
            assert len(programs()) == 1
        assert programs() == []
        async with synthesizer.open(None, "es") as speaking:
            begun = asyncio.Event()

            async def speak():
                async with aclosing(speaking.say(unit(LONG), pieces(LONG))) as speech:
                    async for _ in speech:
                        begun.set()
                        await asyncio.Event().wait()

            async with asyncio.TaskGroup() as group:
                task = group.create_task(speak())
                await begun.wait()
                task.cancel()
            assert programs() == []


async def test_what_it_cannot_do_is_refused_with_what_can():
    async with Espeak().load() as synthesizer:
        with pytest.raises(Refused, match="Qwen3-TTS can; try: the profile gpu"):
            await synthesizer.enrol(AudioChunk(np.zeros(48_000, np.float32), 16_000, 0.0))
        for voice, language, error, text in [
            (Voice("me", {"embedding": np.zeros(3, np.float32)}), "es", Refused, "the profile gpu"),
            (Voice("nobody"), "es", BadInput, "valid: "),
            (Voice("es+nobody"), "es", BadInput, r"no voice 'es\+nobody'"),
            (None, "xx", Refused, "valid: "),
        ]:
            with pytest.raises(error, match=text):
                async with synthesizer.open(voice, language):
                    pass
    with pytest.raises(BadInput, match="80 to 450"):
        async with Espeak(words_per_minute=1000).load():
            pass


async def test_voices_by_language_region_and_variant():
    assert {"en", "es", "ca", "fr", "no"} <= Espeak().languages()
    async with Espeak().load() as synthesizer:
        for voice, language in [(None, "en"), (None, "es-419"), (Voice("es+f3"), "es")]:
            async with synthesizer.open(voice, language) as speaking:
                assert len(sound(await said(speaking, "1 2 3"))) > 0.3 * 22050


@pytest.mark.parametrize("language", ["ja", "zh", "zh-Hant"])
async def test_languages_whose_characters_it_cannot_read_are_not_spoken(language):
    assert language.partition("-")[0] not in Espeak().languages()
    async with Espeak().load() as synthesizer:
        with pytest.raises(Refused, match=f"does not speak '{language}'"):
            async with synthesizer.open(None, language):
                pass


def test_presets_are_known_without_speaking():
    assert {"es", "en-us", "cmn"} <= set(Espeak().presets())
    assert [Espeak().has_preset(name) for name in ("es", "es+f3", "es+nobody", "es+", "nobody", "", "../es")] == [
        True, True, False, False, False, False, False
    ]  # fmt: skip
    with pytest.raises(Refused, match="Qwen3-TTS can; try: the profile gpu"):
        Espeak().check_cloning()


async def test_a_missing_program_names_its_package():
    absent = Espeak(search_path="")
    assert Espeak().missing() == []
    assert "apt-get install espeak-ng" in absent.missing()[0].fix
    assert absent.languages() == frozenset()
    with pytest.raises(ModelError, match="apt-get install espeak-ng"):
        async with absent.load():
            pass


@pytest.mark.parametrize(
    ("error", "kind", "step"),
    [
        (OSError(errno.EMFILE, "Too many open files"), DeviceError, "ulimit -n 4096"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ModelError, "close other programs"),
        (FileNotFoundError(errno.ENOENT, "No such file"), ModelError, "apt-get install espeak-ng"),
    ],
)
async def test_what_the_system_is_out_of_is_no_missing_program(monkeypatch, error, kind, step):
    async def full(*_: object, **__: object) -> None:
        raise error

    async with Espeak().load() as synthesizer, synthesizer.open(None, "es") as speaking:
        monkeypatch.setattr("asyncio.create_subprocess_exec", full)
        with pytest.raises(kind, match=f"{error.strerror}.*{step}"):
            await said(speaking, "hola")


@given(st.lists(st.sampled_from([0.0, 0.5]), max_size=400), st.integers(1, 50))
def test_trimming_keeps_all_sound_however_it_comes(levels, size):
    audio = np.repeat(np.array(levels, np.float32), 3)
    trim = SilenceTrim(1000, 0.02)
    kept = np.concatenate([*(trim.add(audio[start : start + size]) for start in range(0, len(audio), size)), trim.end()])
    loud = np.flatnonzero(audio)
    expected = audio[max(0, loud[0] - 10) : loud[-1] + 21] if len(loud) else audio[:0]
    np.testing.assert_array_equal(kept, expected)


async def test_amounts_are_written_out_for_the_language_of_the_voice():
    async with Espeak().load() as synthesizer, synthesizer.open(Voice("es+f3"), "es") as speaking:
        written, spoken = await said(speaking, ", 5 € **y** 20 km"), await said(speaking, "5 euros y 20 kilómetros")
        np.testing.assert_array_equal(sound(written), sound(spoken))
