"""OpenAI's file endpoints: a recording in; its text, subtitles or translated speech out."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.clock import LoopClock
from pipeline.contracts import Sink, Translation, TranslationRequest
from pipeline.errors import TranslateLiveError
from pipeline.events import Event, ReadingUnit, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.hints import Hints
from pipeline.privacy.audit import Audit
from pipeline.request import ResolvedRequest
from pipeline.server import LOG
from pipeline.server.access import Key, Refusal
from pipeline.server.asked import LANGUAGE, SOURCE, VOICE, Asked, Rejected, rejection, resolved
from pipeline.server.dialects.codec import Spacing
from pipeline.server.glossary_fetch import WritableTerms, fetched_glossary, fetched_hints
from pipeline.server.service import Service
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.captions import Captions
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.sharing import new_session_id
from pipeline.sinks.speech_file import SpeechFile
from pipeline.sources.files import AudioFile

TEXTS = ("json", "text", "srt", "vtt", "verbose_json")
SPEECH = {"wav": "audio/wav", "flac": "audio/flac"}
FIELDS = {LANGUAGE: "to", SOURCE: "language", VOICE: "voice", "session": None}  # of the form, by those of a session
CAPTIONS = {"srt": "application/x-subrip", "vtt": "text/vtt"}
COPIED = 2**20  # bytes at a time
UPLOAD_S = 600.0  # in which a recording has come
GONE_S = 1.0  # how often it is asked if the client still waits


def file_routes() -> list[Route]:
    """List the endpoints."""
    return [
        Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
        Route("/v1/audio/translations", translate, methods=["POST"]),
    ]


class Verbatim:
    """A translator that gives the source."""

    async def translate(self, request: TranslationRequest) -> Translation:
        """Give the source."""
        return Translation(request.source)


@dataclass
class Text:
    """A sink that keeps the units of one target, ``heard``: in the language in which they were said."""

    heard: bool
    units: list[ReadingUnit] = field(default_factory=list)

    async def put(self, event: Event) -> None:
        """Keep a unit."""
        if isinstance(event, ReadingUnit):
            self.units.append(replace(event, language=event.source_language) if self.heard else event)

    async def close(self) -> None:
        """Do nothing."""

    def text(self) -> str:
        """Return all that was said."""
        spacing = Spacing()
        return "".join(spacing.add(unit.text, unit.language, continues=False) for unit in self.units)


async def transcribe(request: Request) -> Response:
    """``POST /v1/audio/transcriptions``: what was said, in its own language."""
    async with _form(request) as (service, form, path):
        answer = _choice(form, "response_format", "json", TEXTS)
        languages = _languages(form.get("language"))
        profile = service.engine.profile
        asked = resolved_languages(languages, sorted(profile.backends.recognizer.languages()))
        target = asked[0] if asked else "en"
        glossary, hints = await _terms(service.access.identify(request).key, Asked(target, sources=asked))
        options = SessionOptions(asked, (target,), units=profile.units, pace=profile.pace, glossary=glossary, hints=hints)
        echoing = Models(await service.engine.model("recognizer"), Verbatim(), None)
        return await _answer(request, Session(echoing, options, LoopClock()), path, answer, "source")


async def translate(request: Request) -> Response:
    """``POST /v1/audio/translations``: what was said, in the language ``to`` (the server's first), as text or speech."""
    async with _form(request) as (service, form, path):
        answer = _choice(form, "response_format", "json", (*TEXTS, *SPEECH))
        asked = Asked(str(form.get("to") or service.target), sources=_languages(form.get("language")))
        asked = replace(asked, speak=answer in SPEECH, voice=str(form.get("voice") or ""))
        key = service.access.identify(request).key
        wanted = resolved(asked, service.engine.profile, may_clone=key.may_clone, key=key.id)
        glossary, hints = await _terms(key, asked)
        wanted = replace(wanted, request=replace(wanted.request, glossary=glossary, hints=hints))
        used = [record.name for record in wanted.enrolled]
        await asyncio.to_thread(Audit().note_used, used, actor=key.id)

        async def answered(wanted: ResolvedRequest) -> Response:
            return await _answer(request, await service.engine.session(wanted, LoopClock()), path, answer, "target")

        def tell(error: Rejected) -> None:
            LOG.warning("the glossary of the key %s has terms that the model cannot write", key.id)

        return await WritableTerms(service.engine).run(wanted, answered, tell)


def resolved_languages(given: Sequence[str], heard: Sequence[str]) -> tuple[str, ...]:
    """Return the languages that may be spoken: as given, or the only one there is, or any; raises `Rejected`."""
    if unknown := [code for code in given if code not in heard]:
        message = f"{unknown[0]!r} is not heard here; heard are {', '.join(heard)}"
        raise Rejected("invalid_language", message, param="language")
    return tuple(given) or (tuple(heard) if len(heard) == 1 else ())


async def _terms(key: Key, asked: Asked) -> tuple[Glossary, Hints]:
    """Fetch the glossary and the hints of a key; raises `Refusal`, since a recording can be sent again later."""
    session = new_session_id()
    try:
        glossary = await fetched_glossary("", asked, key, session) if key.glossary else Glossary()
        return glossary, Hints(await fetched_hints("", key, session) if key.hints else ())
    except Rejected as error:
        raise Refusal(502, error.code, error.message) from error


async def _answer(request: Request, session: Session, path: Path, answer: str, shown: str) -> Response:
    """Run a session over the file and give its text, captions or speech."""
    made, text = path.with_suffix(f".out.{answer}"), Text(heard=shown == "source")
    sinks: list[Sink] = [text]
    if answer in CAPTIONS:
        sinks.append(Captions(made, "source" if shown == "source" else "target"))
    if answer in SPEECH:
        sinks.append(SpeechFile(made, private=True))
    source = AudioFile(path, realtime=False, clock=LoopClock())
    outlets = [SinkQueue(sink) for sink in sinks]
    await _run(request, session.run(source, outlets))
    if failed := [outlet.error for outlet in outlets if outlet.error]:
        LOG.error("a file was not answered: %s", type(failed[0]).__name__)
        raise Rejected("stage_failed", "the answer could not be written")
    if answer in SPEECH or answer in CAPTIONS:
        return Response(made.read_bytes(), media_type=(SPEECH | CAPTIONS)[answer])
    if answer == "text":
        return PlainTextResponse(f"{text.text()}\n")
    if answer == "json":
        return JSONResponse({"text": text.text()})
    return JSONResponse(_verbose(text, source.duration_s))


async def _run(request: Request, work: Coroutine[Any, Any, None]) -> None:
    """Run a session while its client is there; raises `Rejected`."""
    failed: list[TranslateLiveError] = []

    async def run() -> None:
        try:
            await work
        except TranslateLiveError as error:  # a task group would wrap it
            failed.append(error)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run())
        while not running.done():
            await asyncio.wait({running}, timeout=GONE_S)
            if not running.done() and await request.is_disconnected():
                running.cancel()
    if failed:
        raise failed[0]
    if running.cancelled():
        raise Refusal(499, "client_gone", "the client did not wait for the answer")


def _verbose(text: Text, duration_s: float | None) -> dict[str, object]:
    segments = [
        {"id": number, "start": unit.start, "end": unit.end, "text": unit.text, "source": text_of(unit.source)}
        for number, unit in enumerate(text.units)
    ]
    task, language = "transcribe" if text.heard else "translate", text.units[0].language if text.units else ""
    return {"task": task, "language": language, "duration": duration_s, "text": text.text(), "segments": segments}


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[tuple[Service, FormData, Path]]:
    """Admit a request; gives it, its form, and its recording as a file of our own; raises `Refusal`."""
    service: Service = request.app.state.service
    grant = service.access.identify(request)
    most = service.limits.file_mb * 10**6
    if int(request.headers.get("content-length") or most + 1) > most:
        raise Refusal(413, "invalid_event", f"a recording has at most {service.limits.file_mb} MB, and states its length")
    with service.admission.place(grant.key), tempfile.TemporaryDirectory(prefix="translate-live-") as folder:
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.timeout(UPLOAD_S):
                    form = await opened.enter_async_context(request.form(max_files=1, max_fields=20))
            except TimeoutError as error:
                raise Refusal(408, "timeout", f"the recording did not come within {UPLOAD_S:g} s") from error
            path = await saved(form, "file", Path(folder) / "recording")
            try:
                yield service, form, path
            except TranslateLiveError as error:
                told = rejection(error, "file")
                told.message = told.message.replace(str(path), "the recording")  # where it lies here is nobody's business
                told.param = FIELDS.get(told.param or "", told.param)
                raise told from (None if told is error else error)


async def saved(form: FormData, name: str, path: Path) -> Path:
    """Write an uploaded recording to ``path``; raises `Rejected` for a form without it."""
    upload = form.get(name)
    if not isinstance(upload, UploadFile):
        raise Rejected("invalid_event", f"the form needs a recording: {name}", param=name)
    with path.open("wb") as out:
        while part := await upload.read(COPIED):
            out.write(part)
    return path


def _choice(form: FormData, name: str, default: str, valid: Sequence[str]) -> str:
    value = str(form.get(name) or default)
    if value not in valid:
        raise Rejected("invalid_event", f"{name} cannot be {value[:80]!r}; valid: {', '.join(valid)}", param=name)
    return value


def _languages(given: object) -> tuple[str, ...]:
    return tuple(filter(None, (code.strip() for code in str(given or "").split(","))))
