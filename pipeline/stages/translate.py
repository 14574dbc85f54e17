"""Second stage of a session: transcripts become reading units."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.channel import Channel
from pipeline.contracts import TermChecking, Translation, TranslationRequest, Translator
from pipeline.errors import ModelError, message_of
from pipeline.events import Busy, Fault, ReadingUnit, Skipped, Transcript
from pipeline.glossary.glossary import Glossary
from pipeline.languages import SameLanguage, language_name, same_language
from pipeline.policies.pause_units import Reading, UnitPolicy
from pipeline.stages.control import SessionContext, SpeechTrack, Stamped
from pipeline.stages.recognize import FAILURES_ALLOWED, in_time

HEARS_ITSELF = "the microphone hears the translation, which is not translated again; headphones keep it out"
AHEAD_S = 15.0  # of audio that a source that waits is translated ahead of what is being spoken


class Translating:
    """Runner of the reading-unit policies, one a target language, over the transcripts of a session.

    What is spoken in a target language already is its own translation: the policy cuts it like any other, the translator is
    not asked. ``same_language`` says what becomes of it.
    """

    def __init__(
        self,
        translator: Translator,
        policies: Mapping[str, UnitPolicy],
        run: SessionContext,
        same_language: SameLanguage = "captions",
    ) -> None:
        self._translator = translator
        self._policies = policies
        self._run = run
        self._same_language = same_language
        self._failures: Counter[str] = Counter()  # in a row, by target
        self._given_up: dict[str, Exception] = {}  # targets that failed too often, while others did not, and why
        self._echo_told = False

    async def read(self, transcript: Transcript, final: bool = False) -> AsyncIterator[ReadingUnit]:
        """Give the units of all targets that this transcript completes; drafts are shown."""
        for policy in self._policies.values():
            policy.hear(transcript, final)
        while asked := [(target, requests) for target, policy in self._policies.items() if (requests := policy.ask())]:
            answers = await self._answers([request for _, requests in asked for request in requests])
            for target, requests in asked:
                reading = await self._reading(target, [answers.pop(0) for _ in requests])
                for unit in reading.units:
                    yield await self._without_echo(self._without_muted(replace(unit, target=target)))
                if reading.draft is not None:  # of what the units leave
                    muted = self._same_language == "mute" and _is_own_translation(requests[0])
                    await self._run.show(replace(reading.draft, text="") if muted else reading.draft)

    def wants_spoken(self, unit: ReadingUnit) -> bool:
        """Tell if a unit has a text to say that is a translation, or its own language is to be spoken, too."""
        if not unit.text or unit.language != unit.target:
            return False
        return self._same_language == "speak" or not same_language(unit.source_language, unit.target)

    @staticmethod
    def is_missing(unit: ReadingUnit) -> bool:
        """Tell if a unit should have been translated and is not."""
        return unit.language != unit.target and not same_language(unit.source_language, unit.target)

    def _without_muted(self, unit: ReadingUnit) -> ReadingUnit:
        """Drop the text of a unit that is muted: its words are accounted for, but neither shown nor spoken."""
        if self._same_language == "mute" and same_language(unit.source_language, unit.target):
            return replace(unit, text="", language=unit.source_language)
        return unit

    async def _without_echo(self, unit: ReadingUnit) -> ReadingUnit:
        """Drop the text of a unit that is speech of our own, heard again; that it is heard is told once."""
        if self._run.self_hearing is None or not self._run.self_hearing.is_echo(unit):
            return unit
        if not self._echo_told:
            self._echo_told = True
            await self._run.show(Fault("source", HEARS_ITSELF, fatal=False))
        return replace(unit, text="", language=unit.target)

    async def _answers(self, requests: Sequence[TranslationRequest]) -> list[Translation | Exception]:
        began = self._run.clock.now()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._translate(request)) for request in requests]
        if not all(map(_is_own_translation, requests)):
            await self._run.show(Busy("translate", self._run.clock.now() - began))
        return [task.result() for task in tasks]

    async def _translate(self, request: TranslationRequest) -> Translation | Exception:
        """Give the translation, or the error that came twice."""
        if _is_own_translation(request):
            return Translation(request.source)
        if request.target_language in self._given_up:
            return self._given_up[request.target_language]
        error: Exception = ModelError("not tried")
        for _ in range(2):
            try:
                async with in_time("translate", self._run):
                    return await self._translator.translate(request)
            except Exception as failure:  # the border to the model; becomes a Fault
                error = failure
        return error

    async def _reading(self, target: str, answers: Sequence[Translation | Exception]) -> Reading:
        policy = self._policies[target]
        good = [answer for answer in answers if isinstance(answer, Translation)]
        if len(good) == len(answers):
            self._failures[target] = 0
            for notice in (notice for answer in good for notice in answer.notices):
                await self._run.show(notice)
            return policy.read(good)
        error = next(answer for answer in answers if isinstance(answer, Exception))
        if target in self._given_up:
            return policy.fail()
        self._failures[target] += 1
        message = message_of(error)
        if self._failures[target] > FAILURES_ALLOWED:
            self._given_up[target] = error
            if len(self._given_up) == len(self._policies):
                raise error
            message += f"; no more is translated into {language_name(target)}"
        await self._run.show(Fault("translate", message, fatal=False))
        return policy.fail()


async def check_terms(translator: Translator, glossary: Glossary, pairs: Iterable[tuple[str, str]]) -> None:
    """Let the translator refuse terms that it cannot be held to; one that cannot tell is believed."""
    if glossary and isinstance(translator, TermChecking):
        for source, target in pairs:
            await translator.check(glossary.terms(source, target), source, target)


def _is_own_translation(request: TranslationRequest) -> bool:
    return same_language(request.source_language, request.target_language)


async def translate(
    transcripts: Channel[Stamped[Transcript]],
    tracks: Sequence[SpeechTrack],
    translating: Translating,
    run: SessionContext,
    *,
    live: bool,
) -> None:
    """Turn transcripts into reading units: all are shown, those of targets that are spoken go on to their tracks.

    A source that waits is made to wait for slow speech, so that sinks need not hold much audio back for it.
    """
    heard = Transcript((), (), "", 0.0, 0.0, ended=True)
    track_of = {target: track for track in tracks for target in track.targets}

    async def publish(stamped: Stamped[Transcript], final: bool) -> None:
        for track in () if live else tracks:
            while len(track.units) and stamped.item.heard_s - track.units.waiting()[0].item.heard_s > AHEAD_S:
                track.time.held_up()
                await track.units.taken()
        async for unit in translating.read(stamped.item, final):
            await run.show(unit)
            spoken = track_of.get(unit.target)
            if spoken is None:
                continue
            if translating.wants_spoken(unit):
                if spoken.units.full:
                    spoken.time.held_up()
                await spoken.units.send(replace(stamped, item=unit))  # type: ignore[arg-type]
            elif translating.is_missing(unit):
                reason = "there is no translation of its words"
                await run.show(Skipped(unit.number, unit.number, reason, unit.target))
        for track in tracks:
            track.time.translated(stamped.item.heard_s)

    generation = 0
    async for stamped in transcripts:
        heard, generation = stamped.item, stamped.generation
        await publish(stamped, final=False)
    await publish(Stamped(generation, replace(heard, committed=(), tentative=(), ended=True, notices=())), final=True)
    for track in tracks:
        track.time.translated(math.inf)
