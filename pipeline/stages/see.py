"""Eyes of a session: what is written on a slide or screen becomes words that the recognizer expects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from pipeline.clock import Clock
from pipeline.contracts import Listening, Source
from pipeline.errors import BadInput, message_of
from pipeline.events import AudioChunk, Event, Fault, Notice, Seen
from pipeline.hints import Hints
from pipeline.stages.stream_time import StreamTime
from pipeline.vision import Frame, FrameSource, LoadedLate, Pixels, Seeing, TextReader, rgb

PERIOD_S = 0.5  # between two pictures: at most two a second are looked at
REST = 3.0  # times what reading took: it has a quarter of a core at most
FAILURES_ALLOWED = 3  # in a row, until the eyes are closed
MOST_TOLD = 100  # different faults
AHEAD_S = 1.0  # pictures of a file are read so long before its sound is heard


@dataclass(frozen=True, slots=True)
class Watching:
    """Pictures that a session watches beside what it hears.

    Of ``film``, pictures that lie beside the sound of a file; ``live``: those of a screen or camera. ``keep``: names that
    are seen are kept in the translation as they are written, where the translator can.
    """

    film: FrameSource | None = None
    live: FrameSource | None = None
    keep: bool = False


Tell = Callable[[Event], None]
"""Gives an event to every sink without waiting for any."""


class ToldOnce:
    """Faults of what is seen, each told once."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def __call__(self, message: str) -> None:
        """Tell a fault, unless it was told before."""
        if message not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(message)
            self._tell(Fault("see", message, fatal=False))


async def watch(frames: FrameSource, looking: Looking, tell_once: ToldOnce) -> None:
    """Show live pictures as they come; a source of them that fails or ends is told."""
    try:
        async with aclosing(aiter(frames)) as coming:
            async for frame in coming:
                looking.show(frame.picture, frame.at)
    except Exception as error:  # the border to the source
        tell_once(message_of(error))
        return
    tell_once("there are no more pictures to see")


class Eyes:
    """Reader of pictures that are shown to it, the newest only, which gives what it finds to ``hints`` and as `Seen`.

    It never waits for anybody and nobody for it, but a source that waits for us: see `beside`. What goes wrong is told
    once, as a `Fault`; the session goes on without eyes.
    """

    def __init__(
        self, reader: TextReader, watching: Watching, hints: Hints, languages: Sequence[str], *, clock: Clock, tell: Tell
    ) -> None:
        self._reader = reader
        self._hints = hints
        self._languages = languages
        self._watching = watching
        self._clock = clock
        self._tell = tell
        self._time: StreamTime | None = None
        self._seeing: Seeing | None = None
        self._newest: Frame | None = None
        self._came, self._over = asyncio.Event(), asyncio.Event()
        self._looked = b""
        self._began = 0.0  # to read
        self._failures = 0
        self._tell_once = ToldOnce(tell)

    def show(self, picture: bytes | Pixels, at_s: float | None = None) -> None:
        """Show a JPEG, PNG or WebP file, or pixels, that is to be seen at ``at_s`` (none: now), from the loop's thread.

        It returns at once. A picture that has not been looked at when the next comes is dropped.
        """
        self._newest = frame = self._dated(Frame(picture, at_s))
        self._came.set()
        if self._seeing is not None:
            self._seeing.see(frame)

    def take_back(self) -> bytes | Pixels | None:
        """Return the picture that has yet to be read, if one has, and do not begin to read it."""
        frame, self._newest = self._newest, None
        return frame.picture if frame is not None else None

    def close(self) -> None:
        """End `work`."""
        self._over.set()

    def attend(self, time: StreamTime, listening: Listening) -> None:
        """Take the session's time, and its recognizer, which is given every picture if it sees."""
        self._time, self._seeing = time, listening if isinstance(listening, Seeing) else None

    async def work(self) -> None:
        """Look at what is shown, and at live pictures, until `close`."""
        async with asyncio.TaskGroup() as tasks:
            works = [tasks.create_task(self._look_on())]
            if self._watching.live is not None:
                works.append(tasks.create_task(watch(self._watching.live, self, self._tell_once)))
            await self._over.wait()
            for work in works:
                work.cancel()

    def beside(self, source: Source) -> Source:
        """Give the source with its film watched: one that waits is held until a picture beside its sound was read."""
        return Beside(source, self, self._watching.film) if self._watching.film is not None else source

    def _dated(self, frame: Frame) -> Frame:
        return frame if frame.at is not None else Frame(frame.picture, self._time.now() if self._time else 0.0)

    async def look(self, frame: Frame, *, first: bool = False) -> None:
        """Look at one picture; the ``first`` who does shows it to a recognizer that sees."""
        if first and self._seeing is not None:
            self._seeing.see(frame)
        if self._failures > FAILURES_ALLOWED:
            return
        try:
            if isinstance(self._reader, LoadedLate):
                await self._reader.ready()
            self._began = self._clock.now()
            picture = frame.picture if isinstance(frame.picture, bytes) else rgb(frame.picture)
            page = await self._reader.read(picture, self._looked, self._languages)
        except BadInput as error:  # this picture's fault
            self._tell_once(error.message)
            return
        except Exception as error:  # the border to the reader
            self._failures += 1
            self._tell_once(message_of(error))
            if self._failures > FAILURES_ALLOWED:
                self._tell_once("no more pictures are looked at")
            return
        self._failures, self._looked = 0, page.looks
        if page.names:
            self._hints.add(reversed(page.names), keep=self._watching.keep)  # the newest, which is the likeliest, last
            self._tell(Seen(page.names, self._dated(frame).at or 0.0))

    async def _look_on(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            self._began = self._clock.now()
            if (frame := self._newest) is not None:
                await self.look(frame)
                if self._newest is frame:
                    self._newest = None
            took_s = self._clock.now() - self._began
            await self._clock.sleep_until(self._began + max(PERIOD_S, (1 + REST) * took_s))


class Looking(Protocol):
    """Something that is shown pictures, as `Eyes` are."""

    def show(self, picture: bytes | Pixels, at_s: float | None = None) -> None:
        """Show a live picture; returns at once."""

    async def look(self, frame: Frame, *, first: bool = False) -> None:
        """Look at a picture of a file, for which its sound waits."""


class Beside:
    """A source with pictures beside it, each looked at before the sound that comes with it."""

    def __init__(self, source: Source, eyes: Looking, film: FrameSource) -> None:
        self.live = source.live
        self._source, self._eyes, self._film = source, eyes, film

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        frames = aiter(self._film)
        async with aclosing(frames), aclosing(aiter(self._source)) as heard:
            waiting: Frame | None = None
            more = True
            async for item in heard:
                moment = item.end + AHEAD_S if isinstance(item, AudioChunk) else 0.0
                while more and (waiting is None or (waiting.at or 0.0) <= moment):
                    if waiting is not None:
                        await self._see(waiting)
                    waiting, problem = await _next(frames)
                    more = waiting is not None
                    if problem:
                        yield Fault("see", problem, fatal=False)
                yield item

    async def _see(self, frame: Frame) -> None:
        if self.live:
            self._eyes.show(frame.picture, frame.at)
        else:
            await self._eyes.look(frame, first=True)


async def _next(frames: AsyncGenerator[Frame, None]) -> tuple[Frame | None, str]:
    """Give the next picture, or say why there are no more."""
    try:
        return await anext(frames, None), ""
    except Exception as error:  # the border to the source
        return None, message_of(error)
