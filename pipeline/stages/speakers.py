"""Speakers beside the first stage: a diarizer hears what the recognizer hears, and words get their speakers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from pipeline.channel import Channel
from pipeline.diarizing import Diarizer, Diarizing, FollowsSpeakers, SpeakerMemory, SpeakerTurns
from pipeline.errors import message_of
from pipeline.events import AudioChunk, Event, Fault, Transcript
from pipeline.policies.speaker_labels import SpeakerLabels

CHUNKS = 200  # of 20 ms or more that wait for the diarizer
HANG_S = 10.0  # a call of the diarizer that takes longer has hung
STAGE = "speakers"


@dataclass(frozen=True, slots=True)
class SpeakerOptions:
    """Settings of a session whose speakers are told apart.

    ``most`` of them (none: as many as the backend tells apart), ``names`` by number, and ``known`` voices: a clip of each
    at 16 kHz, by name. The ``memory`` is that of sessions before this one, and after it.
    """

    most: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, AudioChunk] = field(default_factory=dict)
    memory: SpeakerMemory = field(default_factory=SpeakerMemory)


async def open_speakers(
    diarizer: Diarizer | None,
    options: SpeakerOptions | None,
    opened: AsyncExitStack,
    live: bool,
    tell: Callable[[Event], None],
) -> SpeakerLabelling | None:
    """Begin to tell the speakers of a session apart, where that is asked for."""
    if diarizer is None or options is None:
        return None
    if isinstance(diarizer, FollowsSpeakers):
        opening = diarizer.follow(options.most, options.known, options.memory)
    else:
        opening = diarizer.open(options.most, options.known)
    diarizing = await opened.enter_async_context(opening)
    return SpeakerLabelling(diarizing, options, live, tell)


class SpeakerLabelling:
    """The speakers of one session: `work` runs the diarizer in a task of its own, so that it never holds words up for long.

    A diarizer that raises, hangs or cannot keep up is told once, and the session goes on without it. Where the source waits
    for us (not ``live``), the diarizer is waited for, too, so that a file's words always have the same speakers.
    """

    def __init__(self, diarizing: Diarizing, options: SpeakerOptions, live: bool, tell: Callable[[Event], None]) -> None:
        self._diarizing, self._live, self._tell = diarizing, live, tell
        self._labels = SpeakerLabels(options.names, memory=options.memory)
        self._audio = Channel[AudioChunk](CHUNKS)
        self._waiting = 0  # chunks that the diarizer has not heard
        self._over = False
        self._moved = asyncio.Event()
        self._last: Transcript | None = None

    async def work(self) -> None:
        """Hear until `finish`."""
        try:
            async for chunk in self._audio:
                self._labels.know(await self._in_time(self._diarizing.hear(chunk)))
                self._waiting -= 1
                self._moved.set()
            self._labels.know(await self._in_time(self._diarizing.finish()))
        except Exception as error:  # the border to the model; becomes a Fault
            self._lose(message_of(error))
        finally:
            self._over = True
            self._moved.set()

    async def hear(self, chunk: AudioChunk) -> None:
        """Give the diarizer a chunk; it is heard meanwhile."""
        if self._labels.lost or self._over:
            return
        if self._live and self._audio.full:
            self._lose("this machine is too slow to tell speakers apart")
            return
        self._waiting += 1
        await self._audio.send(chunk)

    async def label(self, transcript: Transcript, final: bool = False) -> list[Transcript]:
        """Give the transcript with the words whose speakers are known."""
        while not self._live and self._waiting and not self._labels.lost:
            self._moved.clear()
            await self._moved.wait()
        self._last = transcript
        return self._labels.label(transcript, final)

    def left(self) -> Transcript | None:
        """Give a transcript with nothing new, for words that wait and may wait no longer."""
        return self._last and replace(self._last, committed=(), ended=False, notices=())

    async def finish(self) -> None:
        """Wait until the diarizer has heard everything."""
        self._audio.close()
        while not self._over and not self._labels.lost:
            self._moved.clear()
            await self._moved.wait()

    async def _in_time(self, call: Awaitable[SpeakerTurns]) -> SpeakerTurns:
        """Await a call; one that hangs is given up, and told at once also where it holds its thread."""
        hangs = f"no answer for {HANG_S:.0f} s: the model hangs"
        alarm = asyncio.get_running_loop().call_later(HANG_S, self._lose, hangs)
        try:
            async with asyncio.timeout(HANG_S):
                return await call
        finally:
            alarm.cancel()

    def _lose(self, why: str) -> None:
        if not self._labels.lost:
            self._labels.lose()
            self._tell(Fault(STAGE, f"speakers are not told apart any more: {why}", fatal=False))
            self._audio.take_all()
        self._moved.set()
