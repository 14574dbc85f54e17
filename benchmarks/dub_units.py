"""Units of a dubbed film: what was said of each, and where a decoded track has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr

from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.film_made import best_place
from pipeline.audio.stretch import stretched
from pipeline.events import Event, ReadingUnit, Samples, SpeechChunk
from pipeline.policies.pace import PaceOptions

TEMPLATE_S = 0.25
RATES = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25)
FOUND = 0.5  # correlation from which a unit counts as found


@dataclass
class Kept:
    """A sink that keeps every event."""

    events: list[Event] = field(default_factory=list)

    async def put(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    async def close(self) -> None:
        """Do nothing: the events stay."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """The text said of a unit at its natural rate, and whether it could have begun with its source."""

    unit: ReadingUnit
    speech: Samples
    sample_rate: int
    allowed: bool

    def place_in(self, spoken: Samples) -> tuple[float, float]:
        """Find where a track has the beginning of its speech, hurried or not, in seconds, and how like it is there."""
        window_s, places = (self.unit.start - 2, self.unit.start + 12), []
        for rate in RATES:
            beginning = stretched(self.speech, rate, self.sample_rate)[: round(TEMPLATE_S * self.sample_rate)]
            template = np.asarray(soxr.resample(beginning, self.sample_rate, CORPUS_HZ), np.float32)
            places.append(best_place(spoken, template, CORPUS_HZ, window_s))
        return max(places, key=lambda place: place[1])


def said_units(events: Sequence[Event], pace: PaceOptions) -> list[Said]:
    """List what was said, and where pace would have let it begin with its source."""
    units = {event.number: event for event in events if isinstance(event, ReadingUnit)}
    speech: dict[int, list[SpeechChunk]] = {}
    for event in events:
        if isinstance(event, SpeechChunk) and len(event.samples):
            speech.setdefault(event.unit, []).append(event)
    said, free_s = [], 0.0
    for number, chunks in sorted(speech.items()):
        samples, rate = np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate
        begin_s = max(free_s, units[number].start)
        said.append(Said(units[number], samples, rate, free_s <= units[number].start))
        free_s = begin_s + len(samples) / rate / pace.max_rate
    return said
