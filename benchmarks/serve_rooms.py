"""Rooms of two on one server, whose participants say numbers of their own: what each hears, and how late."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.serve_client import FRAME, ServerProcess
from benchmarks.spoken_numbers import SENT_HZ, UTTERANCE, WORDS, numbers_in, spoken

Figures = dict[str, float]
NUMBERS = (
    "recognizer={use: 'benchmarks.spoken_numbers:SpokenNumbers', heard: [en, es, fr]}",
    "translator={use: 'benchmarks.spoken_numbers:NumberModels'}",
    "synthesizer={use: 'benchmarks.spoken_numbers:NumberModels'}",
    "third_synthesizer=null",
    "fallback_synthesizer={use: 'benchmarks.spoken_numbers:NumberModels'}",
    "units.policy=pauses",
)
"""Settings of a server that hears, translates and says numbers."""
SETTINGS = tuple(word for setting in NUMBERS for word in ("--set", setting))
"""The same as options of ``translate-live serve``."""
LANGUAGES = ("en", "es")
SILENCE_S = 6.0  # in which the last words are spoken


async def take_part(
    url: str, source: str, language: str, audio: bytes, read: Callable[[ClientConnection], Coroutine[None, None, None]]
) -> None:
    """Send PCM16 to a room in real time, while ``read`` takes its events, and close the session."""
    ours = {"extensions": True, "source": source}
    session = {"audio": {"output": {"language": language}}, "translate_live": ours}
    async with connect(url, max_size=None, compression=None) as socket:
        reading = asyncio.create_task(read(socket))
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await asyncio.sleep(0.5)  # the other participant comes
        began = time.monotonic()
        for first in range(0, len(audio), FRAME):
            await asyncio.sleep(max(0.0, began + (first + FRAME) / 2 / SENT_HZ - time.monotonic()))
            piece = base64.b64encode(audio[first : first + FRAME]).decode()
            await socket.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": piece}))
        await socket.send('{"type": "session.close"}')
        await reading


@dataclass
class Participant:
    """A client that says the numbers from ``first`` to before ``end`` again and again, and keeps what it hears."""

    first: int
    end: int
    language: str
    texts: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)
    lags_s: list[float] = field(default_factory=list)

    async def talk(self, url: str, name: str, count: int, *, source: str = "") -> None:
        """Say so many numbers in real time, then be silent until the others have been heard."""
        numbers = [self.first + number % (self.end - self.first) for number in range(count)]
        audio = b"".join(spoken(number, 1) for number in numbers) + bytes(round(SILENCE_S * SENT_HZ) * 2)
        await take_part(url, source, self.language, audio, lambda socket: self._read(socket, name))

    async def _read(self, socket: ClientConnection, name: str) -> None:
        async for text in socket:
            event: dict[str, Any] = json.loads(text)
            match event["type"]:
                case "session.output_audio.delta":
                    self.sound += base64.b64decode(event["delta"])
                case "translate_live.unit":
                    said = self.own if event.get("participant", "") == name else self.texts
                    said += map(int, event["text"].split())
                case "translate_live.lag":
                    self.lags_s.append(event["ear_voice_ms"] / 1000)
                case "session.closed":
                    return


async def rooms(arguments: argparse.Namespace) -> Figures:
    """Run the rooms at once, after a session alone and as many sessions as there are participants.

    Numbers that were heard where nobody said them are crossed.
    """
    count = arguments.rooms
    width = WORDS // (2 * count) // UTTERANCE * UTTERANCE
    if not width:
        raise SystemExit(f"--rooms {count}: at most {WORDS // 2 // UTTERANCE} rooms have numbers of their own")
    said = max(width, round(arguments.seconds / 0.4) // UTTERANCE * UTTERANCE)
    server = await (await ServerProcess.start(2 * count, *SETTINGS)).ready()
    try:
        alone = Participant(0, width, "es")
        await alone.talk(server.url, "", said, source="en")
        before_s = server.cpu_s
        crowd = [Participant(0, width, "es") for _ in range(2 * count)]
        async with asyncio.TaskGroup() as tasks:
            for person in crowd:
                tasks.create_task(person.talk(server.url, "", said, source="en"))
        crowd_cpu_s, before_s = server.cpu_s - before_s, server.cpu_s
        people = [Participant(width * place, width * (place + 1), LANGUAGES[place % 2]) for place in range(2 * count)]
        async with asyncio.TaskGroup() as tasks:
            for place, person in enumerate(people):
                name = f"p{place % 2}"
                tasks.create_task(person.talk(f"{server.url}&room=r{place // 2}&as={name}", name, said))
        rooms_cpu_s = server.cpu_s - before_s
    finally:
        await server.end()
    pairs = [(person, people[place ^ 1]) for place, person in enumerate(people)]
    crossed = [number for person, other in pairs for number in numbers_in(bytes(person.sound)) if not _of(number, other)]
    misread = [number for person, other in pairs for number in person.texts if not _of(number, other)]
    lag_s, alone_s, crowd_s = (_lag_s(group) for group in (people, [alone], crowd))
    return {
        "rooms": count,
        "crossed_audio_to_wrong_listener": len(crossed),
        "crossed_text_to_wrong_listener": len(misread),
        "room_words_said": 2 * count * said,
        "room_words_heard": sum(len(numbers_in(bytes(person.sound))) for person in people),
        "room_words_read": sum(len(person.texts) for person in people),
        "room_cpu_to_as_many_sessions": rooms_cpu_s / crowd_cpu_s,
        "room_lag_p50_s": lag_s,
        "alone_lag_p50_s": alone_s,
        "as_many_sessions_lag_p50_s": crowd_s,
        "room_lag_p50_change_s": lag_s - alone_s,
        "room_lag_p50_change_to_as_many_sessions_s": lag_s - crowd_s,
    }


def _lag_s(people: list[Participant]) -> float:
    """Return the median ear-voice span that these participants were told."""
    return median([lag for person in people for lag in person.lags_s])


def _of(number: int, person: Participant) -> bool:
    """True if a participant says this number."""
    return person.first <= number < person.end
