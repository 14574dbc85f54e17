"""Parts of a codec that all protocols share: resampled PCM16, spaces between units, times and numbers after a resume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.events import Event, Samples, SpeechChunk
from pipeline.languages import primary
from pipeline.server.asked import Asked, ClientEvent, Offset, Rejected

UNSPACED = {"zh", "ja", "yue", "th", "lo", "km", "my"}
"""Languages that write no space between sentences."""


class Dialect(Protocol):
    """One client's side of a protocol; a new one for each connection."""

    asked: Asked
    id: str
    event_id: str | None
    """The client's own id of the message that was read last."""
    next_unit: int
    """One more than the highest number of a unit that was sent."""
    input_hz: int

    def decode(self, text: str) -> ClientEvent:
        """Read a client's message; raises `Rejected`."""
        ...

    def encode(self, event: Event, offset: Offset) -> Iterator[tuple[bytes, bool]]:
        """The messages for an event of a session that begins at ``offset``, each with if it is speech."""
        ...

    def created(self) -> bytes:
        """The first message."""
        ...

    def updated(self) -> bytes:
        """The answer to a `Change`."""
        ...

    def closed(self) -> bytes:
        """The last message."""
        ...

    def failed(self, error: Rejected) -> bytes:
        """The message that tells of an error."""
        ...

    def flushed(self) -> Iterable[bytes]:
        """The messages that tell that speech was dropped; forgets its rest."""
        ...

    def extra(self, kind: str, **fields: object) -> Iterable[bytes]:
        """The message of our own extension, for a client that wants it."""
        ...


class SpeechEncoder:
    """Speech chunks of any rate as PCM16 at one; each unit is resampled as a whole."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._resampler: Resampler | None = None

    def pcm(self, chunk: SpeechChunk) -> bytes:
        """PCM16 of a chunk, as far as it can be given yet."""
        if self._resampler is None or self._resampler.from_hz != chunk.sample_rate:
            self._resampler = Resampler(chunk.sample_rate, self._sample_rate)
        samples = self._resampler.process(chunk.samples, chunk.last)
        if chunk.last:
            self._resampler = None
        return pcm16(samples)

    def forget(self) -> None:
        """Drop what is held of a unit that is not spoken further."""
        self._resampler = None


class Spacing:
    """A text that only grows: a space goes before what does not bring its own."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, text: str, language: str, *, continues: bool) -> str:
        """The text to append; ``continues`` if more stands before it than was added here."""
        first = not (self._begun or continues)
        self._begun = True
        if first:
            return text.lstrip()
        return text if text[:1].isspace() or primary(language) in UNSPACED else f" {text}"


def pcm16(samples: Samples) -> bytes:
    """Float samples as little-endian PCM16; what is not a number is silence."""
    return (np.clip(np.nan_to_num(samples), -1.0, 1.0) * 32767).astype("<i2").tobytes()
