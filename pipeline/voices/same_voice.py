"""The live speaker's own voice: the translation speaks with the voice of whoever is heard."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import numpy as np

from pipeline.contracts import Speaking, Synthesizer, Voice
from pipeline.errors import BadInput, Refused, TranslateLiveError
from pipeline.events import AudioChunk, Event, Fault, Notice, ReadingUnit, SpeechChunk, Transcript
from pipeline.voices.live_voice import LiveVoice
from pipeline.voices.record import SAME
from pipeline.voices.reference_clip import VOICE_HZ


class SameVoice:
    """A `Synthesizer` over another one, and a `Sink` of the same session, from which it learns the speaker's voice.

    It speaks with the voice it is opened with (none: the preset) until `LiveVoice` has collected enough, and changes
    between units. A voice that cannot be learned is told in ``notices``, and the next clip is tried.
    """

    def __init__(self, synthesizer: Synthesizer, live: LiveVoice | None = None) -> None:
        self.notices: list[Notice] = []
        self.voice: Voice | None = None  # what was learned so far
        self._synthesizer = synthesizer
        self._live = live or LiveVoice()

    async def put(self, event: Event) -> None:
        """Collect what is heard, and learn the voice when there is enough of it."""
        match event:
            case AudioChunk():
                self._live.hear(event)
            case Transcript():
                self._live.note(event)
                if (clip := self._live.due()) is not None:
                    await self._learn(clip)

    async def close(self) -> None:
        """Do nothing: the voice ends with its session."""

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice as the synthesizer does."""
        return await self._synthesizer.enrol(audio)

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session's speech; raises `Refused` at once if the synthesizer cannot learn a voice."""
        await refuse_if_it_cannot(self._synthesizer)
        async with AsyncExitStack() as opened:
            first = await opened.enter_async_context(self._synthesizer.open(voice, language))
            yield _Changing(self, self._synthesizer, language, opened, first)

    async def _learn(self, clip: AudioChunk) -> None:
        try:
            learned = await self._synthesizer.enrol(clip)
        except TranslateLiveError as error:
            self.notices.append(Fault("speak", f"the speaker's voice was not learned: {error}", fatal=False))
        else:
            self.voice = Voice(SAME, learned.arrays)


async def refuse_if_it_cannot(synthesizer: Synthesizer) -> None:
    """Ask with a clip that is too short for any voice: only a synthesizer that has none to learn says `Refused`."""
    try:
        await synthesizer.enrol(AudioChunk(np.zeros(1, np.float32), VOICE_HZ, 0.0))
    except Refused:
        raise
    except BadInput:
        return


class _Changing:
    """A session's speech, opened anew when its voice was learned."""

    def __init__(
        self, same: SameVoice, synthesizer: Synthesizer, language: str, opened: AsyncExitStack, speaking: Speaking
    ) -> None:
        self._same, self._synthesizer, self._language = same, synthesizer, language
        self._opened, self._speaking = opened, speaking
        self._voice: Voice | None = None

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Say a unit with the best voice known at its start."""
        if self._same.voice is not self._voice:
            voice = self._same.voice
            await self._opened.aclose()  # first, for there may be memory for one session only
            self._speaking = await self._opened.enter_async_context(self._synthesizer.open(voice, self._language))
            self._voice = voice  # set last: if opening fails, the next unit retries
        async with aclosing(self._speaking.say(unit, text)) as chunks:
            async for chunk in chunks:
                yield chunk
