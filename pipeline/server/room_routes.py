"""Addresses of rooms: an invitation to one, and who is in it."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.server.access import Refusal
from pipeline.server.rooms import ROOM, UNNAMED_ROOM
from pipeline.server.service import Service


def room_routes() -> list[Route]:
    """List the endpoints."""
    return [Route("/v1/rooms", invitations, methods=["POST"]), Route("/v1/rooms", participants)]


async def invitations(request: Request) -> Response:
    """Make the address by which others join a room; without a name, of a new one."""
    service: Service = request.app.state.service
    grant = service.access.identify(request)
    room = _room(request) or secrets.token_urlsafe(9)
    value, expires_at = service.access.invitation(grant, room)
    invite = f"&invite={value}" if value else ""
    return JSONResponse({"room": room, "expires_at": expires_at, "url": f"/room.html?room={room}{invite}"})


async def participants(request: Request) -> Response:
    """Tell who is in a room; a name (``as``) that could not join it is refused as it would be."""
    service: Service = request.app.state.service
    room = _room(request)
    grant = service.access.invited(request, room) or service.access.identify(request)
    names = service.rooms.participants(grant.key, room)
    if request.query_params.get("as") in names:
        raise Refusal(409, "name_taken", f"{request.query_params['as']!r} is in the room already", param="as")
    return JSONResponse({"room": room, "participants": names, "recorded": service.recording is not None})


def _room(request: Request) -> str:
    room = request.query_params.get("room", "")
    if room and not ROOM.fullmatch(room):
        raise Refusal(400, "invalid_event", UNNAMED_ROOM, param="room")
    return room
