"""Wishes of a session about who speaks, and the enrolled voices by which speakers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.audio.multichannel import ChannelLevels
from pipeline.diarizing import SpeakerMemory
from pipeline.errors import TranslateLiveError
from pipeline.events import AudioChunk
from pipeline.stages.recognize import RECOGNIZER_HZ
from pipeline.stages.speakers import SpeakerOptions
from pipeline.voices.reference_clip import resampled
from pipeline.voices.store import VoiceStore

MOST_KNOWN = 20  # voices that are looked for
SHORTEST_S = 1.5


@dataclass(frozen=True, slots=True)
class SpeakersAsked:
    """A listener's wishes: at most so many speakers (none: as many as there are), ``names`` by number from "1".

    ``enrolled``: those whose voices are enrolled with their clip are called by name. ``consenting``, by name, have agreed
    that their voices are learned (none: everybody has).
    """

    most: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    enrolled: bool = False
    consenting: frozenset[str] | None = None
    channels: ChannelLevels | None = None  # of the source, where each speaker has one: no model tells them apart
    memory: SpeakerMemory = field(default_factory=SpeakerMemory, compare=False)  # of sessions that this one goes on for

    async def options(self, store: VoiceStore) -> SpeakerOptions:
        """Return the options of a session, with the clips of known voices."""
        known = await known_voices(store) if self.enrolled else {}
        return SpeakerOptions(self.most, self.names, known, self.memory)


async def known_voices(store: VoiceStore) -> dict[str, AudioChunk]:
    """Read the clips that were kept of enrolled voices, at 16 kHz; one that cannot be read is nobody's.

    Nor is one that is called by a number: older versions let voices be called as unknown speakers are.
    """
    found: dict[str, AudioChunk] = {}
    for name in (name for name in store.names() if not name.isdigit()):
        try:
            record = store.record(name)
            if (path := store.clip_path(record)) is None:
                continue
            clip = store.clip(path)
        except TranslateLiveError:
            continue
        samples = resampled(clip.samples, clip.sample_rate, RECOGNIZER_HZ)
        if len(samples) >= SHORTEST_S * RECOGNIZER_HZ and len(found) < MOST_KNOWN:
            found[record.name] = AudioChunk(samples, RECOGNIZER_HZ, 0.0)
    return found
