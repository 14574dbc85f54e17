"""A server that speaks OpenAI's realtime-translations protocol as a system under test: ours, theirs, or another's."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import soxr

from benchmarks.clocks.feeder import Feeder
from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.row import Clock
from benchmarks.systems.foreign import Reception, as_pcm16, from_pcm16
from benchmarks.systems.in_process import Outcome, SourceAudio
from pipeline.clock import LoopClock
from pipeline.errors import ModelError, NetworkError

WIRE_HZ = 24_000
PATIENCE_S = 60.0


class WebSocketSystem:
    """A server by its URL; the key in TRANSLATE_LIVE_BENCHMARK_KEY, if any, is sent as a bearer token."""

    clocks: tuple[Clock, ...] = ("real",)

    def __init__(self, url: str) -> None:
        self._url = url

    def about(self) -> dict[str, Any]:
        """Its URL."""
        return {"system": f"websocket:{self._url}"}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Each utterance opens a connection."""
        yield

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """One session of the server; raises `NetworkError` or, for an error it reports, `ModelError`."""
        from websockets.asyncio.client import connect  # noqa: PLC0415  (only where a server is measured)
        from websockets.exceptions import WebSocketException  # noqa: PLC0415

        samples = soxr.resample(audio.samples, audio.sample_rate, WIRE_HZ)
        feeder = Feeder(samples, WIRE_HZ, LoopClock(), live=True)
        reception = Reception(lambda: LoopClock().now() - feeder.origin_s, audio.duration_s, WIRE_HZ)
        key = os.environ.get("TRANSLATE_LIVE_BENCHMARK_KEY")
        began = time.perf_counter()
        try:
            async with (
                asyncio.timeout(audio.duration_s + PATIENCE_S),
                connect(self._url, additional_headers={"Authorization": f"Bearer {key}"} if key else {}) as connection,
            ):
                session = {"audio": {"output": {"language": utterance.target_language}}}
                await connection.send(json.dumps({"type": "session.update", "session": session}))
                async with asyncio.TaskGroup() as group:
                    group.create_task(_feed(connection, feeder))
                    group.create_task(_read(connection, reception))
        except* (OSError, WebSocketException, TimeoutError) as errors:
            first = errors.exceptions[0]
            raise NetworkError(f"{self._url}: {first or type(first).__name__}; is the server running?") from errors
        return reception.outcome(audio, feeder, time.perf_counter() - began)


async def _feed(connection: Any, feeder: Feeder) -> None:  # noqa: ANN401  (websockets is imported where it is used)
    async for frame in feeder:
        audio = base64.b64encode(as_pcm16(frame.samples)).decode()
        await connection.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
    await connection.send(json.dumps({"type": "session.close"}))


async def _read(connection: Any, reception: Reception) -> None:  # noqa: ANN401
    async for message in connection:
        event = json.loads(message)
        match event.get("type"):
            case "session.output_transcript.delta":
                reception.text(event["delta"])
            case "session.output_audio.delta":
                reception.speech(from_pcm16(base64.b64decode(event["delta"])), event.get("sample_rate", WIRE_HZ))
            case "error":
                raise ModelError(f"the server says: {event.get('error', {}).get('message', event)}")
            case "session.closed":
                break
    reception.finish()
