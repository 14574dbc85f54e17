"""A room on trained models: two people of a language each, whose speech Kokoro makes; what each hears, recognized."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import soxr
from websockets.asyncio.client import ClientConnection

from benchmarks.fed_whole import Transcribe, whole_decoder
from benchmarks.serve_client import ServerProcess
from benchmarks.serve_rooms import take_part
from benchmarks.spoken_numbers import SENT_HZ
from models.tts.kokoro import Kokoro
from pipeline.audio.resampling import from_pcm16, to_pcm16
from pipeline.contracts import Voice
from pipeline.errors import ModelError
from pipeline.events import ReadingUnit, Samples
from pipeline.profiles.profile import load_profile
from pipeline.stages.speak import whole

Figures = dict[str, float]
PAUSE_S, SILENCE_S = 20.0, 40.0  # between the two, and after both: a busy machine is late


@dataclass
class Person:
    """A participant: what they say and in which voice, and the beginnings of words that its translation should have."""

    name: str
    language: str
    voice: str
    text: str
    wanted: tuple[str, ...]
    audio: bytes = b""
    sound: bytearray = field(default_factory=bytearray)
    foreign_bytes: int = 0  # of sound that is nobody's whom they should hear
    read: list[str] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)

    async def talk(self, url: str, begin_s: float, whole_s: float) -> None:
        """Be in the room for so long, in real time, and speak from ``begin_s`` on."""
        before = bytes(2 * round(begin_s * SENT_HZ))
        audio = before + self.audio + bytes(max(0, 2 * round(whole_s * SENT_HZ) - len(before) - len(self.audio)))
        await take_part(f"{url}&room=trained&as={self.name}", self.language, self.language, audio, self._read)

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            event: dict[str, Any] = json.loads(text)
            own = event.get("participant", self.name) == self.name
            match event["type"]:
                case "session.output_audio.delta":
                    pcm = base64.b64decode(event["delta"])
                    self.sound += pcm
                    self.foreign_bytes += len(pcm) if own else 0
                case "translate_live.unit" if not own:
                    self.read.append(event["text"])
                case "translate_live.lag":
                    self.lags_s.append(event["ear_voice_ms"] / 1000)
                case "session.closed":
                    return


def people() -> list[Person]:
    """Make the two, whose sentences have no word in common in either language."""
    english = "The meeting begins at nine o'clock. The director reads the report and answers the questions."
    portuguese = "O trem para a praia sai todas as manhãs. Minha avó gosta de abelhas e de flores."
    return [
        Person("Ana", "en", "af_bella", english, ("train", "beach", "morning", "grandm", "bees", "flower")),
        Person("Bo", "pt", "pf_dora", portuguese, ("reuni", "nove", "diretor", "relatório", "pergunta")),
    ]


async def trained_room(arguments: argparse.Namespace) -> Figures:
    """Run the room on the profile's own models; gives what each heard of the other's words, and of none else."""
    transcribe = whole_decoder(load_profile(arguments.profile).backends.recognizer)
    if transcribe is None:
        raise ModelError("what was heard is recognized by Whisper, which this profile does not have")
    ana, bo = both = people()
    for person in both:
        person.audio = await _spoken(person)
    first_s = len(ana.audio) / 2 / SENT_HZ + PAUSE_S
    whole_s = first_s + len(bo.audio) / 2 / SENT_HZ + SILENCE_S
    server = await (await ServerProcess.start(2, settings=(), profile=arguments.profile)).ready()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ana.talk(server.url, 0.5, whole_s))
            tasks.create_task(bo.talk(server.url, first_s, whole_s))
        cpu_s = server.cpu_s
    finally:
        await server.end()
    figures: Figures = {
        "trained_room_cpu_s_per_audio_s": cpu_s / whole_s,
        "trained_room_lag_p50_s": median([lag for person in both for lag in person.lags_s] or [float("nan")]),
        "crossed_audio_to_wrong_listener_s": sum(person.foreign_bytes for person in both) / 2 / SENT_HZ,
    }
    for person, other in ((ana, bo), (bo, ana)):
        figures |= heard(person, other, transcribe)
    return figures


def heard(person: Person, other: Person, transcribe: Transcribe) -> Figures:
    """Recognize what one heard: shares of the words that were meant and that they read, and words of their own text."""
    samples = from_pcm16(bytes(person.sound))
    text = transcribe(samples, SENT_HZ, person.language) if len(samples) else ""
    print(
        f"{person.name} hears: {text.strip()}\n{person.name} reads: {' '.join(' '.join(person.read).split())}", flush=True
    )
    words, read, own = words_of(text), words_of(" ".join(person.read)), words_of(person.text) - words_of(other.text)
    meant = [any(word.startswith(start) for word in words) for start in person.wanted]
    return {
        f"{person.language}_meant_words_heard_share": sum(meant) / len(meant),
        f"{person.language}_read_words_heard_share": len(read & words) / max(1, len(read)),
        f"{person.language}_own_words_heard": len(own & words),
    }


def words_of(text: str) -> set[str]:
    """Return the words of four letters and more, without case."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= 4}


async def _spoken(person: Person) -> bytes:
    async with Kokoro().load() as kokoro, kokoro.open(Voice(person.voice), person.language) as speaking:
        unit = ReadingUnit(0, (), person.text, person.language, 0.0, 0.0, 0.0)
        chunks = [chunk async for chunk in speaking.say(unit, whole(person.text))]
    samples: Samples = np.concatenate([chunk.samples for chunk in chunks])
    return to_pcm16(soxr.resample(samples, chunks[0].sample_rate, SENT_HZ)).tobytes()
