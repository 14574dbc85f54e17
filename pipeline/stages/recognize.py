"""First stage of a session: audio is captured and recognized."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.channel import Channel
from pipeline.contracts import Listening, Source
from pipeline.errors import ModelError
from pipeline.events import AudioChunk, Busy, Fault, Gap, Transcript
from pipeline.stages.control import SessionContext, Show, Stamped
from pipeline.stages.speakers import SpeakerLabelling

RECOGNIZER_HZ = 16_000
LIVE_S = 15.0  # of audio that waits: a live session that is further behind skips to live
FAILURES_ALLOWED = 2  # in a row, of units; one more ends the session
STALL_S = 60.0  # a model call that takes longer has hung
GRACE_S = 5.0  # in which a call that was cancelled should have ended
HANGS = f"no answer for {STALL_S:.0f} s: the model hangs"
_JOINT_S = 0.001  # chunks that lie closer are one stream


@asynccontextmanager
async def in_time(stage: str, run: SessionContext) -> AsyncIterator[None]:
    """End a model call that hangs with a `ModelError`; say so if it cannot be ended because it holds its thread."""
    stuck = Fault(stage, f"{HANGS} and cannot be interrupted", fatal=False)
    alarm = asyncio.get_running_loop().call_later(STALL_S + GRACE_S, run.tell, stuck)
    try:
        async with asyncio.timeout(STALL_S) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # the model's own, as of a connection
            raise
        raise ModelError(HANGS, hint="restart with a smaller model") from error
    finally:
        alarm.cancel()


async def timed(stage: str, call: Awaitable[Transcript], run: SessionContext) -> Transcript:
    """Await a model call, and report how long it took."""
    began = run.clock.now()
    async with in_time(stage, run):
        result = await call
    await run.show(Busy(stage, run.clock.now() - began))
    return result


class Intake:
    """Resampler of a source's chunks to the recognizer's rate; a jump in time begins a new stream."""

    def __init__(self) -> None:
        self._resampler: Resampler | None = None
        self._expected = 0.0
        self._start = 0.0
        self._given = 0

    def take(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Resample a chunk to 16 kHz; the end of what came before a jump goes before it."""
        pieces = []
        if self._resampler is None or abs(chunk.start - self._expected) > _JOINT_S:
            pieces += self.finish()
            self._resampler, self._start, self._given = Resampler(chunk.sample_rate, RECOGNIZER_HZ), chunk.start, 0
        self._expected = chunk.end
        return pieces + self._give(chunk, last=False)

    def finish(self) -> list[AudioChunk]:
        """Give what the resampler still holds."""
        return self._give(None, last=True) if self._resampler else []

    def _give(self, chunk: AudioChunk | None, last: bool) -> list[AudioChunk]:
        assert self._resampler is not None
        samples = self._resampler.process(chunk.samples if chunk else np.zeros(0, np.float32), last)
        piece = AudioChunk(samples, RECOGNIZER_HZ, self._start + self._given / RECOGNIZER_HZ)
        self._given += len(samples)
        return [piece] if len(samples) else []


def _cancelled_again() -> bool:
    """Take a cancellation back; true if there is another. No frame of an error that the task keeps names the task."""
    task = asyncio.current_task()
    return task is None or task.uncancel() > 0


async def capture(
    source: Source, audio: Channel[Stamped[AudioChunk]], run: SessionContext, told_to_stop: Callable[[], bool]
) -> None:
    """Take audio in; a live source that is not kept up with skips to live, and says so.

    It is cancelled to stop it: when ``told_to_stop``, what was heard still goes on and what was not is told.
    """
    intake, taken = Intake(), deque[AudioChunk]()
    paused_from: float | None = None
    end = 0.0
    try:
        async with aclosing(aiter(source)) as items:
            async for item in items:
                if not isinstance(item, AudioChunk):
                    await run.show(item)
                    continue
                run.time.hear(item)
                end = item.end
                if run.control.paused:  # nobody gets this audio, no recording either
                    paused_from = item.start if paused_from is None else paused_from
                    continue
                if paused_from is not None:
                    await run.show(Gap(paused_from, item.start, "paused"))
                    paused_from = None
                await run.show(item)
                taken.extend(intake.take(item))
                await _send(taken, audio, source.live, run)
    except asyncio.CancelledError:
        if not told_to_stop() or _cancelled_again():
            raise
    if paused_from is not None:
        await run.show(Gap(paused_from, end, "paused"))
    taken.extend(intake.finish())
    await _send(taken, audio, source.live, run)


async def _send(taken: deque[AudioChunk], audio: Channel[Stamped[AudioChunk]], live: bool, run: SessionContext) -> None:
    """Send chunks to the recognizer; one stays in ``taken`` until it is sent."""
    while taken:
        if live and (audio.full or taken[0].end - _oldest(audio, taken[0]).start > LIVE_S):
            await _skip(audio.take_all(), "recognition is too slow for this machine", run.show)
        await audio.send(Stamped(run.control.generation, taken[0]))
        taken.popleft()


def _oldest(audio: Channel[Stamped[AudioChunk]], chunk: AudioChunk) -> AudioChunk:
    waiting = audio.waiting()
    return waiting[0].item if waiting else chunk


async def _skip(skipped: Sequence[Stamped[AudioChunk]], reason: str, show: Show) -> None:
    if skipped:
        await show(Gap(skipped[0].item.start, skipped[-1].item.end, reason))


async def recognize(
    audio: Channel[Stamped[AudioChunk]],
    transcripts: Channel[Stamped[Transcript]],
    listening: Listening,
    live: bool,
    run: SessionContext,
    *,
    speakers: SpeakerLabelling | None = None,
) -> None:
    """Turn audio into transcripts. Audio that came in meanwhile is heard in one piece when the source is live.

    With ``speakers`` the words of transcripts are those whose speaker is known.
    """
    last_end, generation = 0.0, 0  # the generation of the audio that was heard, not of the moment when its words come

    async def publish(transcript: Transcript, final: bool = False) -> None:
        nonlocal last_end
        for labelled in await speakers.label(transcript, final) if speakers else (transcript,):
            last_end = checked(labelled, last_end)
            for notice in labelled.notices:
                await run.show(notice)
            await run.show(labelled)
            await transcripts.send(Stamped(generation, labelled))

    async for first in audio:
        waiting = [first, *(audio.take_all() if live else ())]
        await _skip([item for item in waiting if run.control.stale(item)], "skipped to live", run.show)
        fresh = [stamped for stamped in waiting if not run.control.stale(stamped)]
        for chunk in joined([stamped.item for stamped in fresh]):
            if speakers and generation != fresh[-1].generation and (left := speakers.left()):
                await publish(left, final=True)
            generation = fresh[-1].generation
            if speakers:
                await speakers.hear(chunk)
            await publish(await timed("recognize", listening.hear(chunk), run))
    if speakers:
        await speakers.finish()
    await publish(await timed("recognize", listening.finish(), run), final=True)


def joined(chunks: Sequence[AudioChunk]) -> list[AudioChunk]:
    """Merge neighboring chunks into one."""
    groups = [[chunk] for chunk in chunks[:1]]
    for before, chunk in pairwise(chunks):
        if abs(chunk.start - before.end) <= _JOINT_S:
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    return [replace(group[0], samples=np.concatenate([chunk.samples for chunk in group])) for group in groups]


def checked(transcript: Transcript, last_end: float) -> float:
    """Give the end of the last committed word; raises `ModelError` if a recognizer breaks its promises."""
    for word in transcript.committed:
        if not last_end - 1e-6 <= word.start <= word.end < math.inf:
            raise ModelError(f"the recognizer gave {word!r} after a word that ended at {last_end:.3f} s")
        last_end = word.end
    return last_end
