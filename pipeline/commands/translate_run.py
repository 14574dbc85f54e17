"""Performing a job: open the files, load the models, run the session, and say what came of it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TextIO, cast

from pipeline.clock import Clock, LoopClock
from pipeline.commands.signals import Interruption
from pipeline.commands.translate_options import STANDARD_INPUT, Wish
from pipeline.commands.translate_plan import Job, planned
from pipeline.contracts import Sink, Source, Voice
from pipeline.errors import DeviceError, TranslateLiveError
from pipeline.profiles.profile import digest
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.background_text import BackgroundText
from pipeline.sinks.captions import Captions
from pipeline.sinks.console import console_sinks
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.event_log import EventLog
from pipeline.sinks.lazy_file import LazyFile
from pipeline.sinks.session_recording import SessionRecording
from pipeline.sinks.speaker import Speaker
from pipeline.sinks.speech_file import SpeechFile
from pipeline.sinks.writing import check_folder
from pipeline.sources.files import AudioFile
from pipeline.sources.microphone import Microphone
from pipeline.sources.playlist import Playlist
from pipeline.sources.standard_input import StandardInput
from pipeline.version import version
from pipeline.voices.record import SAME
from pipeline.voices.same_voice import SameVoice


def perform(wish: Wish) -> int:
    """Fulfil a wish; gives the exit code and raises `TranslateLiveError` for what a user can be told."""
    logging.basicConfig(level=logging.CRITICAL)  # libraries may not write over the view; -v has configured it already
    job = planned(wish, _teller(wish, sys.stderr))
    return asyncio.run(_perform(job))


async def _perform(job: Job) -> int:
    async with BackgroundText(sys.stderr, view=True) as errors:
        tell = _teller(job.wish, errors)
        interruption = Interruption(tell)
        with interruption.watching():
            try:
                await _run(job, tell, errors, interruption)
            except asyncio.CancelledError:
                if interruption.exit_code is None:
                    raise
        return interruption.exit_code or 0


async def _run(job: Job, tell: Callable[[str], None], errors: BackgroundText, interruption: Interruption) -> None:
    clock = LoopClock()
    session: Session | None = None

    def clock_time(moment: float) -> float:
        return session.clock_time(moment) if session else clock.now()

    async with AsyncExitStack() as opened, AsyncExitStack() as unused:
        out = await opened.enter_async_context(BackgroundText(sys.stdout))
        recorded = None if job.wish.mic else _recorded(job.wish, clock)
        sinks = []
        for sink in _sinks(job, clock, clock_time):
            unused.push_async_callback(sink.close)
            sinks.append(sink)
        models, voice, learners = await _voiced(job, await _loaded(job, tell, opened))
        session = interruption.session = Session(models, replace(_options(job), voice=voice), clock)
        views = _views(job, out, errors, clock, _keep_on if sinks else session.stop)
        for sink in [*learners, *views]:
            unused.push_async_callback(sink.close)
        source = recorded or Microphone(job.wish.in_device)
        unused.pop_all()  # from here on the session closes them
        outlets = [SinkQueue(sink) for sink in [*sinks, *learners, *views]]
        try:
            await session.run(source, outlets)
        except asyncio.CancelledError:
            _raise_failure(outlets)
            raise
    _raise_failure(outlets)
    captions = [file.path for file in job.wish.captions]
    if written := [path for path in (job.wish.out, *captions, job.wish.events, job.wish.record) if path]:
        tell(f"wrote {', '.join(map(str, written))}")


def _raise_failure(outlets: Sequence[SinkQueue]) -> None:
    """Raise the first error that ended a sink, while the session went on, as one that a user can be told."""
    for outlet in outlets:
        if isinstance(outlet.error, TranslateLiveError):
            raise outlet.error
        if outlet.error is not None:
            raise DeviceError(
                f"{outlet.name} failed: {outlet.error!r}; try: again with -v, and report what it prints"
            ) from outlet.error


async def _loaded(job: Job, tell: Callable[[str], None], opened: AsyncExitStack) -> Models:
    tell("loading models")
    return Models(
        await opened.enter_async_context(job.backends.recognizer.load()),
        await opened.enter_async_context(job.backends.translator.load()),
        await opened.enter_async_context(job.backends.synthesizer.load()) if job.speaks else None,
    )


async def _voiced(job: Job, models: Models) -> tuple[Models, Voice | None, list[Sink]]:
    """The models and the voice to speak with, and what must hear the session to learn that voice."""
    synthesizer = models.synthesizer
    if synthesizer is not None and job.wish.voice == SAME:
        same = SameVoice(synthesizer)
        return replace(models, synthesizer=same), None, [same]
    voice = await job.voice.ready(synthesizer) if job.voice and synthesizer else None
    return models, voice, []


def _recorded(wish: Wish, clock: Clock) -> Source:
    """What is heard, unless it is the microphone, which would fill up while the models load."""
    if wish.files == (STANDARD_INPUT,):
        return StandardInput(wish.rate_hz, clock=clock, live=wish.realtime)
    return Playlist([AudioFile(name, realtime=wish.realtime, clock=clock) for name in wish.files], clock)


def _sinks(job: Job, clock: Clock, clock_time: Callable[[float], float]) -> Iterator[Sink]:
    """What plays and writes files, checked before the models load so that what cannot be is known at once."""
    wish = job.wish
    if job.to_speaker:
        yield Speaker(wish.out_device, wish.original)
    if wish.out is not None:
        yield LazyFile(wish.out, partial(SpeechFile, original=wish.original))
    if wish.record is not None:
        yield LazyFile(wish.record, SessionRecording, check_folder)
    for file in wish.captions:
        yield LazyFile(file.path, partial(Captions, shown=wish.captions_language, target=file.target))
    if wish.events is not None:
        yield LazyFile(wish.events, partial(EventLog, about=_about(job), clock=clock, clock_time=clock_time))


def _views(
    job: Job, out: BackgroundText, errors: BackgroundText, clock: Clock, unread: Callable[[], None]
) -> Sequence[Sink]:
    return console_sinks(
        cast(TextIO, out),
        cast(TextIO, errors),
        clock,
        "/".join(job.languages) or "auto",
        job.wish.targets,
        quiet=job.wish.quiet,
        unread=unread,
        spoken=job.spoken,
    )


def _keep_on() -> None:
    """A reader of standard output that goes away ends nothing while files are written or a speaker plays."""


def _options(job: Job) -> SessionOptions:
    return SessionOptions(
        languages=job.languages,
        targets=job.wish.targets,
        spoken=job.spoken,
        spoken_as=job.spoken_as,
        glossary=job.glossary,
        units=job.profile.units,
        pace=job.profile.pace,
        same_language=job.wish.same_language,
    )


def _about(job: Job) -> dict[str, object]:
    """What the event log's first line says of the run."""
    return {
        "version": version(),
        "profile": job.profile.name,
        "settings": digest(job.profile),
        "from": list(job.languages),
        "to": list(job.wish.targets),
        "spoken": job.spoken,
        "realtime": job.wish.realtime,
    }


def _teller(wish: Wish, out: TextIO | BackgroundText) -> Callable[[str], None]:
    """What tells a user how things stand, a line each; under -q only results and errors are printed."""

    def tell(line: str) -> None:
        if not wish.quiet:
            with suppress(OSError):  # a log that takes no more ends no session
                print(line, file=out, flush=True)  # noqa: T201

    return tell
