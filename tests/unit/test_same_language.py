"""Speech that is in a target language already passes through untranslated, or is muted; nothing is lost over a change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import pytest

from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import AudioChunk, Draft, Lag, LanguageChanged, ReadingUnit, Skipped, SpeechChunk, Transcript, Word
from pipeline.languages import same_language
from pipeline.policies.decision import PROBE
from pipeline.policies.unit_policy import UnitSettings
from pipeline.session import Models as LoadedModels
from pipeline.session import Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.stages.speak import SpokenTarget
from tests.scripted import Keep, Models, Talk

pytestmark = pytest.mark.looptime(noop_cycles=2)

WORD_S = 0.4
MEETING = (("en", 17), ("es", 5), ("en", 1), ("es", 31), ("en", 12), ("es", 1), ("en", 23), ("es", 10))
SPANISH_FIRST = (("es", 40), ("en", 40), ("es", 20))


@dataclass
class Meeting:
    """A recognizer that hears ``turns`` of so many words in a language, one at a time, each before it is committed."""

    turns: tuple[tuple[str, int], ...]

    @asynccontextmanager
    async def open(self, *asked: object) -> AsyncIterator[_Heard]:
        languages = [language for language, count in self.turns for _ in range(count)]
        yield _Heard([(self._word(number, language), language) for number, language in enumerate(languages)], languages[0])

    @staticmethod
    def _word(number: int, language: str) -> Word:
        mark = "." if number % 19 == 18 else "," if number % 7 == 6 else ""
        return Word(f" {language}{number}{mark}", number * WORD_S, (number + 0.9) * WORD_S, 1.0)

    @property
    def seconds(self) -> float:
        return WORD_S * sum(count for _, count in self.turns) + 1.0


@dataclass
class _Heard:
    waiting: list[tuple[Word, str]]
    language: str

    async def hear(self, audio: AudioChunk) -> Transcript:
        committed, notices = (), ()
        if self.waiting and self.waiting[0][0].end <= audio.end:
            (word, language), *self.waiting = self.waiting
            committed = (word,)
            if language != self.language:
                self.language, notices = language, (LanguageChanged(language, word.start),)
        tentative = tuple(word for word, _ in self.waiting[:2] if word.start < audio.end)
        return Transcript(committed, tentative, self.language, audio.end, 0.0, False, notices)

    async def finish(self) -> Transcript:
        return Transcript((), (), self.language, 0.0, 0.0, True)


@dataclass
class Shouting:
    """Translates by shouting; one that does not begin with the prefix it is given ``ignores_prefix``."""

    ignores_prefix: bool = False
    asked: list[TranslationRequest] = field(default_factory=list)

    async def translate(self, request: TranslationRequest) -> Translation:
        self.asked.append(request)
        await asyncio.sleep(0.02)
        text = request.source.upper()
        if self.ignores_prefix:  # as rules do: what a sentence begins with depends on where it ends
            return Translation(f"{text.count(' ')} {text}")
        return Translation(text if text.startswith(request.prefix) else request.prefix + " " + text)


@dataclass
class Outcome:
    keep: Keep
    translator: Shouting

    def units(self, target: str) -> list[ReadingUnit]:
        return [unit for unit in self.keep.of(ReadingUnit) if unit.target == target]


async def meet(
    turns: tuple[tuple[str, int], ...] = MEETING,
    targets: tuple[str, ...] = ("es",),
    policy: str = "pauses",
    ignores_prefix: bool = False,
    languages: tuple[str, ...] = ("en", "es"),
    **options,
) -> Outcome:
    meeting, translator, keep = Meeting(turns), Shouting(ignores_prefix), Keep()
    asked = SessionOptions(languages, targets, spoken=targets[0], units=UnitSettings(policy=policy), **options)
    session = Session(LoadedModels(meeting, translator, Models(speech_per_character_s=0.01)), asked)
    await session.run(Talk(meeting.seconds, live=False), [SinkQueue(keep)])
    return Outcome(keep, translator)


def own(unit: ReadingUnit) -> bool:
    return all(word.text.strip().startswith(unit.target[:2]) for word in unit.source)


def committed(outcome: Outcome) -> list[Word]:
    return [word for transcript in outcome.keep.of(Transcript) for word in transcript.committed]


@pytest.mark.parametrize("turns", [MEETING, SPANISH_FIRST], ids=["turns", "long"])
@pytest.mark.parametrize("mode", ["captions", "speak", "mute"])
@pytest.mark.parametrize("policy", ["pauses", "agreement"])
async def test_own_language_is_cut_like_any_other_and_every_word_is_said_once(policy, mode, turns) -> None:
    outcome = await meet(turns, policy=policy, targets=("es", "fr", "en"), same_language=mode)
    for target in ("es", "fr", "en"):
        units = outcome.units(target)
        assert [word for unit in units for word in unit.source] == committed(outcome)
        assert [unit.number for unit in units] == list(range(len(units)))
        for unit in units:
            assert len({word.text.strip()[:2] for word in unit.source}) == 1  # never two languages in one
            assert own(unit) == (unit.source_language == target)
        words = [word.text for unit in units for word in unit.source if mode != "mute" or not own(unit)]
        expected = [word.strip() if word.strip().startswith(target) else word.strip().upper() for word in words]
        assert (
            "".join(f"{unit.text} " for unit in units).replace(",", " ").split()
            == " ".join(expected).replace(",", " ").split()
        )


@pytest.mark.parametrize("policy", ["pauses", "agreement"])
async def test_the_translator_is_never_asked_for_what_needs_no_translation(policy) -> None:
    outcome = await meet(policy=policy, targets=("es", "en"))
    assert {request.source_language + request.target_language for request in outcome.translator.asked} == {"enes", "esen"}


@pytest.mark.parametrize(("mode", "said"), [("captions", False), ("speak", True), ("mute", False)])
@pytest.mark.parametrize("policy", ["pauses", "agreement"])
async def test_what_is_spoken_of_it_is_chosen(policy, mode, said) -> None:
    outcome = await meet(policy=policy, same_language=mode)
    spoken = {lag.unit for lag in outcome.keep.of(Lag)}
    skipped = {number for skip in outcome.keep.of(Skipped) for number in range(skip.first, skip.last + 1)}
    units = outcome.units("es")
    assert any(own(unit) for unit in units)
    assert [unit.number in spoken | skipped for unit in units] == [said or not own(unit) for unit in units]


@pytest.mark.parametrize("turns", [MEETING, SPANISH_FIRST], ids=["turns", "long"])
@pytest.mark.parametrize("policy", ["pauses", "agreement"])
async def test_at_one_table_what_is_said_is_spoken_in_the_others_language_and_nothing_at_once(policy, turns) -> None:
    voice = SpokenTarget("en", Models(speech_per_character_s=0.01))
    outcome = await meet(turns, ("es", "en"), policy, also_spoken=(voice,), one_track=True)
    for target in ("es", "en"):
        spoken = {lag.unit for lag in outcome.keep.of(Lag) if lag.target == target}
        skipped = [skip for skip in outcome.keep.of(Skipped) if skip.target == target]
        spoken |= {number for skip in skipped for number in range(skip.first, skip.last + 1)}
        units = outcome.units(target)
        assert [unit for unit in units if not own(unit)]
        assert all(unit.number in spoken for unit in units if not own(unit))
        assert not {lag.unit for lag in outcome.keep.of(Lag) if lag.target == target and own(units[lag.unit])}
    chunks = outcome.keep.of(SpeechChunk)
    assert {chunk.target for chunk in chunks} == {"es", "en"}
    for before, chunk in pairwise(chunks):
        assert chunk.start >= before.start + before.duration - 1e-6


async def test_muted_drafts_show_nothing_of_it() -> None:
    shown = {}
    for mode in ("captions", "mute"):
        outcome = await meet(SPANISH_FIRST, policy="agreement", same_language=mode)
        shown[mode] = [draft.text for draft in outcome.keep.of(Draft)]
    assert any(text.startswith("es") for text in shown["captions"])
    assert not any(text.startswith("es") for text in shown["mute"])
    assert any(text.startswith("EN") for text in shown["mute"])


async def test_a_translator_that_ignores_prefixes_is_still_found_out_after_own_language() -> None:
    outcome = await meet(SPANISH_FIRST, policy="agreement", ignores_prefix=True)
    probes = [request for request in outcome.translator.asked if request.prefix == PROBE]
    assert all(request.source_language == "en" for request in probes)
    words = [word for unit in outcome.units("es") for word in unit.source]
    assert words == committed(outcome)
    said = " ".join(unit.text for unit in outcome.units("es")).replace(",", " ").replace(".", " ").split()
    shouted = [word for word in said if word.startswith("EN")]
    assert [word for word, _ in groupby(shouted)] == [f"EN{number}" for number in range(40, 80)]


@pytest.mark.parametrize(("language", "target"), [("es", "es-MX"), ("pt-BR", "pt"), ("zh", "zh-Hant")])
async def test_regions_and_scripts_make_no_other_language(language, target) -> None:
    outcome = await meet(((language, 9),), targets=(target,), languages=(language, "en"))
    assert {unit.language for unit in outcome.units(target)} == {target}
    assert not [request for request in outcome.translator.asked if request.source_language == language]


def test_an_unknown_language_is_none() -> None:
    assert not same_language("", "")
    assert not same_language("", "es")
    assert not same_language("es", "est")
