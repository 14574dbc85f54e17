"""Pushes audio as it comes, as a server does, and prints each event as a line of JSON.

ffmpeg -i talk.flac -f s16le -ac 1 -ar 16000 - | python examples/push_audio.py pt
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import BinaryIO

import numpy as np

from pipeline import Engine, Event, Profile, PushSource, SessionRequest, SinkQueue, encode
from pipeline.events import AudioChunk, SpeechChunk

RATE_HZ = 16_000


class JsonLines:
    """A sink that prints events, but not their audio."""

    async def put(self, event: Event) -> None:
        """Print one event."""
        if not isinstance(event, AudioChunk | SpeechChunk):
            print(json.dumps(encode(event), ensure_ascii=False), flush=True)

    async def close(self) -> None:
        """Do nothing: nothing is held back."""


async def push(source: PushSource, pcm: BinaryIO) -> None:
    """Push 16-bit mono samples in pieces of 0.1 s until the stream ends."""
    while piece := await asyncio.to_thread(pcm.read, 2 * RATE_HZ // 10):
        await source.push(np.frombuffer(piece[: len(piece) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768))
    source.close()


async def translate(pcm: BinaryIO, target: str, profile: Profile | str = "cpu") -> None:
    """Translate a stream of 16 kHz PCM into text."""
    queue = SinkQueue(JsonLines())  # kind="client" for a reader over a network: over its budget it is closed, and told
    source = PushSource(RATE_HZ, live=False)  # live=True: what cannot be kept up with is skipped, and told as a Gap
    async with Engine.load(profile, ("recognizer", "translator")) as engine, asyncio.TaskGroup() as tasks:
        session = await engine.session(SessionRequest(targets=(target,)))
        tasks.create_task(push(source, pcm))
        await session.run(source, [queue])
    if queue.error is not None:
        raise queue.error  # a sink that fails does not end the session


if __name__ == "__main__":
    asyncio.run(translate(sys.stdin.buffer, sys.argv[1]))
