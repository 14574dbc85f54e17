"""Captions as server-sent events, for overlays: ``GET /captions/feed``, which follows the sessions of one key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pipeline.contracts import Delivery
from pipeline.events import Draft, Event, ReadingUnit, Transcript, text_of
from pipeline.server.access import Access, Refusal
from pipeline.server.dialects.codec import by
from pipeline.server.rooms import Seat

LINK_S = 30 * 24 * 3600  # an overlay stays in a scene for long
MOST = 100  # readers
WAITING = 200  # captions for a reader that is slow; older ones are dropped
BEAT_S = 15.0  # between signs of life, which find readers that are gone
RETRY_MS = 1000


@dataclass(eq=False)
class Reader:
    """One overlay: what it follows, and the captions that wait for it."""

    key: str
    session: str  # empty: all of the key's
    waiting: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(WAITING))

    def put(self, caption: bytes) -> None:
        """Queue a caption, in place of the oldest if there is no room."""
        if self.waiting.full():
            self.waiting.get_nowait()
        self.waiting.put_nowait(caption)


class CaptionsFeed:
    """Distributor of the captions of all sessions to the overlays that follow them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._readers: set[Reader] = set()

    def sink(self, session: str, key: str, seat: Seat | None = None) -> FeedSink:
        """Make the sink of one session, of one key."""
        return FeedSink(self, session, key)

    def publish(self, session: str, key: str, caption: dict[str, Any]) -> None:
        """Hand a caption to the overlays that follow the session."""
        data = b"data: " + msgspec.json.encode({"session": session, **caption}) + b"\n\n"
        for reader in self._readers:
            if reader.key == key and reader.session in {"", session}:
                reader.put(data)

    @property
    def read(self) -> bool:
        """True if an overlay is there."""
        return bool(self._readers)

    def routes(self) -> list[BaseRoute]:
        """List the routes of the feed and of its address."""
        return [Route("/captions/feed", self._feed), Route("/captions/links", self._link, methods=["POST"])]

    async def _feed(self, request: Request) -> Response:
        reader = Reader(self._key(request), request.query_params.get("session", ""))
        if len(self._readers) >= MOST:
            raise Refusal(503, "capacity", f"{MOST} overlays read captions already", retry_after_s=10)
        headers = {"cache-control": "no-store"}
        return StreamingResponse(self._captions(reader), media_type="text/event-stream", headers=headers)

    async def _link(self, request: Request) -> Response:
        """Make an address that only reads captions, for programs that cannot log in."""
        key = self._access.identify(request).key.id
        if self._access.open:
            return JSONResponse({"url": "/captions.html", "expires_at": None})
        ticket, expires_at = self._access.signer.sign("cf", {"key": key}, LINK_S)
        return JSONResponse({"url": f"/captions.html?ticket={ticket}", "expires_at": expires_at})

    def _key(self, request: Request) -> str:
        ticket = request.query_params.get("ticket")
        if ticket is None:
            return self._access.identify(request).key.id
        self._access.check_origin(request)
        payload = self._access.signer.read("cf", ticket)
        if payload is None:
            raise Refusal(401, "invalid_api_key", "the address of the captions is not valid any more")
        return str(payload["key"])

    async def _captions(self, reader: Reader) -> AsyncIterator[bytes]:
        self._readers.add(reader)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        caption = await reader.waiting.get()
                except TimeoutError:
                    caption = b": alive\n\n"
                yield caption
        finally:
            self._readers.discard(reader)


class FeedSink:
    """A `Sink` of one session that publishes its captions; costs nothing while nobody reads them."""

    delivery: Delivery = "view"

    def __init__(self, feed: CaptionsFeed, session: str, key: str) -> None:
        self._feed = feed
        self._session = session
        self._key = key

    async def put(self, event: Event) -> None:
        """Publish a caption."""
        if self._feed.read:
            for caption in captions(event):
                self._feed.publish(self._session, self._key, caption)

    async def close(self) -> None:
        """Do nothing: overlays wait for the next session."""


def captions(event: Event) -> Iterator[dict[str, Any]]:
    """Yield an event's captions: ``language`` (``source``: the original), ``text``, ``tail`` that may change, speaker."""
    match event:
        case ReadingUnit() if event.text:
            yield {"language": event.target, "text": event.text, "tail": "", **by(event.speaker)}
        case Draft():
            yield {"language": event.language, "text": "", "tail": event.text}
        case Transcript() if event.committed or event.tentative:
            for who, text in event.runs() or [("", "")]:
                yield {"language": "source", "text": text, "tail": text_of(event.tentative), **by(who)}
