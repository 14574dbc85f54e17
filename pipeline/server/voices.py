"""Voices over the wire: enrolled with spoken consent, listed and erased by the client whose key they belong to."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.errors import TranslateLiveError
from pipeline.languages import code_of, primary
from pipeline.privacy.audit import Audit
from pipeline.server import LOG
from pipeline.server.access import Key, Refusal
from pipeline.server.asked import Rejected, rejection
from pipeline.server.files import saved
from pipeline.server.service import Service
from pipeline.voices.consent import consent_sentence
from pipeline.voices.enrolment import Enrolment, enrol
from pipeline.voices.record import VoiceRecord, checked_name
from pipeline.voices.store import key_store

MOST_BYTES = 10 * 10**6
UPLOAD_S = 60.0
RETRY_S = 10


class Voices:
    """The routes; one voice is enrolled at a time, since it takes the models of the sessions that run."""

    def __init__(self) -> None:
        self._enrolling = asyncio.Lock()

    def routes(self) -> list[Route]:
        """List the endpoints."""
        return [
            Route("/v1/voices", self.add, methods=["POST"]),
            Route("/v1/voices", listed, methods=["GET"]),
            Route("/v1/voices/consent", sentence, methods=["GET"]),
            Route("/v1/voices/{name}", removed, methods=["DELETE"]),
        ]

    async def add(self, request: Request) -> Response:
        """``POST /v1/voices``: enrol a voice from two recordings, in one of which the speaker consents."""
        service: Service = request.app.state.service
        key = service.access.identify(request).key
        if not key.may_clone:
            raise Refusal(403, "not_allowed", "this key may not enrol voices")
        if int(request.headers.get("content-length") or MOST_BYTES + 1) > MOST_BYTES:
            raise Refusal(413, "invalid_event", f"both recordings have at most {MOST_BYTES // 10**6} MB, and state it")
        with tempfile.TemporaryDirectory(prefix="translate-live-") as folder:
            enrolment = await _enrolment(request, Path(folder))
            if self._enrolling.locked():
                raise Refusal(503, "capacity", "another voice is being enrolled", retry_after_s=RETRY_S)
            async with self._enrolling:
                record = await _enrolled(enrolment, service, key, Path(folder))
        return JSONResponse(described(record), 201)


async def _enrolment(request: Request, folder: Path) -> Enrolment:
    """Read the form; raises `Rejected`, and `Refusal` for one that takes too long."""
    try:
        async with asyncio.timeout(UPLOAD_S), request.form(max_files=2, max_fields=10) as form:
            name = _text(form, "name")
            return Enrolment(
                clip=await saved(form, "clip", folder / "clip"),
                name=name,
                consent=await saved(form, "consent", folder / "consent"),
                consent_text=None,  # only our sentence: what the recognizer hears is the check
                who=_text(form, "who"),
                language=primary(code_of(str(form.get("language") or "en"))),
                keep_clip=str(form.get("keep_clip")).lower() == "true",
                replace=str(form.get("replace")).lower() == "true",
            )
    except TimeoutError:
        raise Refusal(408, "invalid_event", f"the recordings did not come within {UPLOAD_S:g} s") from None


async def _enrolled(enrolment: Enrolment, service: Service, key: Key, folder: Path) -> VoiceRecord:
    profile = service.engine.profile
    if enrolment.language not in profile.backends.recognizer.languages():
        message = f"consent in {enrolment.language!r} cannot be heard here"
        raise Rejected("invalid_language", message, param="language")
    try:
        record = await enrol(enrolment, profile, key_store(key.id), lambda line: None, service.engine.model)
    except TranslateLiveError as error:
        told = rejection(error, None)
        message = told.message.replace(f"{folder}/", "")
        raise Rejected("consent" if error.code == "consent" else told.code, message, param=told.param) from error
    await asyncio.to_thread(Audit().note, "enrolled", record.name, actor=key.id)
    LOG.info("a voice was enrolled key=%s", key.id)
    return record


async def listed(request: Request) -> Response:
    """``GET /v1/voices``: the voices of this key."""
    service: Service = request.app.state.service
    store = key_store(service.access.identify(request).key.id)
    return JSONResponse({"object": "list", "data": [described(store.record(name)) for name in store.names()]})


async def removed(request: Request) -> Response:
    """``DELETE /v1/voices/NAME``: erase a voice of this key, and all that was kept of it."""
    service: Service = request.app.state.service
    key = service.access.identify(request).key
    store, name = key_store(key.id), request.path_params["name"]
    if not store.has(name):
        raise Refusal(404, "voice_not_found", "this key has no voice of that name", param="name")
    await asyncio.to_thread(store.remove, name)
    await asyncio.to_thread(Audit().note, "erased", name, actor=key.id)
    LOG.info("a voice was erased key=%s", key.id)
    return JSONResponse({"id": name, "object": "voice", "deleted": True})


async def sentence(request: Request) -> Response:
    """``GET /v1/voices/consent?name=N&language=L``: what the speaker must say."""
    service: Service = request.app.state.service
    service.access.identify(request)
    language = primary(code_of(request.query_params.get("language") or "en"))
    text = consent_sentence(language, checked_name(request.query_params.get("name") or ""))
    if text is None:
        raise Rejected("invalid_language", f"there is no statement in {language!r} yet", param="language")
    return JSONResponse({"statement": text, "language": language})


def described(record: VoiceRecord) -> dict[str, object]:
    """Describe a voice as its client is told of it."""
    consent = {"who": record.consent.who, "when": record.consent.when, "checked": record.consent.checked}
    known = {"language": record.language, "speech_s": record.speech_s, "clip_kept": record.clip is not None}
    return {"id": record.name, "object": "voice", "enrolled": record.enrolled, **known, "consent": consent}


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Rejected("invalid_event", f"the form needs {name}", param=name)
    return value.strip()[:200]
