"""A session whose models run on a server: the same sources and sinks, and a connection that comes back by itself."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.audio.resampling import AnyRate, to_pcm16
from pipeline.client.connection import Lost, Remote, Replay, connected, first_of, update_of
from pipeline.client.decoder import MessageDecoder
from pipeline.client.pictures import IMAGE, SentPictures
from pipeline.clock import Clock
from pipeline.contracts import Source
from pipeline.errors import BadInput, ModelError, NetworkError, Refused, StageFailed, TranslateLiveError, message_of
from pipeline.events import AudioChunk, Fault, Gap, Notice, Samples
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.outlets import Outlets
from pipeline.stages.stream_time import LiveTime

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

HZ = 24_000
PIECE_MS = 200
LEAD_S = 5.0  # how far a file is sent ahead of the clock
KEPT_S, KEPT_OF_FILE_S = 15.0, 60.0  # for a replay: a live server would skip more than that
SILENT_S = 10.0  # without audio, then a ping
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0  # between attempts to connect again
GIVE_UP_S = 600.0  # without a connection
DONE, CLOSED_S = 1000, 2.0  # code of the close that follows ``session.closed``, and how soon it does
BEHIND_S = 1.0  # of live audio that waits, from which on no picture is sent
MODEL_FAILURES = 3  # in a row, without a unit between them


class ClientSession:
    """A session whose models are a server's: it ends with its source, or when `stop` is called."""

    def __init__(self, remote: Remote, request: SessionRequest, clock: Clock) -> None:
        if find_spec("websockets") is None:
            raise BadInput("a server is reached with websockets", hint="pip install 'translate-live[serve]'")
        self._remote, self._request, self._clock = remote, request, clock
        self._main = request.main_target
        self._decoder = MessageDecoder(request.targets, self._main, request.spoken_targets, remote.participant)
        self._replay = Replay()
        self._time = LiveTime(clock)
        self._outlets = Outlets()
        self._pictures = SentPictures(request.watching, clock, self._outlets.tell) if request.watching is not None else None
        self._capturing: asyncio.Task[None] | None = None
        self._stopping = self._ended = self._connected_once = False
        self._arrived, self._room, self._accepted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._token = ""
        self._failures = 0

    async def run(self, source: Source, outlets: Sequence[SinkQueue]) -> None:
        """Run to the end; raises `NetworkError`, `Refused`, or `StageFailed` of a source that failed."""
        self._outlets.connect(outlets)
        failed: TranslateLiveError | None = None
        try:
            async with self._outlets.delivering():
                failed = await self._talk(source)
                if failed is not None:
                    await self._outlets.show(Fault("server", message_of(failed), fatal=True))
        finally:
            await self._outlets.close()
        if failed is not None:
            raise failed

    def stop(self) -> None:
        """Take no more audio in; what was heard is still translated and spoken."""
        self._stopping = True
        if self._capturing is not None:
            self._capturing.cancel()

    def mute(self, muted: bool = True) -> None:
        """Fall silent at once."""
        if muted:
            self._outlets.flush()

    def clock_time(self, moment: float) -> float:
        """Return the clock's time (monotonic seconds) of a stream time."""
        return self._time.clock_time(moment)

    async def _talk(self, source: Source) -> TranslateLiveError | None:
        """Capture and stay connected until all is said; gives what went wrong."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if not source.live:
                    self._time.clock_time(0.0)
                seeing = tasks.create_task(self._pictures.work()) if self._pictures else None
                heard = self._pictures.beside(source) if self._pictures else source
                self._capturing = tasks.create_task(self._capture(heard))
                await self._stay_connected(live=source.live)
                self._capturing.cancel()
                if seeing is not None:
                    seeing.cancel()
        except BaseExceptionGroup as group:
            error = first_of(group)
            if not isinstance(error, TranslateLiveError):
                raise
            return error
        return None

    async def _capture(self, source: Source) -> None:
        """Take audio in, as 24 kHz PCM16; a source that is not live waits for the connection."""
        resampler, rate = AnyRate(HZ), 0
        held: list[AudioChunk | Notice] = []  # what is shown opens files, and a session that is refused leaves none
        try:
            if not self._stopping:
                async with aclosing(aiter(source)) as items:
                    async for item in items:
                        held.append(item)
                        if self._accepted.is_set():
                            await self._show_all(held)
                        if not isinstance(item, AudioChunk):
                            continue
                        if source.live:
                            self._time.hear(item)
                        rate = item.sample_rate
                        await self._take(resampler.process(item.samples, rate), live=source.live)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except Exception as error:  # the border to foreign sources
            raise StageFailed("capture", error) from error
        if rate:
            self._replay.add(to_pcm16(resampler.process(np.zeros(0, np.float32), rate, last=True)).tobytes())
        self._ended = True
        self._arrived.set()
        await self._accepted.wait()
        await self._show_all(held)

    async def _show_all(self, held: list[AudioChunk | Notice]) -> None:
        while held:
            await self._outlets.show(held.pop(0))

    async def _take(self, samples: Samples, *, live: bool) -> None:
        self._replay.add(to_pcm16(samples).tobytes())
        self._arrived.set()
        while not live and self._replay.unsent_s > LEAD_S:
            self._room.clear()
            await self._room.wait()
        if live and (dropped := self._replay.drop(KEPT_S)):
            await self._outlets.show(Gap(*dropped, "there was no connection to the server"))

    async def _stay_connected(self, *, live: bool) -> None:
        """Connect, and again whenever the connection is lost, until the server has said all."""
        wait_s, lost_at = FIRST_WAIT_S, self._clock.now()
        told = False
        while True:
            units, opened = self._decoder.next_unit, False
            try:
                async with connected(self._remote, self._token, again=self._connected_once) as connection:
                    opened = self._connected_once = True
                    told = False
                    await self._converse(connection, live=live)
                    return
            except (Lost, OSError) as error:
                why = error
            if not self._connected_once:
                why_not = f"{self._remote.name} cannot be reached: {message_of(why)}"
                raise NetworkError(why_not, hint="another address", code="no_server")
            for event in self._decoder.lost():
                await self._outlets.show(event)
            if opened and self._decoder.next_unit > units:
                wait_s, self._failures = FIRST_WAIT_S, 0
            if opened:
                lost_at = self._clock.now()
            if not told:
                lost = f"the connection to {self._remote.name} was lost ({message_of(why)}); connecting again"
                await self._outlets.show(Fault("server", lost, fatal=False))
                told = True
            if self._clock.now() - lost_at > GIVE_UP_S:
                raise NetworkError(f"{self._remote.name} was lost and did not come back for {GIVE_UP_S:g} s: {why}")
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _converse(self, connection: ClientConnection, *, live: bool) -> None:
        """Say from where it goes on, then send and receive to the end; raises `Lost` before it."""
        start_ms = self._replay.rewind(self._decoder.said_ms)
        await connection.send(update_of(self._request, start_ms, self._decoder.next_unit))
        if self._pictures and (picture := self._pictures.again()):
            await connection.send(picture)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(connection, live=live))
            async for text in connection:
                message = json.loads(text)
                if message["type"] == "session.closed":
                    with suppress(TimeoutError):
                        await asyncio.wait_for(connection.wait_closed(), CLOSED_S)
                    if sending.done() and connection.close_code in {None, DONE}:
                        break
                    raise Lost("the server went away")
                await self._receive(message)
            else:
                raise Lost("the server closed the connection")
            sending.cancel()
        for event in self._decoder.end():
            await self._outlets.show(event)

    async def _send(self, connection: ClientConnection, *, live: bool) -> None:
        """Send what is heard, a file not much faster than it was spoken, then the end."""
        began_s = self._clock.now() - self._replay.place_ms / 1000
        while True:
            if piece := self._replay.next(PIECE_MS):
                self._replay.forget(self._replay.place_ms - round(1000 * (KEPT_S if live else KEPT_OF_FILE_S)))
                self._room.set()
                audio = base64.b64encode(piece).decode()
                await connection.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
                await self._send_picture(connection, live=live)
                if not live:
                    await self._clock.sleep_until(began_s + self._replay.place_ms / 1000 - LEAD_S)
                continue
            if self._ended:
                await connection.send('{"type": "session.close"}')
                return
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENT_S):
                    await self._arrived.wait()
                    continue
            await connection.send('{"type": "translate_live.ping"}')

    async def _send_picture(self, connection: ClientConnection, *, live: bool) -> None:
        """Send a picture, if one is due and no live audio waits for it."""
        behind = live and self._replay.unsent_s > BEHIND_S
        if self._pictures and not behind and (picture := self._pictures.take()):
            await connection.send(picture)

    async def _receive(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "translate_live.resume":
                self._token = message["token"]
            case "translate_live.flush":
                self.mute()
            case "translate_live.note" if message.get("param") == "image" and self._pictures:
                self._pictures.end(f"{self._remote.name}: {message['message']}")
            case "session.updated":
                self._accepted.set()
            case "error":
                self._mistake(message["error"])
        for event in self._decoder.decode(message):
            await self._outlets.show(event)
        self._replay.forget(self._decoder.said_ms)

    def _mistake(self, error: dict[str, Any]) -> None:
        """Raise for what no other connection mends."""
        if error["code"] == "stage_failed":
            self._failures += 1
            if self._failures >= MODEL_FAILURES:
                raise ModelError(f"the server {self._remote.name} fails: {error['message']}")
        elif error["code"] in {"glossary_not_fetched", "hints_not_fetched", "terms_left_out"}:  # the session goes on
            kind = error["code"].partition("_")[0]
            self._outlets.tell(
                Fault("server", f"without the {kind} of {self._remote.name}: {error['message']}", fatal=False)
            )
        elif error["code"] == "invalid_event" and error.get("event_id") == IMAGE and self._pictures:  # an older server's
            self._pictures.end(f"{self._remote.name} takes no pictures: {error['message']}")
        elif error["code"] not in {"idle", "expired", "rate_limited", "capacity"}:
            raise Refused(f"the server {self._remote.name} refuses: {error['message']}")
