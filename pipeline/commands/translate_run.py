"""Carries out a plan: opens the files, loads the models, runs the session, and says what came of it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from pipeline.client.session import ClientSession
from pipeline.clock import Clock, LoopClock
from pipeline.commands.signals import Interruption
from pipeline.commands.translate_options import STANDARD_INPUT, TranslateOptions
from pipeline.commands.translate_plan import RunPlan, keeping, planned, swept
from pipeline.contracts import Sink, Source
from pipeline.engine import Engine
from pipeline.errors import BadInput, DeviceError, TranslateLiveError
from pipeline.privacy.audit import Audit
from pipeline.profiles.profile import digest
from pipeline.session import Session
from pipeline.sinks.broadcast import Broadcast
from pipeline.sinks.captions import Captions, Transcripts
from pipeline.sinks.console import BackgroundText, LoggedNotices, console_sinks
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.event_log import EventLog
from pipeline.sinks.figures import LONG_S, HeardLevel, Progress
from pipeline.sinks.film import Film, without_lag
from pipeline.sinks.film_container import is_film
from pipeline.sinks.loudspeaker import Loudspeaker
from pipeline.sinks.outlets import Altered, own_sink
from pipeline.sinks.sharing import new_session_id
from pipeline.sinks.speech_file import SessionRecording, SpeechFile
from pipeline.sinks.writing import LazyFile, check_folder
from pipeline.sources.address import Address
from pipeline.sources.echo import Played, WithoutEcho
from pipeline.sources.files import AudioFile, Playlist
from pipeline.sources.microphone import Microphone
from pipeline.sources.packet_tap import PacketTap
from pipeline.sources.standard_input import StandardInput
from pipeline.version import version


def run_translation(options: TranslateOptions) -> int:
    """Translate as the options say; gives the exit code, raises `TranslateLiveError` for what a user can be told."""
    logging.basicConfig(level=logging.CRITICAL)  # libraries may not write over the view; -v has configured it already
    swept(_teller(options, sys.stderr))
    plan = planned(options, _teller(options, sys.stderr))
    return asyncio.run(_interruptible(plan))


async def _interruptible(plan: RunPlan) -> int:
    async with BackgroundText(sys.stderr, view=True) as errors:
        tell = _teller(plan.options, errors)
        interruption = Interruption(tell)
        with interruption.watching():
            try:
                await _run(plan, tell, errors, interruption)
            except asyncio.CancelledError:
                if interruption.exit_code is None:
                    raise
        return interruption.exit_code or 0


async def _run(plan: RunPlan, tell: Callable[[str], None], errors: BackgroundText, interruption: Interruption) -> None:
    clock = LoopClock()
    options = plan.options
    session: Session | ClientSession | None = None
    played = Played() if options.echo == "cancel" else None

    def clock_time(moment: float) -> float:
        return session.clock_time(moment) if session else clock.now()

    async with AsyncExitStack() as opened, AsyncExitStack() as unused:
        out = await opened.enter_async_context(BackgroundText(sys.stdout))
        tap = PacketTap() if options.broadcast and not options.mic else None
        recorded = None if options.mic or options.address else _file_source(options, clock, tell, tap)
        sinks = []
        session_id = new_session_id()
        room = options.server.room if options.server else ""
        published = await opened.enter_async_context(options.sharing.sinks(session_id, _about(plan), tell, room))
        length_s = recorded.duration_s if isinstance(recorded, Playlist) else None
        films = _films(plan, length_s, tap, tell)
        for sink in [*published, *_sinks(plan, clock, clock_time, played), *films, *keeping(plan, session_id)]:
            unused.push_async_callback(sink.close)
            sinks.append(sink)
        session = interruption.session = await _session(plan, clock, tell, opened)
        Audit().note_used([record.name for record in plan.resolved.enrolled], session=session_id)
        unread = (lambda: None) if sinks else session.stop  # whoever writes files or plays goes on without a reader
        views = [*_views(plan, out, errors, clock, unread), LoggedNotices()]
        if length_s is not None and length_s >= LONG_S:
            views.append(Progress(length_s, clock, tell))
        for sink in views:
            unused.push_async_callback(sink.close)
        source = recorded or _live_source(options, clock, played, tap)
        unused.pop_all()  # from here on the session closes them
        level = HeardLevel()
        outlets = [SinkQueue(sink) for sink in [level, *sinks, *views]]
        try:
            await session.run(source, outlets)
        except asyncio.CancelledError:
            _tell_written(plan, outlets, tell)
            raise
    _tell_written(plan, outlets, tell)
    if interruption.exit_code is None:
        _check_level(level, options, errors)


async def _session(
    plan: RunPlan, clock: Clock, tell: Callable[[str], None], opened: AsyncExitStack
) -> Session | ClientSession:
    """Load the models and make the session, or one whose models are a server's."""
    if plan.profile is None:
        assert plan.options.server is not None
        return ClientSession(plan.options.server, plan.resolved.request, clock)
    tell("loading models")
    stages = dict.fromkeys(("recognizer", "translator", *(one.synthesizer for one in plan.resolved.speech)))
    if (asked := plan.resolved.request.speakers) is not None and asked.channels is None:
        stages["diarizer"] = None
    if plan.resolved.request.watching is not None:
        stages["reader"] = None
    engine = await opened.enter_async_context(Engine.load(plan.profile, stages))
    return await engine.session(plan.resolved, clock)


def _tell_written(plan: RunPlan, outlets: Sequence[SinkQueue], tell: Callable[[str], None]) -> None:
    raise_failure(outlets)
    named = [*plan.written, *([plan.options.record] if plan.options.record else [])]
    if written := [path for path in named if path.exists()]:  # none where nothing was heard
        tell(f"wrote {', '.join(map(str, written))}")


def raise_failure(outlets: Sequence[SinkQueue]) -> None:
    """Raise the errors that ended sinks, while the session went on, as one that a user can be told."""
    errors = [_as_told(outlet.name, outlet.error) for outlet in outlets if outlet.error is not None]
    if len(errors) > 1:  # on a full disk each output has lost something
        first, message = errors[0], "; ".join(error.message for error in errors)
        raise type(first)(message, hint=first.hint, code=first.code) from first
    for error in errors:
        raise error


def _as_told(name: str, error: Exception) -> TranslateLiveError:
    if isinstance(error, TranslateLiveError):
        return error
    told = DeviceError(f"{name} failed: {error!r}", hint="again with -v, and report what it prints")
    told.__cause__ = error
    return told


def _file_source(options: TranslateOptions, clock: Clock, tell: Callable[[str], None], tap: PacketTap | None) -> Source:
    """Open the files or standard input, and tell which audio tracks are heard."""
    languages, live = options.request.languages, options.realtime
    if options.files == (STANDARD_INPUT,):
        return StandardInput(options.rate_hz, clock=clock, live=live, track=options.track, languages=languages)
    levels = options.request.speakers.channels if options.request.speakers else None
    files = [
        AudioFile(name, realtime=live, clock=clock, track=options.track, languages=languages, levels=levels, tap=tap)
        for name in options.files
    ]
    for choice in filter(None, (file.choice for file in files)):
        tell(f"notice: {choice}; --track N or --track LANGUAGE hears another")
    return Playlist(files, clock)


def _live_source(options: TranslateOptions, clock: Clock, played: Played | None, tap: PacketTap | None) -> Source:
    """Open the microphone or address. This is done after loading, or its buffer would overflow meanwhile."""
    if options.mic:
        microphone = Microphone(options.in_device)
        return WithoutEcho(microphone, played) if played else microphone
    return Address(options.files[0], clock=clock, track=options.track, languages=options.request.languages, tap=tap)


def _check_level(level: HeardLevel, options: TranslateOptions, errors: BackgroundText) -> None:
    """Tell, also under -q, that the input was very quiet; raises `BadInput` where nothing could be heard at all."""
    heard = "the microphone" if options.mic else " and ".join(options.files)
    if options.files == (STANDARD_INPUT,):
        heard = "standard input"
    if level.nothing:
        hint = "another --in-device, see translate-live devices" if options.mic else "play it, and another --track or file"
        raise BadInput(f"{heard} is silent: nothing could be heard", hint=hint)
    if level.quiet:
        with suppress(OSError):
            loudest = f"its loudest sample {level.peak_db:.0f} dB"
            line = f"notice: {heard} is very quiet ({loudest}): words may be missing; louder sound is understood better"
            print(line, file=errors, flush=True)


def _sinks(plan: RunPlan, clock: Clock, clock_time: Callable[[float], float], played: Played | None) -> Iterator[Sink]:
    """Open what plays and writes files, before the models load so that what cannot be is known at once."""
    options, tracks = plan.options, plan.tracks

    def exported(path: Path, opener: Callable[[Path], Sink]) -> Sink:
        return LazyFile(path, lambda path: options.sharing.redacting(opener(path), clock))

    for name in options.sinks:  # first: a wrong one opens no device and leaves no file
        yield own_sink(name)
    if plan.to_speaker:
        yield Loudspeaker(options.out_device, options.original, target=tracks[0], played=played.put if played else None)
    for target, path in plan.speech_files.items():
        yield LazyFile(path, partial(SpeechFile, original=options.original, target=target))
    if options.record is not None:
        yield LazyFile(options.record, partial(SessionRecording, tracks=tracks), check_folder)
    for file in plan.captions:
        timed = options.captions_time if file.target in plan.resolved.request.spoken_targets else "source"
        shown = options.captions_language
        yield exported(file.path, partial(Captions, shown=shown, target=file.target, timed=timed))
    if options.transcript is not None:
        yield exported(options.transcript, Transcripts)
    if options.events is not None:
        yield exported(options.events, partial(EventLog, about=_about(plan), clock=clock, clock_time=clock_time))


def _films(plan: RunPlan, length_s: float | None, tap: PacketTap | None, tell: Callable[[str], None]) -> Iterator[Sink]:
    """Open the film or broadcast that a plan asks for, if any; the picture of a broadcast is what ``tap`` gets."""
    options, request = plan.options, plan.resolved.request
    dub: dict[str, Any] = {
        "targets": request.targets,
        "spoken": request.spoken_targets,
        "language": request.languages[0] if len(request.languages) == 1 else "",
        "pace": plan.profile.pace if plan.profile else None,
        "speaks_own": request.same_language == "speak",
        "original": options.original,
        "tell": tell,
    }
    if options.out is not None and is_film(options.out):
        film = Film(Path(options.files[0]), options.out, **dub, length_s=length_s)
        yield options.sharing.redacting(film)
    if options.broadcast is not None:
        if isinstance(options.broadcast.place, str):
            tell("notice: an RTMP stream has no captions; --captions FILE writes them")
        broadcast = Broadcast(options.broadcast.destination, tap, **dub, delay_s=options.broadcast.delay_s)
        yield options.sharing.redacting(broadcast)


def _views(
    plan: RunPlan, out: BackgroundText, errors: BackgroundText, clock: Clock, unread: Callable[[], None]
) -> Sequence[Sink]:
    request = plan.resolved.request
    sinks = console_sinks(
        cast(TextIO, out),
        cast(TextIO, errors),
        clock,
        "/".join(request.languages) or "auto",
        request.targets,
        quiet=plan.options.quiet,
        unread=unread,
        spoken=request.main_target,
        track=plan.tracks[0],
    )
    return [Altered(sink, without_lag) for sink in sinks] if plan.dubs else sinks


def _about(plan: RunPlan) -> dict[str, object]:
    """Describe the run for the event log's first line."""
    request = plan.resolved.request
    return {
        "version": version(),
        "profile": plan.profile.name
        if plan.profile
        else f"server {plan.options.server.name if plan.options.server else ''}",
        "settings": digest(plan.profile) if plan.profile else "",
        "from": list(request.languages),
        "to": list(request.targets),
        "spoken": next(iter(request.spoken_targets), None),
        "also_spoken": list(request.spoken_targets[1:]),
        "realtime": plan.options.realtime,
    }


def _teller(options: TranslateOptions, out: TextIO | BackgroundText) -> Callable[[str], None]:
    """Make the function that prints a line each; under -q only results and errors are printed."""

    def tell(line: str) -> None:
        logging.getLogger(__name__).info(line)
        if not options.quiet:
            with suppress(OSError):  # a log that takes no more ends no session
                print(line, file=out, flush=True)

    return tell
