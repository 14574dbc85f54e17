"""One client's connection: what it sends is read, its session runs, and whatever ends first ends all of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from pipeline.clock import LoopClock
from pipeline.diarizing import SpeakerMemory
from pipeline.glossary.glossary import Glossary
from pipeline.server import LOG
from pipeline.server.access import Key
from pipeline.server.admission import RENEWED_S, resume_token
from pipeline.server.asked import Audio, Change, ControlRequest, Finish, Ignored, Image, Note, Ping, Rejected, with_hints
from pipeline.server.dialects.codec import Dialect
from pipeline.server.glossary_fetch import check_addresses, fetched_glossary, fetched_hints, with_terms_of_key
from pipeline.server.rooms import Seat
from pipeline.server.service import (
    DONE,
    EXPIRED,
    GOING_AWAY,
    GONE,
    IDLE,
    LOST,
    SLOW,
    TOO_FAST,
    WRONG,
    Allowance,
    Leave,
    Service,
    first_of,
)
from pipeline.server.sessions import Sessions
from pipeline.server.writer import SlowClient, Writer

CLOSE_S = 2.0  # for the close frame to leave
BURST, PER_S = 50.0, 10.0  # events other than audio
NO_VISION = Note("no vision here: images are dropped, the translation is of what is heard", "image")


class Connection:
    """A client from its accepted upgrade to its close; its tasks end together."""

    def __init__(
        self,
        socket: WebSocket,
        dialect: Dialect,
        service: Service,
        key: Key,
        *,
        seat: Seat | None = None,
        memory: SpeakerMemory | None = None,
    ) -> None:
        self._socket = socket
        self._dialect = dialect
        self._service = service
        self._key = key
        self._clock = LoopClock()
        self._writer = Writer(socket.send_text)
        self._tasks = asyncio.TaskGroup()
        self._memory = memory or SpeakerMemory()
        self._memory.changed = self._renew
        self._sessions = Sessions(dialect, self._writer, service, key, self._tasks, seat=seat, memory=self._memory)
        self._seat = seat
        self._extended = False  # the client has been told what its extension begins with
        self._mistakes = 0
        self._heard_from = False
        self._lost = True  # unless the client says that it goes
        self._noted: set[Note] = set()
        self._key_asked = False  # for the key's glossary and hints: once, when the languages are known
        self._of_key = Glossary()
        self._allowance = Allowance(BURST, PER_S, self._clock)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the client."""
        return self._writer.waiting_bytes

    async def serve(self) -> None:
        """Talk with the client to the end."""
        began, leave = self._clock.now(), Leave(GONE)
        self._service.connections.add(self)
        LOG.info("session %s begins key=%s", self._dialect.id, self._key.id)
        try:
            self._writer.put(self._dialect.created())
            self._begin_extension()  # of a client whose secret asks for it
            async with self._tasks as tasks:
                sessions = self._sessions
                for work in (self._write, self._read, self._watch, sessions.follow_others, sessions.end_unheard):
                    tasks.create_task(work())
        except BaseExceptionGroup as group:
            leave = first_of(group)
        finally:
            self._memory.changed = lambda: None
            self._service.connections.discard(self)
            await self._sessions.close()
            if (
                self._seat is None
                and self._sessions.begun
                and leave.code == GONE
                and self._lost
                and self._dialect.asked.extensions
            ):
                self._service.admission.keep(self._dialect.id, self._key)
            self._service.metrics.ended.labels(str(leave.code)).inc()
            seconds = self._clock.now() - began
            LOG.info("session %s ends code=%d seconds=%.1f", self._dialect.id, leave.code, seconds)
        await self._close(leave)

    def going_away(self, seconds: float) -> None:
        """Tell a client that knows the extension to go elsewhere; one that has said nothing is let go at once."""
        self._extra("going_away", seconds=round(seconds))
        if not self._sessions.begun:
            self.stop()

    def stop(self) -> None:
        """Take no more audio in, say what was heard, and close."""
        self._sessions.finish(Leave(GOING_AWAY, "going away"))

    async def _write(self) -> None:
        try:
            await self._writer.run()
        except SlowClient:
            raise Leave(SLOW, "the client does not read") from None
        except (WebSocketDisconnect, RuntimeError):  # starlette's word for a socket that is closed
            raise Leave(GONE) from None

    async def _read(self) -> None:
        while True:
            text = await self._received()
            try:
                if text is None:
                    raise Rejected("invalid_event", "a binary frame; events are text")
                await self._take(text)
            except Rejected as error:
                error.event_id = error.event_id or self._dialect.event_id
                await self._reject(error)
            self._heard_from = True

    async def _received(self) -> str | None:
        """Return the next message; none for a binary one."""
        limit_s = self._service.limits.idle_s if self._heard_from else self._service.limits.first_s
        try:
            async with asyncio.timeout(None if self._sessions.finishing else limit_s):
                message = await self._socket.receive()
        except TimeoutError:
            await self._sessions.fail(Rejected("idle", f"nothing came for {limit_s:g} s"), IDLE)
        if message["type"] == "websocket.disconnect":
            self._lost = message.get("code") in LOST
            raise Leave(GONE)
        return message.get("text")

    async def _take(self, text: str) -> None:
        try:
            event = self._dialect.decode(text)
        except Rejected:
            await self._spend()
            raise
        if not isinstance(event, Audio):
            await self._spend()
        match event:
            case Audio():
                self._ask_key()
                await self._sessions.hear(event.pcm)
            case Change():
                self._change(event)
                self._ask_key()
            case ControlRequest():
                self._sessions.control(event.action)
            case Ping():
                self._extra("pong")
            case Image():
                if not self._sessions.see(event.jpeg):
                    self._note(NO_VISION)
            case Ignored():
                self._note(event.note)
            case Finish():
                self._sessions.finish(Leave(DONE))

    async def _spend(self) -> None:
        """Count an event that is no audio; a client that sends too many is let go."""
        if not self._allowance.spend():
            await self._sessions.fail(Rejected("rate_limited", f"more than {PER_S:g} events a second"), TOO_FAST)

    def _change(self, change: Change) -> None:
        """Take new wishes, and tell what of them has no effect."""
        before, asked = self._dialect.asked, change.asked
        check_addresses(asked, self._key, before)
        request = self._sessions.change(replace(asked, glossary=with_terms_of_key(asked.glossary, self._of_key)))
        if asked.glossary_url and asked.glossary_url != before.glossary_url:
            self._tasks.create_task(self._fetch_glossary(asked.glossary_url))
        if asked.hints_url and asked.hints_url != before.hints_url:
            self._tasks.create_task(self._fetch_hints(asked.hints_url))
        self._writer.put(self._dialect.updated())
        for note in (*change.notes, *map(Note, request.notices)):
            self._note(note)
        self._begin_extension()

    def _begin_extension(self) -> None:
        """Tell, once, a client that wants the extension of the first token and of a recording."""
        if self._extended or not self._dialect.asked.extensions:
            return
        self._extended = True
        self._renew()
        if self._seat is not None and self._service.recording is not None:
            self._extra("recording", recording=True)

    def _ask_key(self) -> None:
        if not self._key_asked:
            self._key_asked = True
            if self._key.glossary:
                self._tasks.create_task(self._fetch_glossary(""))
            if self._key.hints:
                self._tasks.create_task(self._fetch_hints(""))

    async def _fetch_glossary(self, named: str) -> None:
        """Fetch a glossary from where the client (``named``) or its key says, beside the session that goes on with it."""
        try:
            found = await fetched_glossary(named, self._dialect.asked, self._key, self._dialect.id)
            asked = self._dialect.asked
            if not named:
                self._of_key = found  # stays beside what the client sends
                self._change(Change(asked))
            elif asked.glossary_url == named:  # still wanted
                self._change(Change(replace(asked, glossary=found)))
        except Rejected as error:
            self._writer.put(self._dialect.failed(error))

    async def _fetch_hints(self, named: str) -> None:
        """Fetch words that may be said, likewise; they reach the session that runs."""
        try:
            found = await fetched_hints(named, self._key, self._dialect.id)
            asked = self._dialect.asked
            if not named:  # of too many the client's own stay
                self._change(Change(replace(asked, hints=with_hints(found, asked.hints))))
            elif asked.hints_url == named:
                self._change(Change(replace(asked, hints=with_hints(asked.hints, found))))
        except Rejected as error:
            self._writer.put(self._dialect.failed(error))

    async def _watch(self) -> None:
        """Renew the resume token, and end a session that has lasted as long as it may."""
        limits = self._service.limits
        left_s, warned = limits.session_s, False
        while left_s > 0:
            step_s = min(RENEWED_S, left_s)
            await asyncio.sleep(step_s)
            left_s -= step_s
            self._renew()
            if left_s <= limits.warning_s and not warned:
                warned = True
                self.going_away(left_s)
        self._writer.put(self._dialect.failed(Rejected("expired", "the session has lasted as long as one may")))
        self._sessions.finish(Leave(EXPIRED, "expired"))

    def _renew(self) -> None:
        signer, speakers = self._service.access.signer, self._memory.count
        self._extra("resume", token=resume_token(signer, self._dialect.id, self._key.id, speakers))

    def _note(self, note: Note) -> None:
        """Tell the client of something without effect, once."""
        if note not in self._noted:
            self._noted.add(note)
            for text in self._dialect.noted(note):
                self._writer.put(text)

    def _extra(self, kind: str, **fields: object) -> None:
        for text in self._dialect.extra(kind, **fields):
            self._writer.put(text)

    async def _reject(self, error: Rejected) -> None:
        self._writer.put(self._dialect.failed(error))
        self._mistakes += 1
        if not self._sessions.begun and self._mistakes >= self._service.limits.mistakes:
            await self._writer.drained()
            raise Leave(WRONG, "too many errors")

    async def _close(self, leave: Leave) -> None:
        """Send the close frame, if anybody is there to read it."""
        if leave.code in {GONE, SLOW} or self._socket.application_state == WebSocketState.DISCONNECTED:
            return
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(leave.code, leave.reason)
