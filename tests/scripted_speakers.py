"""A scripted diarizer, also as a backend that a profile can name: ``use: tests.scripted_speakers:TwoSpeakers``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from models.asr.vad import Loudness
from models.diarize.backend import OnlineDiarizer
from models.diarize.stream import DiarizationOptions
from pipeline.contracts import Missing
from pipeline.diarizing import SpeakerSpan, SpeakerTurns
from pipeline.errors import FETCH_MODELS
from pipeline.events import AudioChunk
from tests.scripted import Faults


@dataclass(frozen=True, slots=True)
class TwoSpeakers:
    """Two speakers who take turns."""

    turn_s: float = 5.0
    lacks: str = ""

    def missing(self) -> list[Missing]:
        return [Missing(self.lacks, FETCH_MODELS)] if self.lacks else []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("speakers", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[ScriptedDiarizer]:
        yield ScriptedDiarizer(self.turn_s, takes_s=0.001)


@dataclass
class ScriptedDiarizer:
    """Two speakers, by turns of ``turn_s``, known ``behind_s`` after they spoke; may break or hang at the n-th call."""

    turn_s: float = 5.0
    behind_s: float = 0.5
    takes_s: float = 0.01
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[int | None, Mapping[str, AudioChunk]]] = field(default_factory=list)
    closed: int = 0

    @asynccontextmanager
    async def open(self, most: int | None, known: Mapping[str, AudioChunk]) -> AsyncIterator[ScriptedDiarizing]:
        self.asked.append((most, known))
        yield ScriptedDiarizing(self)
        self.closed += 1


class ScriptedDiarizing:
    def __init__(self, script: ScriptedDiarizer) -> None:
        self._script, self._decided_s, self._heard_s = script, 0.0, 0.0

    async def hear(self, audio: AudioChunk) -> SpeakerTurns:
        await self._script.faults.call("diarize")
        await asyncio.sleep(self._script.takes_s)
        self._heard_s = audio.end
        return self._until(audio.end - self._script.behind_s)

    async def finish(self) -> SpeakerTurns:
        return self._until(self._heard_s)

    def _until(self, until_s: float) -> SpeakerTurns:
        spans = []
        while self._decided_s < until_s - 1e-9:
            turn = int(self._decided_s / self._script.turn_s + 1e-9)
            end_s = min(until_s, (turn + 1) * self._script.turn_s)
            spans.append(SpeakerSpan(self._decided_s, end_s, str(turn % 2 + 1)))
            self._decided_s = end_s
        return SpeakerTurns(tuple(spans), self._decided_s)


class InlineLane:
    """A lane whose calls are made at once: in virtual time a thread would be late."""

    async def run(self, call, *arguments):
        return call(*arguments)


def direction(samples: np.ndarray) -> np.ndarray:
    """A direction for each level of the samples; a window with several lies between them, as real ones do."""
    numbers = np.round((samples[samples > 0.05] - 0.1) / 0.05).astype(int)
    counts = np.bincount(numbers, minlength=16).astype(np.float32)
    return counts / np.linalg.norm(counts)


@dataclass(frozen=True, slots=True)
class Levels:
    """The real clustering; a voice is the level of its samples: 0.1 for the first, 0.05 more for each other."""

    def missing(self) -> list[Missing]:
        return []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("speakers", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[OnlineDiarizer]:
        yield OnlineDiarizer(InlineLane(), direction, Loudness, DiarizationOptions(), 0.7)
