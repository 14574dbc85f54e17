"""One client's connection: what it sends is read, its session runs, and whatever ends first ends all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from pipeline.clock import LoopClock
from pipeline.errors import StageFailed, TranslateLiveError
from pipeline.request import ResolvedRequest
from pipeline.server.access import Key
from pipeline.server.asked import Asked, Audio, Change, Control, Finish, Offset, Ping, Rejected, rejection, resolved
from pipeline.server.dialects.codec import Dialect
from pipeline.server.resume import RENEWED_S, resume_token
from pipeline.server.service import LOG, Allowance, Service
from pipeline.server.source import SocketSource
from pipeline.server.writer import SlowClient, SocketSink, Writer
from pipeline.session import Session
from pipeline.sinks.delivery import SinkQueue

CLOSE_S = 2.0  # for the close frame to leave
DONE, GOING_AWAY, WRONG, FAILED = 1000, 1001, 1008, 1011
EXPIRED, SLOW, TOO_FAST, IDLE, GONE = 4001, 4008, 4029, 4031, 1006
LOST = {1005, 1006}  # no close frame came, or one without a code
BURST, PER_S = 50.0, 10.0  # events other than audio


class Leave(Exception):
    """The connection ends, with this code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Connection:
    """A client from its accepted upgrade to its close; its tasks end together."""

    def __init__(self, socket: WebSocket, dialect: Dialect, service: Service, key: Key) -> None:
        self._socket = socket
        self._dialect = dialect
        self._service = service
        self._key = key
        self._clock = LoopClock()
        self._writer = Writer(socket.send_text)
        self._tasks = asyncio.TaskGroup()
        self._source: SocketSource | None = None
        self._session: Session | None = None
        self._talking: asyncio.Task[None] | None = None
        self._finishing: Leave | None = None
        self._mistakes = self._start_ms = 0
        self._heard_from = self._paused = self._muted = False
        self._lost = True  # unless the client says that it goes
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
            async with self._tasks as tasks:
                for work in (self._write(), self._read(), self._watch()):
                    tasks.create_task(work)
        except* Leave as group:
            leave = _first(group)
        finally:
            self._service.connections.discard(self)
            begun = self._source is not None
            if begun and leave.code == GONE and self._lost and self._dialect.asked.extensions:
                self._service.admission.keep(self._dialect.id, self._key)
            self._service.metrics.ended.labels(str(leave.code)).inc()
            seconds = self._clock.now() - began
            LOG.info("session %s ends code=%d seconds=%.1f", self._dialect.id, leave.code, seconds)
        await self._close(leave)

    def going_away(self, seconds: float) -> None:
        """Tell a client that knows the extension to go elsewhere; one that has said nothing is let go at once."""
        self._extra("going_away", seconds=round(seconds))
        if self._source is None:
            self.stop()

    def stop(self) -> None:
        """Take no more audio in, say what was heard, and close."""
        self._finish(Leave(GOING_AWAY, "going away"))

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
        """The next message; none for a binary one."""
        limit_s = self._service.limits.idle_s if self._heard_from else self._service.limits.first_s
        try:
            async with asyncio.timeout(None if self._finishing else limit_s):
                message = await self._socket.receive()
        except TimeoutError:
            await self._leave(Rejected("idle", f"nothing came for {limit_s:g} s"), IDLE)
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
                await self._hear(event.pcm)
            case Change():
                self._change(event.asked)
            case Control():
                self._control(event.action)
            case Ping():
                self._extra("pong")
            case Finish():
                self._finish(Leave(DONE))

    async def _spend(self) -> None:
        """Count an event that is no audio; a client that sends too many is let go."""
        if not self._allowance.spend():
            await self._leave(Rejected("rate_limited", f"more than {PER_S:g} events a second"), TOO_FAST)

    async def _hear(self, pcm: bytes) -> None:
        if self._finishing is not None and self._finishing.code == DONE:
            raise Rejected("invalid_event", "the session is being closed")
        if self._finishing is not None:  # by us: the client cannot know yet
            return
        if self._source is None:
            self._source = self._begin(self._dialect.asked)
        await self._source.feed(pcm)

    def _change(self, asked: Asked) -> None:
        """Take new wishes; in mid-talk, if they need another session, it follows the one that runs."""
        before = self._dialect.asked
        resolved(asked, self._service.engine.profile, may_clone=self._key.may_clone)
        self._dialect.asked = asked
        self._writer.put(self._dialect.updated())
        if asked.extensions and not before.extensions:
            self._renew()
        if self._source is not None and asked.session() != before.session() and not self._finishing:
            self._source.end()
            self._source = self._begin(asked)

    def _begin(self, asked: Asked) -> SocketSource:
        """Start a session, after the one that runs, if one does; raises `Rejected`."""
        request = resolved(asked, self._service.engine.profile, may_clone=self._key.may_clone)
        again = self._source is not None or bool(asked.start_ms or asked.first_unit)
        source = SocketSource(self._clock, self._dialect.input_hz, replay=again)
        self._talking = self._tasks.create_task(self._talk(request, source, self._talking, self._source))
        return source

    async def _talk(
        self,
        request: ResolvedRequest,
        source: SocketSource,
        before: asyncio.Task[None] | None,
        heard: SocketSource | None,
    ) -> None:
        """Run one session on ``source``, when that on the audio before has ended."""
        if before is not None:
            await before
        if heard is None:
            self._start_ms, first_unit = self._dialect.asked.start_ms, self._dialect.asked.first_unit
        else:
            self._start_ms += round(heard.position_s * 1000)
            first_unit = self._dialect.next_unit
        offset = Offset(self._start_ms, first_unit, request.request.targets[0])
        try:
            session = self._session = await self._service.engine.session(request, self._clock)
            if self._paused:
                session.pause()
            if self._muted:
                session.mute()
            await session.run(source, self._outlets(offset))
        except StageFailed:  # its `Fault` has told
            await self._writer.drained()
            raise Leave(FAILED, "the session failed") from None
        except TranslateLiveError as error:
            await self._leave(rejection(error), FAILED)
        except Exception as error:  # the border to the models: a bug must not end other connections
            LOG.error("session %s failed: %s", self._dialect.id, type(error).__name__)
            await self._leave(Rejected("stage_failed", "the session failed"), FAILED)
        if self._finishing is not None and source is self._source:
            await self._end(self._finishing)

    def _outlets(self, offset: Offset) -> Sequence[SinkQueue]:
        sink = SocketSink(self._writer, lambda event: self._dialect.encode(event, offset), self._dialect.flushed)
        others = (make(self._dialect.id, self._key.id) for make in self._service.sinks)
        return [SinkQueue(sink), *map(SinkQueue, others)]

    def _control(self, action: str) -> None:
        self._paused = {"pause": True, "resume": False}.get(action, self._paused)
        self._muted = {"mute": True, "unmute": False}.get(action, self._muted)
        if self._session is not None:
            match action:
                case "skip_to_live":
                    self._session.skip_to_live()
                case "pause" | "resume":
                    self._session.pause(self._paused)
                case _:
                    self._session.mute(self._muted)

    def _finish(self, leave: Leave) -> None:
        """End the audio; what was heard is said, then the connection ends."""
        if self._finishing is not None:
            return
        self._finishing = leave
        if self._source is not None:
            self._source.end()
            if leave.code == GOING_AWAY and self._session is not None:
                self._session.stop()
        else:
            self._tasks.create_task(self._end(leave))

    async def _end(self, leave: Leave) -> None:
        self._writer.put(self._dialect.closed())
        await self._writer.drained()
        raise leave

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
        self._finish(Leave(EXPIRED, "expired"))

    def _renew(self) -> None:
        self._extra("resume", token=resume_token(self._service.access.signer, self._dialect.id, self._key.id))

    def _extra(self, kind: str, **fields: object) -> None:
        for text in self._dialect.extra(kind, **fields):
            self._writer.put(text)

    async def _reject(self, error: Rejected) -> None:
        self._writer.put(self._dialect.failed(error))
        self._mistakes += 1
        if self._source is None and self._mistakes >= self._service.limits.mistakes:
            await self._writer.drained()
            raise Leave(WRONG, "too many errors")

    async def _leave(self, error: Rejected, code: int) -> NoReturn:
        self._writer.put(self._dialect.failed(error))
        await self._writer.drained()
        raise Leave(code, error.code)

    async def _close(self, leave: Leave) -> None:
        """Send the close frame, if anybody is there to read it."""
        if leave.code in {GONE, SLOW} or self._socket.application_state == WebSocketState.DISCONNECTED:
            return
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(leave.code, leave.reason)


def _first(group: BaseExceptionGroup[Leave]) -> Leave:
    """The first of the ends that came together, but a said one before one that was only seen."""
    leaves = [error for error in group.exceptions if isinstance(error, Leave)]
    return min(leaves, key=lambda leave: leave.code == GONE)
