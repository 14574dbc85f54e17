"""Translates a recording into speech and captions: python examples/translate_file.py talk.flac pt talk.pt.wav"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pipeline import (
    AudioFile,
    Captions,
    Engine,
    Event,
    LoopClock,
    Profile,
    ReadingUnit,
    SessionRequest,
    Sink,
    SinkQueue,
    SpeechFile,
)


class Lines:
    """A sink that prints each piece of translation as soon as it is final."""

    async def put(self, event: Event) -> None:
        """Print the text of a reading unit."""
        if isinstance(event, ReadingUnit) and event.text:
            print(event.text.strip(), flush=True)

    async def close(self) -> None:
        """Do nothing: nothing is held back."""


async def translate(heard: Path, target: str, spoken: Path, profile: Profile | str = "cpu") -> None:
    """Translate a file; the speech goes to the WAV or FLAC file ``spoken``, captions beside it."""
    source = AudioFile(heard, realtime=False, clock=LoopClock())
    sinks: list[Sink] = [SpeechFile(spoken), Captions(spoken.with_suffix(".vtt"), "both"), Lines()]
    queues = [SinkQueue(sink) for sink in sinks]
    async with Engine.load(profile) as engine:  # the models, loaded once for any number of sessions
        session = await engine.session(SessionRequest(targets=(target,), spoken=target))
        await session.run(source, queues)
    for error in filter(None, (queue.error for queue in queues)):
        raise error  # a sink that fails ends neither the session nor the others


if __name__ == "__main__":
    asyncio.run(translate(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
