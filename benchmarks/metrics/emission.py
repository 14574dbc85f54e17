"""Target text and when each of its units was emitted: what every text latency is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import BadInput
from pipeline.scripts import SPACELESS


@dataclass(frozen=True, slots=True)
class Segment:
    """A reference sentence: where it lies in the source, in milliseconds, and its translation."""

    offset_ms: float
    duration_ms: float
    reference: str


@dataclass(frozen=True, slots=True)
class Emission:
    """The translation of one recording as units (words, or characters where no space is written) with stamps in ms.

    ``delays_ms`` counts source audio consumed (computation-unaware, CU); ``elapsed_ms`` is the clock then (computation-
    aware, CA); ``spoken_ms`` when playback of the unit begins. All count from the first sample of the source.
    """

    name: str
    units: tuple[str, ...]
    delays_ms: tuple[float, ...]
    elapsed_ms: tuple[float, ...]
    spoken_ms: tuple[float, ...]
    source_ms: float
    segments: tuple[Segment, ...]
    character_level: bool = False

    def __post_init__(self) -> None:
        lengths = {len(self.units), len(self.delays_ms), len(self.elapsed_ms), len(self.spoken_ms)}
        if len(lengths) != 1:
            raise BadInput(
                f"{self.name}: {len(self.units)} units but stamps of lengths {sorted(lengths)}; one stamp per unit"
            )

    @property
    def text(self) -> str:
        """The whole translation."""
        return ("" if self.character_level else " ").join(self.units)

    def stamps_ms(self, clock: str) -> tuple[float, ...]:
        """The stamps of a clock: cu, ca or spoken."""
        return {"cu": self.delays_ms, "ca": self.elapsed_ms, "spoken": self.spoken_ms}[clock]


def split_units(text: str, language: str) -> tuple[str, ...]:
    """Words, or the characters of a language that writes no spaces."""
    return tuple("".join(text.split())) if language in SPACELESS else tuple(text.split())


def spread(count: int, start_ms: float, end_ms: float) -> tuple[float, ...]:
    """List when each of ``count`` units begins if they share a stretch of speech equally."""
    return tuple(start_ms + (end_ms - start_ms) * index / count for index in range(count))


def check_physics(emission: Emission, tolerance_ms: float = 1.0) -> Sequence[str]:
    """List what physics forbids in an emission: CA before CU, stamps that run backwards or come before the audio."""
    faults = []
    for index, (unaware, aware, spoken) in enumerate(
        zip(emission.delays_ms, emission.elapsed_ms, emission.spoken_ms, strict=True)
    ):
        where = f"{emission.name} unit {index} ({emission.units[index]!r})"
        if aware < unaware - tolerance_ms:
            faults.append(f"{where}: emitted at {aware:.0f} ms, but its audio was there only at {unaware:.0f} ms (CA < CU)")
        if spoken < aware - tolerance_ms:
            faults.append(f"{where}: spoken at {spoken:.0f} ms, before its text at {aware:.0f} ms")
        if not 0 <= unaware <= emission.source_ms + tolerance_ms:
            faults.append(f"{where}: delay {unaware:.0f} ms lies outside the source of {emission.source_ms:.0f} ms")
    for name, stamps in (("delays", emission.delays_ms), ("elapsed", emission.elapsed_ms)):
        backwards = [i for i in range(1, len(stamps)) if stamps[i] < stamps[i - 1] - tolerance_ms]
        faults += [f"{emission.name} unit {i}: {name} runs backwards" for i in backwards]
    return faults
