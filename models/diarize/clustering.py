"""Speakers of one stream, found one after the other from the directions of short windows of speech (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import check_range

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Thresholds, as cosines of unit vectors, and seconds of speech.

    A window at least ``same`` to a speaker is that speaker's, and makes the speaker better known if it is ``learn_s`` long.
    Two windows in a row of ``found_s`` each that are at least ``alike`` to each other, and unlike all alone and together,
    are a new speaker, up to ``most``; the first one needs no second window.
    """

    same: float = 0.70
    alike: float = 0.65
    found_s: float = 1.0
    learn_s: float = 1.0
    most: int = 10

    def __post_init__(self) -> None:
        check_range("same", self.same, 0, 1)
        check_range("alike", self.alike, 0, 1)
        check_range("most", self.most, 1, 100)


@dataclass(frozen=True, slots=True)
class Placed:
    """A window's ``speaker`` (none: not sure yet) and ``nearest``; ``found``: the unsure windows before it are theirs."""

    speaker: int | None
    nearest: int
    found: bool = False


class Clusters:
    """The speakers of one stream by number; ``known`` ones are there from the beginning. Memory is bounded by ``most``.

    ``found`` holds those that an earlier stream found; new ones go into it, and it goes on being theirs.
    """

    def __init__(self, options: ClusterOptions, known: Sequence[Vector] = (), found: list[Vector] | None = None) -> None:
        self._options = options
        self._known = [np.asarray(vector, np.float32) for vector in known]  # as if one second were heard
        self._found = [] if found is None else found
        self._most = len(known) + options.most
        self._unsure: list[Vector] = []

    def __len__(self) -> int:
        return len(self._known) + len(self._found)

    def place(self, vector: Vector, length_s: float) -> Placed:
        """Take the next window's unit vector."""
        scores = self._scores(vector)
        nearest = int(np.argmax(scores)) if scores else 0
        if scores and scores[nearest] >= self._options.same:
            self._unsure.clear()
            if length_s >= self._options.learn_s:
                self._learn(nearest, vector * length_s)
            return Placed(nearest, nearest)
        if len(self) >= self._most:
            return Placed(nearest, nearest)
        if length_s < self._options.found_s and scores:
            return Placed(None, nearest)
        self._unsure = [*(one for one in self._unsure if float(one @ vector) >= self._options.alike), vector]
        if scores and len(self._unsure) < 2:
            return Placed(None, nearest)
        together = np.sum(self._unsure, axis=0)
        self._unsure = []
        scores = self._scores(together / (np.linalg.norm(together) + 1e-9))
        if scores and max(scores) >= self._options.same:
            return Placed(int(np.argmax(scores)), int(np.argmax(scores)))
        self._found.append(np.asarray(together * length_s / 2, np.float32))
        return Placed(len(self) - 1, len(self) - 1, found=True)

    def _learn(self, number: int, heard: Vector) -> None:
        sums, place = (self._known, number) if number < len(self._known) else (self._found, number - len(self._known))
        sums[place] = sums[place] + heard

    def _scores(self, vector: Vector) -> list[float]:
        """Compute the cosine of a unit vector with each speaker's mean."""
        return [float(total @ vector) / (float(np.linalg.norm(total)) + 1e-9) for total in (*self._known, *self._found)]
