"""Each speaker in a voice of their own: presets differ, voices are learned apart and with consent, speech stays open."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.tts.espeak import Espeak
from models.tts.kokoro import Kokoro
from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, Refused
from pipeline.events import AudioChunk, ReadingUnit, SpeechChunk, Transcript, Word
from pipeline.policies.speaker_labels import UNKNOWN
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.stages.speak import whole
from pipeline.stages.speakers import SpeakerOptions
from pipeline.voices.speaker_voices import OPEN, SpeakerVoices, VoicesLearner
from tests import scripted
from tests.scripted_speakers import ScriptedDiarizer

HZ = 16_000


@dataclass
class Choir:
    """A synthesizer whose voices are numbers: a preset's is in its name, a learned one's is how loud the clip is."""

    room: int = 100
    clones: bool = True
    opened: list[str] = field(default_factory=list)
    open_now: int = 0
    most: int = 0

    async def enrol(self, audio: AudioChunk) -> Voice:
        if not self.clones:
            raise Refused("this one cannot clone")
        if audio.duration < 3:
            raise BadInput("too short")
        return Voice("learned", {"level": np.array([np.median(audio.samples)], np.float32)})

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[_Singer]:
        if self.open_now >= self.room:
            raise DeviceError("no memory for a session")
        level = 0.0 if voice is None else float(voice.arrays["level"][0]) if voice.arrays else float(voice.name)
        self.opened.append("default" if voice is None else voice.name)
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        try:
            yield _Singer(level)
        finally:
            self.open_now -= 1


@dataclass
class _Singer:
    level: float

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(unit.number, np.full(100, self.level, np.float32), HZ, last=True)


def unit(speaker: str) -> ReadingUnit:
    return ReadingUnit(0, (), "hola", "es", 0.0, 1.0, 1.0, speaker=speaker)


async def levels(speaking, *speakers: str) -> list[float]:
    found = []
    for speaker in speakers:
        chunks = [chunk async for chunk in speaking.say(unit(speaker), whole("hola"))]
        found.append(round(float(chunks[0].samples[0]), 2))
    return found


async def hear(learner: VoicesLearner, turns: list[tuple[str, float, float]]) -> None:
    """Turns of a speaker, for so many seconds, at that level."""
    at = 0
    for speaker, seconds, level in turns:
        for _ in range(round(seconds * 10)):
            await learner.put(AudioChunk(np.full(HZ // 10, level, np.float32), HZ, at / 10))
            words = (Word(" word", max(0.0, at / 10 - 0.1), at / 10, 1.0, speaker),)
            at += 1
            await learner.put(Transcript(words, (), "en", at / 10, 0.0, ended=False))


async def test_each_speaker_has_a_preset_and_keeps_it():
    choir = Choir()
    async with SpeakerVoices(choir, ("0.0", "0.1", "0.2")).open(None, "es") as speaking:
        assert await levels(speaking, "A", "B", "A", "C", "B", "D", "") == [0.0, 0.1, 0.0, 0.2, 0.1, 0.0, 0.0]
    assert choir.open_now == 0


async def test_turns_do_not_open_speech_again_and_little_stays_open():
    choir = Choir()
    async with SpeakerVoices(choir, tuple(str(number / 10) for number in range(6))).open(None, "es") as speaking:
        await levels(speaking, *("A", "B") * 50)
        assert choir.opened == ["default", "0.1"]
        await levels(speaking, *"CDEF")
        assert choir.most == OPEN
    assert choir.open_now == 0


async def test_with_memory_for_one_session_voices_take_turns():
    choir = Choir(room=1)
    async with SpeakerVoices(choir, ("0.0", "0.1")).open(None, "es") as speaking:
        assert await levels(speaking, "A", "B", "A") == [0.0, 0.1, 0.0]
    assert choir.open_now == 0


async def test_each_voice_is_learned_from_its_own_speech():
    choir = Choir()
    learner = VoicesLearner(choir)
    voices = SpeakerVoices(choir, ("0.0", "0.1"), learner)
    async with voices.open(None, "es") as speaking:
        assert await levels(speaking, "A", "B") == [0.0, 0.1]
        await hear(learner, [("A", 3.0, 0.5), ("B", 3.0, 0.7)] * 2)
        assert await levels(speaking, "A", "B", "C") == [0.5, 0.7, 0.0]
    assert learner.notices == []


async def test_a_voice_is_learned_with_consent_only_and_an_enrolled_one_has_it():
    choir = Choir()
    learner = VoicesLearner(choir, frozenset({"A"}))
    enrolled = {"Eve": Voice("eve", {"level": np.array([0.9], np.float32)})}
    async with SpeakerVoices(choir, ("0.0", "0.1"), learner, enrolled).open(None, "es") as speaking:
        await hear(learner, [("A", 6.0, 0.5), ("B", 6.0, 0.7), ("Eve", 6.0, 0.3)])
        assert await levels(speaking, "A", "B", "Eve") == [0.5, 0.0, 0.9]
    assert set(learner.voices) == {"A"}


async def test_no_voice_is_learned_when_speakers_are_not_told_apart_any_more():
    for consenting in (None, frozenset({"A", UNKNOWN})):
        learner = VoicesLearner(Choir(), consenting)
        await hear(learner, [("A", 6.0, 0.5), (UNKNOWN, 6.0, 0.7)])
        assert set(learner.voices) == {"A"}


async def test_a_synthesizer_that_cannot_learn_is_refused_at_once():
    choir = Choir(clones=False)
    with pytest.raises(Refused):
        async with SpeakerVoices(choir, (), VoicesLearner(choir)).open(None, "es"):
            pytest.fail("it was opened")


async def test_of_many_speakers_memory_is_bounded():
    learner = VoicesLearner(Choir())
    await hear(learner, [(f"S{number}", 0.5, 0.5) for number in range(200)])
    assert len(learner._live) <= 12
    assert sum(chunk.duration for chunk in learner._recent) < 16


@pytest.mark.looptime
async def test_in_a_session_two_speakers_are_spoken_in_two_voices():
    models, choir, keep = scripted.Models(), Choir(), scripted.Keep()
    voices = SpeakerVoices(choir, ("0.0", "0.3"))
    settings = SessionOptions(("en",), ("es",), spoken="es", speakers=SpeakerOptions())
    session = Session(Models(models, models, voices, ScriptedDiarizer()), settings)
    await session.run(scripted.Talk(30), [SinkQueue(keep)])
    speaker = {one.number: one.speaker for one in keep.of(ReadingUnit)}
    heard = {
        (speaker[chunk.unit], round(float(np.median(chunk.samples)), 1))
        for chunk in keep.of(SpeechChunk)
        if len(chunk.samples)
    }
    assert heard == {("Speaker 1", 0.0), ("Speaker 2", 0.3)}
    assert len(choir.opened) == 2


def test_kokoros_voices_of_a_language_take_turns(tmp_path):
    (tmp_path / "voices").mkdir()
    for name in ("af_heart", "af_bella", "am_adam", "bm_lewis", "pf_dora", "pm_alex", "jf_alpha"):
        (tmp_path / "voices" / f"{name}.bin").touch()
    kokoro = Kokoro(str(tmp_path))
    assert list(kokoro.voices_for("en-US")) == ["af_heart", "am_adam", "af_bella", "bm_lewis"]
    assert list(kokoro.voices_for("pt")) == ["pf_dora", "pm_alex"]


@pytest.mark.skipif(bool(Espeak().missing()), reason="no espeak-ng")
def test_espeaks_voices_are_a_language_and_its_variants():
    espeak = Espeak()
    first, *others = espeak.voices_for("de")
    assert first == "de"
    assert len(others) >= 3
    assert all(espeak.has_preset(name) for name in others)
