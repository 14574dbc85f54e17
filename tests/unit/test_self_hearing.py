"""Hearing oneself: the guard's decisions, ten minutes of two people at one loudspeaker, and the echo canceller."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import AudioChunk, Event, Fault, Lag, ReadingUnit, SpeechChunk, Transcript, Word
from pipeline.policies.self_hearing import DELAY_S, WINDOW_S, SelfHearing
from pipeline.policies.unit_policy import UnitSettings
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.sources import echo
from pipeline.sources.echo import AHEAD_S, FRAME, HZ, Played
from pipeline.stages.speak import SpokenTarget

SPOKEN_S = 4.0
WORDS = st.text(st.sampled_from("abcdefghijklmnop"), min_size=3, max_size=8)
TEXTS = st.lists(WORDS, min_size=4, max_size=20, unique=True)


def heard(words: list[str], start: float, length_s: float = 1.0, language: str = "es") -> ReadingUnit:
    source = tuple(Word(f" {word}", start, start + length_s, 0.9) for word in words)
    return ReadingUnit(0, source, "", "en", start, start + length_s, start + length_s, "en", language)


def guard(words: list[str]) -> SelfHearing:
    """One that has spoken these words from 10 s on."""
    hearing = SelfHearing()
    hearing.say(" ".join(words), "es", 10.0, 10.0 + SPOKEN_S / 2)
    hearing.say(" ".join(words), "es", 10.0 + SPOKEN_S / 2, 10.0 + SPOKEN_S)
    return hearing


@given(TEXTS, st.data())
def test_any_stretch_of_what_was_spoken_is_known_again_within_the_window(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 3))
    count = data.draw(st.integers(3, len(words) - first))
    at = data.draw(st.floats(10.0, 10.0 + SPOKEN_S + WINDOW_S))
    stretch = [word.upper() + "," for word in words[first : first + count]]
    assert guard(words).is_echo(heard(stretch, at))


@given(st.lists(WORDS, min_size=10, max_size=20, unique=True), st.integers(0, 19))
def test_a_word_that_was_misheard_changes_nothing(words: list[str], place: int) -> None:
    misheard = [word if number != place else "q" * len(word) for number, word in enumerate(words)]
    assert guard(words).is_echo(heard(misheard, 12.0))


@given(TEXTS, TEXTS, st.floats(0.0, 30.0))
def test_other_words_are_never_taken_for_it(words: list[str], others: list[str], at: float) -> None:
    answer = [f"{word}z" for word in others]
    assert not guard(words).is_echo(heard(answer, at))


@given(TEXTS, st.floats(0.01, 100.0))
def test_what_is_heard_later_before_or_in_another_language_is_no_echo(words: list[str], after_s: float) -> None:
    hearing = guard(words)
    assert not hearing.is_echo(heard(words, 10.0 + SPOKEN_S + WINDOW_S + after_s))
    assert not hearing.is_echo(heard(words, 10.0 - 1.0 - after_s))
    assert not hearing.is_echo(heard(words, 12.0, language="fr"))


def test_an_answer_that_is_a_word_of_the_question_is_translated() -> None:
    hearing = guard(["quieres", "un", "café"])
    assert not hearing.is_echo(heard(["café"], 10.0 + SPOKEN_S + DELAY_S + 0.1))
    assert hearing.is_echo(heard(["café"], 10.0 + SPOKEN_S))
    assert not hearing.is_echo(heard([], 12.0))


def test_texts_without_spaces_are_compared_by_characters() -> None:
    hearing = SelfHearing()
    hearing.say("你想喝咖啡吗?", "zh", 10.0, 12.0)
    assert hearing.is_echo(heard(["你想喝", "咖啡"], 11.0, language="zh"))
    assert not hearing.is_echo(heard(["我喜欢", "绿茶"], 11.0, language="zh"))


# Two people at one loudspeaker: a word is a tone, English below 2 kHz and Spanish above, heard at any loudness.

SLOT_S, SOUND_S, COUNT = 0.4, 0.3, 200
FIRST_HZ = {"en": 400, "es": 2200}
ECHO = 10 ** (-10 / 20)
ECHO_DELAY_S = 0.15


def tones(words: list[tuple[str, int]]) -> np.ndarray:
    sound = np.arange(round(SOUND_S * HZ)) / HZ
    rest = np.zeros(round((SLOT_S - SOUND_S) * HZ))
    pieces = [0.5 * np.sin(2 * np.pi * (FIRST_HZ[language] + 8 * number) * sound) for language, number in words]
    return np.concatenate([part for piece in pieces for part in (piece, rest)] or [rest]).astype(np.float32)


class Tones:
    """Recognizer, translator and synthesizer of the tones."""

    @asynccontextmanager
    async def open(self, *asked: object) -> AsyncIterator[Tones]:
        fresh = Tones()
        fresh._rest, fresh._start_s, fresh._silent_s = np.zeros(0, np.float32), 0.0, 0.0
        yield fresh

    async def hear(self, audio: AudioChunk) -> Transcript:
        self._rest = np.concatenate([self._rest, audio.samples])
        words = list(self._words())
        self._silent_s = 0.0 if words else self._silent_s + audio.duration
        language = words[0].text[1:3] if words else ""
        return Transcript(tuple(words), (), language, audio.end, self._silent_s, ended=0.5 <= self._silent_s < 0.6)

    async def finish(self) -> Transcript:
        return Transcript((), (), "", self._start_s, 0.0, ended=True)

    def _words(self):
        """Take the tones that have ended, those of the loudest where several sound at once."""
        window = HZ // 100
        while True:
            level = np.abs(self._rest[: len(self._rest) // window * window]).reshape(-1, window).max(axis=1, initial=0)
            loud = level > 0.02
            begin = int(np.argmax(loud)) if loud.any() else len(loud)
            quiet = np.flatnonzero(~loud[begin:])
            if not len(quiet):
                self._drop(begin * window)
                return
            sound = self._rest[begin * window : (begin + int(quiet[0])) * window]
            start_s = self._start_s + begin * window / HZ
            self._drop((begin + int(quiet[0])) * window)
            if len(sound) > 0.15 * HZ:
                spectrum = np.abs(np.fft.rfft(sound, 4 * HZ))
                hz = int(np.argmax(spectrum)) / 4
                language = "en" if hz < 2100 else "es"
                yield Word(f" {language}{round((hz - FIRST_HZ[language]) / 8)}", start_s, self._start_s, 1.0)

    def _drop(self, count: int) -> None:
        self._rest, self._start_s = self._rest[count:], self._start_s + count / HZ

    async def translate(self, request: TranslationRequest) -> Translation:
        await asyncio.sleep(0.02)
        words = [f"{request.target_language}{word[2:]}" for word in request.source.split()]
        return Translation(" ".join(words))

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        whole = "".join([piece async for piece in text])
        words = [(word[:2], int(word[2:])) for word in whole.split()]
        yield SpeechChunk(unit.number, tones(words), HZ, last=True)


class Room:
    """A source that hears two people, and 10 dB below them what the session speaks; and the sink that plays it."""

    live = True

    def __init__(self, seconds: float) -> None:
        self.events: list[Event] = []
        self.said: list[str] = []
        self._sound = np.zeros(round((seconds + 60) * HZ), np.float32)
        self._seconds = seconds
        number, at, language = 0, 1.0, "en"
        while at < seconds - 20:
            words = [(language, (number + more) % COUNT) for more in range(8)]
            self._add(at, tones(words))
            self.said += [f"{one}{word}" for one, word in words]
            number, at, language = number + 8, at + 10.0, "es" if language == "en" else "en"

    def _add(self, at: float, samples: np.ndarray) -> None:
        first = round(at * HZ)
        self._sound[first : first + len(samples)] += samples[: len(self._sound) - first]

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        loop = asyncio.get_running_loop()
        began, step = loop.time(), HZ // 10
        for number in range(round(self._seconds * 10)):
            await asyncio.sleep(max(0.0, began + (number + 1) / 10 - loop.time()))
            yield AudioChunk(self._sound[number * step : (number + 1) * step], HZ, number / 10)

    async def put(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, SpeechChunk):
            self._add(event.start + ECHO_DELAY_S, ECHO * event.samples)

    async def close(self) -> None: ...


async def talk(seconds: float, *, self_hearing: bool) -> Room:
    room, tones_ = Room(seconds), Tones()
    options = SessionOptions(
        ("en", "es"),
        ("es", "en"),
        spoken="es",
        also_spoken=(SpokenTarget("en", tones_),),
        one_track=True,
        self_hearing=self_hearing,
        units=UnitSettings(policy="pauses"),
    )
    await Session(Models(tones_, tones_, tones_), options).run(room, [SinkQueue(room)])
    return room


def spoken_units(room: Room) -> list[ReadingUnit]:
    lags = {(event.target, event.unit) for event in room.events if isinstance(event, Lag)}
    return [one for one in room.events if isinstance(one, ReadingUnit) and (one.target, one.number) in lags]


@pytest.mark.looptime(noop_cycles=2)
async def test_ten_minutes_of_hearing_oneself_translate_nothing_twice() -> None:
    room = await talk(600, self_hearing=True)
    translated = [word.text.strip() for unit in spoken_units(room) for word in unit.source]
    expected = room.said
    twice = [unit for unit in spoken_units(room) if _times(unit, translated, expected)]
    assert len(twice) <= 1
    assert sum(word not in translated for word in expected) <= 8  # a unit of the people's own
    assert len([one for one in room.events if isinstance(one, Fault)]) == 1  # told once


@pytest.mark.looptime(noop_cycles=2)
async def test_without_the_guard_it_would_translate_itself() -> None:
    """The test above would miss this if nothing were fed back."""
    room = await talk(60, self_hearing=False)
    translated = [word.text.strip() for unit in spoken_units(room) for word in unit.source]
    assert len([unit for unit in spoken_units(room) if _times(unit, translated, room.said)]) > 5


def _times(unit: ReadingUnit, translated: list[str], said: list[str]) -> bool:
    """True for a unit with a word that was translated more often than a person said it."""
    return any(translated.count(word.text.strip()) > said.count(word.text.strip()) for word in unit.source)


def test_what_is_played_waits_for_the_canceller_but_not_for_long() -> None:
    played = Played()
    played.put(np.ones(48_000, np.float32), 48_000)
    assert len(played._waiting) == round(AHEAD_S * HZ)
    taken = [played.take(FRAME) for _ in range(round(AHEAD_S * 100) + 1)]
    assert np.concatenate(taken[:-1]).min() > 0.9
    assert not taken[-1].any()


async def test_whoever_ends_the_canceller_ends_the_microphone(monkeypatch) -> None:
    package = SimpleNamespace(AudioProcessor=lambda **_: SimpleNamespace(process=lambda heard, _: heard))
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", package)
    monkeypatch.setattr(echo, "check_echo_canceller", lambda: None)
    closed = []

    class Microphone:
        live = True

        async def __aiter__(self):
            try:
                while True:
                    yield AudioChunk(np.zeros(FRAME, np.float32), HZ, 0.0)
            finally:
                closed.append(True)

    async with aclosing(aiter(echo.WithoutEcho(Microphone(), Played()))) as chunks:
        await anext(chunks)
    assert closed


async def test_the_canceller_takes_out_what_is_played_and_leaves_who_speaks() -> None:
    pytest.importorskip("pywebrtc_audio")
    from pipeline.sources.echo import WithoutEcho

    random, seconds = np.random.default_rng(0), 12
    envelope = np.repeat(random.uniform(0.1, 1, seconds * 5), HZ // 5)
    played = (0.2 * envelope * random.standard_normal(seconds * HZ)).astype(np.float32)
    near = np.zeros_like(played)
    near[9 * HZ :] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * HZ) / HZ)
    played[9 * HZ :] = 0
    heard_ = near + ECHO * np.concatenate([np.zeros(round(ECHO_DELAY_S * HZ)), played])[: len(played)].astype(np.float32)
    reference = Played()

    class Hearing:
        live = True

        async def __aiter__(self):
            for first in range(0, len(heard_), 800):
                reference.put(played[first : first + 800], HZ)
                yield AudioChunk(heard_[first : first + 800], HZ, first / HZ)

    chunks = [chunk async for chunk in WithoutEcho(Hearing(), reference) if isinstance(chunk, AudioChunk)]
    assert all(abs(one.end - other.start) < 1e-6 for one, other in pairwise(chunks))
    cleaned = np.concatenate([chunk.samples for chunk in chunks])

    def level_db(samples: np.ndarray, start_s: float, end_s: float) -> float:
        return 10 * np.log10(np.mean(samples[round(start_s * HZ) : round(end_s * HZ)] ** 2))

    assert level_db(cleaned, 4, 9) < level_db(heard_, 4, 9) - 15
    assert level_db(cleaned, 10, 12) > level_db(heard_, 10, 12) - 3
