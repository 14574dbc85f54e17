"""A device that plays what it is given, at once and without a buffer: where speech is heard, where it stalls.

Whatever reaches it early waits for what is being played; whatever comes late leaves a hole in the middle of a unit, which a
listener hears as a stall. An onset is audible when two frames of 20 ms in a row, 10 ms apart, reach -45 dBFS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.events import Samples

AUDIBLE_DBFS = -45.0
_FRAME_S, _HOP_S = 0.02, 0.01
_SAME_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """Speech of a unit that became available at ``ready_s``."""

    unit: int
    ready_s: float
    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class AudibleUnit:
    """A unit as a listener hears it: from ``start_s`` to ``end_s``, its sound from ``audible_s`` on.

    ``ready_s`` is when the first audible sample was available; ``stalled_s`` is the silence of the ``stalls`` holes in it.
    """

    unit: int
    ready_s: float
    start_s: float
    audible_s: float
    end_s: float
    stalls: int
    stalled_s: float


def play(arrivals: Sequence[Arrival]) -> list[AudibleUnit]:
    """Play chunks in the order they came; consecutive chunks of one unit are one breath."""
    heard: list[AudibleUnit] = []
    free_s = 0.0
    for unit, chunks in _by_unit(arrivals):
        placed: list[float] = []
        stalls: list[float] = []
        for chunk in chunks:
            start_s = max(chunk.ready_s, free_s)
            if placed and start_s > free_s + _SAME_S:
                stalls.append(start_s - free_s)
            placed.append(start_s)
            free_s = start_s + chunk.duration_s
        index, offset_s = _onset(chunks)
        heard.append(
            AudibleUnit(
                unit=unit,
                ready_s=chunks[index].ready_s,
                start_s=placed[0],
                audible_s=placed[index] + offset_s,
                end_s=free_s,
                stalls=len(stalls),
                stalled_s=math.fsum(stalls),
            )
        )
    return heard


def audible_onset_s(samples: Samples, sample_rate: int) -> float | None:
    """The first loud sample of the first audible frame of samples [n], in seconds; None if all is silent."""
    frame, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    if len(samples) < frame:
        samples = np.pad(samples, (0, frame - len(samples)))
    energies = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - frame + 1, hop)
    loud = (energies[starts + frame] - energies[starts]) / frame >= 10 ** (AUDIBLE_DBFS / 10)
    following = np.append(loud[1:], len(loud) == 1)
    found = np.flatnonzero(loud & following)
    if not len(found):
        return None
    first = starts[found[0]]
    sounding = np.abs(samples[first : first + frame]) >= 10 ** (AUDIBLE_DBFS / 20)
    return float((first + int(np.argmax(sounding))) / sample_rate)


def silence_ratio(samples: Samples, sample_rate: int) -> float:
    """The share of frames below the audible level between the first and the last audible one; NaN of pure silence."""
    frame = round(_FRAME_S * sample_rate)
    whole = len(samples) // frame * frame
    energies = np.square(samples[:whole], dtype=np.float64).reshape(-1, frame).mean(axis=1) if whole else np.zeros(0)
    loud = np.flatnonzero(energies >= 10 ** (AUDIBLE_DBFS / 10))
    return 1 - len(loud) / int(loud[-1] - loud[0] + 1) if len(loud) else math.nan


def _by_unit(arrivals: Sequence[Arrival]) -> list[tuple[int, list[Arrival]]]:
    groups: list[tuple[int, list[Arrival]]] = []
    for arrival in arrivals:
        if not len(arrival.samples):
            continue
        if not groups or groups[-1][0] != arrival.unit:
            groups.append((arrival.unit, []))
        groups[-1][1].append(arrival)
    return groups


def _onset(chunks: Sequence[Arrival]) -> tuple[int, float]:
    """The chunk with the first audible sample, and where in it; the beginning of a unit that is silent throughout."""
    onset_s = audible_onset_s(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate) or 0.0
    for index, chunk in enumerate(chunks):
        if onset_s < chunk.duration_s or index == len(chunks) - 1:
            return index, min(onset_s, chunk.duration_s)
        onset_s -= chunk.duration_s
    return 0, 0.0
