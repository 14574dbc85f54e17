"""The application: routes, answers to refused requests, headers, and the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from pipeline.errors import TranslateLiveError
from pipeline.languages import language_name
from pipeline.profiles.languages_offered import languages_here
from pipeline.server import access
from pipeline.server.access import Grant, Refusal
from pipeline.server.admission import resumed_session
from pipeline.server.asked import Asked, Rejected, rejection, resolved
from pipeline.server.captions_feed import CaptionsFeed
from pipeline.server.connection import Connection
from pipeline.server.dialects.codec import Dialect, error_object, what_and_where
from pipeline.server.dialects.dashscope import DashScope, knows
from pipeline.server.dialects.openai import OpenAI
from pipeline.server.dialects.openai_events import SessionFields
from pipeline.server.files import file_routes
from pipeline.server.glossary_fetch import check_addresses
from pipeline.server.room_routes import room_routes
from pipeline.server.service import Service
from pipeline.server.voices import Voices
from pipeline.voices.choice import knows_voices

PAGE = Path(__file__).parent / "page"
MAX_BODY = 2**20
HEADERS = {
    "content-security-policy": "default-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "permissions-policy": "microphone=(self), display-capture=(self), speaker-selection=(self), camera=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Body = TypeVar("Body")


class ExpiresAfter(msgspec.Struct):
    """``expires_after`` of a client secret."""

    anchor: str = "created_at"
    seconds: int = msgspec.field(default=600)


class SecretRequest(msgspec.Struct):
    """Body of ``POST /v1/realtime/translations/client_secrets``."""

    session: SessionFields
    expires_after: ExpiresAfter = msgspec.field(default_factory=ExpiresAfter)


def application(service: Service) -> Starlette:
    """Build the application; the engine is loaded already."""
    feed = CaptionsFeed(service.access)
    service.sinks.append(feed.sink)
    routes: list[BaseRoute] = [
        *(WebSocketRoute(path, talk) for path, talk in TALKS.items()),
        WebSocketRoute("/{path:path}", nowhere),
        *(Route(path, not_upgraded) for path in TALKS),
        Route("/v1/realtime/translations/client_secrets", client_secrets, methods=["POST"]),
        Route("/v1/tickets", tickets, methods=["POST"]),
        *room_routes(),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", models),
        Route("/v1/languages", languages),
        *feed.routes(),
        *file_routes(),
        *Voices().routes(),
    ]
    if PAGE.is_dir():
        routes += [Route("/", index), Mount("/", StaticFiles(directory=PAGE, html=True))]
    middleware = [Middleware(SafeHeaders)]
    if service.access.origins:
        methods, headers = ["GET", "POST", "DELETE"], ["authorization", "content-type"]
        cors = Middleware(
            CORSMiddleware, allow_origins=service.access.origins, allow_headers=headers, allow_methods=methods
        )
        middleware.append(cors)
    handlers: Any = {TranslateLiveError: tell_error, HTTPException: tell_http_error}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.state.service = service
    return app


async def translations(socket: WebSocket) -> None:
    """Serve OpenAI's realtime translations."""

    def dialect(service: Service, grant: Grant) -> Dialect:
        model = socket.query_params.get("model") or _model(service, grant.session)
        recorded = service.recording is not None and bool(socket.query_params.get("room"))
        found = OpenAI(model, Asked(service.target), recorded=recorded)
        if grant.session:
            found.asked = found.changed(_session_fields(grant.session))
        return found

    await _connected(socket, dialect, secrets_too=True, rooms=True)


async def livetranslate(socket: WebSocket) -> None:
    """Serve DashScope's Qwen LiveTranslate."""

    def dialect(service: Service, grant: Grant) -> Dialect:
        model = socket.query_params.get("model", "")
        if not knows(model):
            told = f"there is no model {model!r} here; qwen3.8-livetranslate-flash-realtime is one"
            raise Refusal(404, "model_not_found", told, param="model")
        return DashScope(model, service.target, consent=grant.key.consented)

    await _connected(socket, dialect)


TALKS = {"/v1/realtime/translations": translations, "/api-ws/v1/realtime": livetranslate}


async def nowhere(socket: WebSocket) -> None:
    """Refuse a WebSocket at any other address."""
    refusal = Refusal(404, "not_found", f"no WebSocket is at {socket.url.path[:80]!r}; valid: {', '.join(TALKS)}")
    await socket.send_denial_response(refused(refusal))


async def not_upgraded(request: Request) -> Response:
    """Refuse a request for a WebSocket that came without its upgrade, which a proxy may have left out."""
    raise Refusal(426, "upgrade_required", "a WebSocket is here, and the request came without its Upgrade header")


async def _connected(
    socket: WebSocket, dialect_of: Callable[[Service, Grant], Dialect], *, secrets_too: bool = False, rooms: bool = False
) -> None:
    """Refuse a connection before the upgrade, or serve it to the end."""
    service: Service = socket.app.state.service
    try:
        room, name = (socket.query_params.get(one, "") for one in ("room", "as"))
        in_room = bool({"room", "as"} & socket.query_params.keys())  # who names either is in a room, or nowhere
        if in_room and not rooms:
            raise Refusal(400, "invalid_event", "rooms are at /v1/realtime/translations only", param="room")
        invited = service.access.invited(socket, room) if in_room else None
        grant = invited or service.access.identify(socket, secrets_too=secrets_too)
        resumed = resumed_session(service.access.signer, socket.query_params.get("resume", ""), grant.key.id)
        with ExitStack() as held:
            seat = None
            if in_room:
                seat = held.enter_context(service.rooms.seat(grant.key, room, name, resumed.session))
            else:
                held.enter_context(service.admission.place(grant.key, resumed.session))
            service.access.spend(grant)
            dialect = dialect_of(service, grant)
            await socket.accept(access.subprotocol(socket))
            memory = held.enter_context(service.speakers.held(dialect.id, resumed))
            await Connection(socket, dialect, service, grant.key, seat=seat, memory=memory).serve()
    except Refusal as refusal:
        service.metrics.refused.labels(refusal.code).inc()
        await socket.send_denial_response(refused(refusal))


async def client_secrets(request: Request) -> Response:
    """Make a client secret for sessions with one configuration."""
    service: Service = request.app.state.service
    grant = service.access.identify(request)
    asked = await body_of(request, SecretRequest)
    if not 10 <= asked.expires_after.seconds <= 7200 or asked.expires_after.anchor != "created_at":
        raise Rejected("invalid_event", "expires_after is 10 to 7200 seconds from created_at", param="expires_after")
    session: dict[str, Any] = msgspec.to_builtins(asked.session)
    dialect = OpenAI(_model(service, session), Asked(service.target))
    dialect.asked = dialect.changed(_session_fields(session))
    check_addresses(dialect.asked, grant.key)
    resolved(dialect.asked, service.engine.profile, may_clone=grant.key.may_clone, key=grant.key.id)
    once = bool(asked.session.translate_live and asked.session.translate_live.single_use)
    value, expires_at = service.access.client_secret(grant, session, asked.expires_after.seconds, single_use=once)
    return JSONResponse({"value": value, "expires_at": expires_at, "session": dialect.described()})


async def tickets(request: Request) -> Response:
    """Make a one-time address for a browser."""
    service: Service = request.app.state.service
    value, expires_at = service.access.ticket(service.access.identify(request))
    return JSONResponse({"value": value, "expires_at": expires_at, "url": f"/?ticket={value}"})


async def index(request: Request) -> Response:
    """Serve the page; a ticket in its address is taken for a cookie, but not by who only asks if it is there."""
    service: Service = request.app.state.service
    ticket = request.query_params.get("ticket")
    if ticket is None or request.method == "HEAD":
        return await StaticFiles(directory=PAGE).get_response("index.html", request.scope)
    service.access.check_origin(request)
    cookie = service.access.cookie(ticket)
    if cookie is None:
        raise Refusal(401, "invalid_api_key", "the ticket is not valid, or was used before")
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        access.COOKIE, cookie, max_age=access.COOKIE_S, httponly=True, samesite="strict", secure=secure, path="/"
    )
    return answer


async def models(request: Request) -> Response:
    """List the one model there is, the profile, or describe it."""
    service: Service = request.app.state.service
    service.access.identify(request)
    name = service.engine.profile.name
    model = {"id": name, "object": "model", "created": 0, "owned_by": "translate-live"}
    if wanted := request.path_params.get("name"):
        if wanted != name:
            raise Refusal(404, "model_not_found", f"there is the model {name!r} only", param="model")
        return JSONResponse(model)
    return JSONResponse({"object": "list", "data": [model]})


async def languages(request: Request) -> Response:
    """List the languages that are heard, shown and spoken with the models that are here, their names, and preset voices."""
    service: Service = request.app.state.service
    service.access.check_origin(request)
    backends = service.engine.profile.backends
    heard, shown, spoken = await asyncio.to_thread(languages_here, backends)
    names = {code: language_name(code) for code in sorted({*heard, *shown})}
    known = knows_voices(backends.synthesizer)
    offered = {"from": heard, "to": shown, "spoken": spoken, "names": names, "default": service.target}
    presets = sorted(known.presets()) if known else []
    return JSONResponse({**offered, "presets": presets, "vision": service.sees})


async def body_of(request: Request, kind: type[Body]) -> Body:
    """Read a JSON body; raises `Rejected`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Refusal(413, "invalid_event", f"a body has at most {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        told, place = what_and_where(error, kind)
        raise Rejected("invalid_event", told, param=place or None) from error


async def tell_error(request: Request, error: Exception) -> Response:
    """Answer with what was wrong, as OpenAI's clients read it."""
    assert isinstance(error, TranslateLiveError)
    return refused(rejection(error, None))


async def tell_http_error(request: Request, error: Exception) -> Response:
    """Answer likewise with what the framework refuses: no such address or method, or a form that cannot be read."""
    assert isinstance(error, HTTPException)
    answer = refused(Refusal(error.status_code, "not_found" if error.status_code == 404 else "invalid_event", error.detail))
    answer.headers.update(error.headers or {})
    return answer


def refused(error: Rejected) -> Response:
    """Return the HTTP answer for an error."""
    if isinstance(error, Refusal):
        return JSONResponse({"error": error_object(error)}, error.status, error.headers)
    return JSONResponse({"error": error_object(error)}, 500 if error.kind == "server_error" else 400)


def _model(service: Service, session: dict[str, Any]) -> str:
    return str(session.get("model") or service.engine.profile.name)


def _session_fields(session: dict[str, Any]) -> SessionFields:
    return msgspec.convert({name: value for name, value in session.items() if name != "model"}, SessionFields)


class SafeHeaders:
    """Middleware that adds security headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
