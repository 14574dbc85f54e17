"""One session: three concurrent stages between a source and its sinks, linked by bounded channels."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pipeline.channel import Channel
from pipeline.clock import Clock, LoopClock
from pipeline.contracts import Listening, Recognizer, Sink, Source, Speaking, Synthesizer, Translator, Voice
from pipeline.diarizing import Diarizer
from pipeline.errors import ModelError, StageFailed, message_of
from pipeline.events import AudioChunk, Fault, ReadingUnit, Transcript
from pipeline.glossary.glossary import ExpectedWords, Glossary
from pipeline.hints import Hints
from pipeline.languages import SameLanguage, same_language
from pipeline.policies.pace import PaceOptions
from pipeline.policies.pause_units import UnitPolicy
from pipeline.policies.self_hearing import SelfHearing
from pipeline.policies.unit_policy import UnitSettings, unit_policy
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.outlets import Outlets
from pipeline.sinks.personal_data import NOTHING, PersonalData
from pipeline.stages.control import Control, SessionContext, SpeechTrack, Stamped
from pipeline.stages.recognize import capture, recognize
from pipeline.stages.see import Eyes, Watching
from pipeline.stages.speak import Speech, SpokenTarget, open_voices
from pipeline.stages.speakers import SpeakerLabelling, SpeakerOptions, open_speakers
from pipeline.stages.stream_time import HeardTime, LiveTime, StreamTime
from pipeline.stages.translate import Translating, check_terms, translate
from pipeline.vision import TextReader

AUDIO_CHUNKS = 50  # of 0.1 s: how far a source that waits is heard ahead
LIVE_AUDIO_CHUNKS = 1000  # of 20 to 100 ms; a live session skips to live before (`pipeline.stages.recognize.LIVE_S`)
TRANSCRIPTS = 32
UNITS = 64


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, shared by all sessions."""

    recognizer: Recognizer
    translator: Translator
    synthesizer: Synthesizer | None
    diarizer: Diarizer | None = None
    reader: TextReader | None = None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Options of one session, as its engine resolved them.

    ``languages`` the speaker may speak (none: any), ``targets`` to translate into; ``spoken`` is the target that is
    spoken, if any, and ``spoken_as`` what the synthesizer calls it, if not the same. Each of ``also_spoken`` is a track of
    its own beside it, with its own pace, or with ``one_track`` all are said one after the other. ``same_language`` says
    what becomes of speech that is in a target language already. ``speakers`` are told apart, and pictures watched, if
    there are options for it. With ``self_hearing``, what the session spoke and then hears is not translated.
    """

    languages: tuple[str, ...]
    targets: tuple[str, ...]
    spoken: str | None = None
    spoken_as: str | None = None
    voice: Voice | None = None
    also_spoken: tuple[SpokenTarget, ...] = ()
    one_track: bool = False
    glossary: Glossary = field(default_factory=Glossary)
    units: UnitSettings = field(default_factory=UnitSettings)
    pace: PaceOptions = field(default_factory=PaceOptions)
    same_language: SameLanguage = "captions"
    self_hearing: bool = False
    hints: Hints = field(default_factory=Hints)
    speakers: SpeakerOptions | None = None
    silenced: PersonalData = NOTHING
    watching: Watching | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """List the (source, target) languages that may have to be translated; an empty source: still to be detected."""
        pairs = product(self.languages or ("",), self.targets)
        return [(source, target) for source, target in pairs if not same_language(source, target)]


class Session:
    """One listener's stages, from a source to the sinks; it ends with its source, or when `stop` is called."""

    def __init__(
        self, models: Models, options: SessionOptions, clock: Clock | None = None, learners: Sequence[Sink] = ()
    ) -> None:
        self._models = models
        self._options = options
        self._learners = learners  # sinks of the session's own, which learn the speaker's voice
        self._words = ExpectedWords(options.glossary, options.hints, options.languages)
        self._clock = clock or LoopClock()
        self._control = Control()
        self._self_hearing = SelfHearing() if options.self_hearing else None
        self._time: StreamTime = LiveTime(self._clock)
        self._outlets = Outlets()
        self._capturing: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed: list[tuple[str, Exception]] = []
        self.eyes: Eyes | None = None  # to which a program may show pictures
        if models.reader is not None and options.watching is not None:
            words = options.hints, options.languages
            self.eyes = Eyes(models.reader, options.watching, *words, clock=self._clock, tell=self._outlets.tell)

    async def run(self, source: Source, outlets: Sequence[SinkQueue]) -> None:
        """Run to the end; what is queued for the sinks is delivered also after an error.

        Raises `StageFailed` from the error of the stage that ended the session, and `Refused` if a model cannot do what
        the options ask.
        """
        self._time = LiveTime(self._clock) if source.live else HeardTime(self._clock)
        self._outlets.connect([*outlets, *map(SinkQueue, self._learners)])
        try:
            async with AsyncExitStack() as opened:
                listening = await opened.enter_async_context(
                    self._models.recognizer.open(self._options.languages, self._words.vocabulary)
                )
                tell = self._outlets.tell
                speakers = await open_speakers(self._models.diarizer, self._options.speakers, opened, source.live, tell)
                speaking = [await open_voices(group, opened) for group in self._groups()]
                await check_terms(self._models.translator, self._words.glossary, self._options.pairs())
                opened.enter_context(self._words.reaching(listening))
                await self._run_stages(source, listening, speakers, speaking)
        finally:
            await self._outlets.close()
        if self._failed:
            name, error = self._failed[0]
            raise StageFailed(name, error) from error

    def stop(self) -> None:
        """Take no more audio in; what was heard is still translated and spoken."""
        if self._capturing is not None and not self._stopping:  # it has begun
            self._capturing.cancel()
        self._stopping = True

    def pause(self, paused: bool = True) -> None:
        """Stop listening and fall silent, or listen again."""
        self._control.paused = paused
        if paused:
            self.skip_to_live()

    def mute(self, muted: bool = True) -> None:
        """Show but do not speak, or speak again."""
        self._control.muted = muted
        if muted:
            self._flush()

    def silence(self, targets: Collection[str]) -> None:
        """Show these targets but do not speak them, until called again without them; what was given already stays."""
        self._control.silent = frozenset(targets)

    def skip_to_live(self) -> None:
        """Drop what was heard but not yet said, with notice, and go on with what is being said now."""
        self._control.generation += 1
        self._flush()

    def played(self, text: str, language: str, seconds: float) -> None:
        """Take in that others' speech is played now where this session's source may hear it."""
        if self._self_hearing is not None:
            now = self._time.now()
            self._self_hearing.say(text, language, now, now + seconds)

    def clock_time(self, moment: float) -> float:
        """Return the clock's time (monotonic seconds) of a stream time."""
        return self._time.clock_time(moment)

    def _groups(self) -> list[list[SpokenTarget]]:
        """Return the targets that are spoken, by track."""
        options, synthesizer = self._options, self._models.synthesizer
        if options.spoken is None or synthesizer is None:
            return []
        spoken = [SpokenTarget(options.spoken, synthesizer, options.spoken_as, options.voice), *options.also_spoken]
        return [spoken] if options.one_track else [[one] for one in spoken]

    async def _run_stages(
        self,
        source: Source,
        listening: Listening,
        speakers: SpeakerLabelling | None,
        speaking: Sequence[Mapping[str, Speaking]],
    ) -> None:
        """Run the stages in one task group, sinks in another around it: after an error the sinks still get what is left."""
        outlets = self._outlets
        run = SessionContext(self._control, self._time, self._clock, outlets.show, outlets.tell, self._self_hearing)
        policies = self._policies()  # here, so that an error of theirs is the session's
        async with outlets.delivering():
            with suppress(ExceptionGroup):  # noted in self._failed
                async with asyncio.TaskGroup() as stages:
                    self._start(stages, source, listening, speakers, speaking, run=run, policies=policies)
            if self._failed:
                name, error = self._failed[0]
                await outlets.show(Fault(name, message_of(error), fatal=True))

    def _start(
        self,
        stages: asyncio.TaskGroup,
        source: Source,
        listening: Listening,
        speakers: SpeakerLabelling | None,
        speaking: Sequence[Mapping[str, Speaking]],
        *,
        run: SessionContext,
        policies: Mapping[str, UnitPolicy],
    ) -> None:
        audio = Channel[Stamped[AudioChunk]](LIVE_AUDIO_CHUNKS if source.live else AUDIO_CHUNKS)
        transcripts = Channel[Stamped[Transcript]](TRANSCRIPTS)
        times = [HeardTime(self._clock) if number and not source.live else self._time for number in range(len(speaking))]
        tracks = [  # where the source waits each has a time of its own, which its speech moves on
            SpeechTrack(tuple(voices), Channel[Stamped[ReadingUnit]](UNITS), time)
            for voices, time in zip(speaking, times, strict=True)
        ]
        units = [track.units for track in tracks]
        translating = Translating(self._models.translator, policies, run, self._options.same_language)
        works: list[tuple[str, Coroutine[Any, Any, None], Sequence[Channel[Any]]]] = [
            ("capture", self._capture(source, audio, run), [audio]),
            ("recognize", recognize(audio, transcripts, listening, source.live, run, speakers=speakers), [transcripts]),
            ("translate", translate(transcripts, tracks, translating, run, live=source.live), units),
        ]
        if speakers is not None:
            works.append(("speakers", speakers.work(), []))
        if self.eyes is not None:
            self.eyes.attend(self._time, listening)
            works.append(("see", self.eyes.work(), []))
        for voices, track in zip(speaking, tracks, strict=True):
            works.append(("speak", Speech(voices, self._options.pace, track, run, self._options.silenced).speak(), []))
        for name, work, outputs in works:
            stages.create_task(self._stage(name, work, outputs))

    async def _stage(self, name: str, work: Coroutine[Any, Any, None], outputs: Sequence[Channel[Any]]) -> None:
        """Run a stage: note its error under its name, and end its output channels when it is done."""
        try:
            await work
        except asyncio.CancelledError:
            if _is_told_to_end():
                raise
            error = ModelError("something it waited for was cancelled")  # a task group would take that for a normal end
            self._failed.append((name, error))
            raise error from None
        except Exception as error:
            self._failed.append((name, error))
            raise
        for output in outputs:
            output.close()

    async def _capture(self, source: Source, audio: Channel[Stamped[AudioChunk]], run: SessionContext) -> None:
        if not self._stopping:
            self._capturing = asyncio.current_task()
            heard = self.eyes.beside(source) if self.eyes else source
            try:
                await capture(heard, audio, run, told_to_stop=lambda: self._stopping)
            finally:
                self._capturing = None
        if self.eyes:
            self.eyes.close()

    def _policies(self) -> dict[str, UnitPolicy]:
        asked = self._options
        source = asked.languages[0] if len(asked.languages) == 1 else ""
        return {target: unit_policy(asked.units, source, target, self._words.glossary) for target in asked.targets}

    def _flush(self) -> None:
        self._control.flushes += 1
        self._outlets.flush()


def _is_told_to_end() -> bool:
    """Tell if the running task is being cancelled. No frame of an error that the task keeps names the task."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
