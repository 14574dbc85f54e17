"""Speakers of one stream: windows of speech, their speakers, and from when on that is decided (no I/O).

While somebody speaks, the last 1.5 s of the stretch are encoded each 0.5 s; a pause ends a stretch. Speakers are found from
the directions of these windows, one after the other. A moment has the speaker of the window whose center is nearest. That
is decided as soon as a later window has a speaker, and at the latest ``decide_within_s`` after the moment, by the speaker
who is nearest then; it is never revised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.asr.vad import SAMPLE_RATE, WINDOW_SAMPLES, SpeechDetector
from pipeline.diarizing import SpeakerSpan, SpeakerTurns
from pipeline.errors import check_range
from pipeline.events import Samples

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


Encoder = Callable[[Samples], Vector]
"""Maps 16 kHz speech [n] to a unit vector, the direction of its speaker's voice."""


MARKS = 16  # that are kept to decide by


@dataclass(frozen=True, slots=True)
class DiarizationOptions:
    """Seconds: ``window_s`` of speech are encoded each ``hop_s``, the first ``first_s`` after a stretch began.

    A stretch ends with ``pause_s`` of silence; of one shorter than ``shortest_s`` nothing is encoded.
    """

    window_s: float = 1.5
    hop_s: float = 0.5
    first_s: float = 1.0
    pause_s: float = 0.25
    shortest_s: float = 0.5
    decide_within_s: float = 1.5
    speech_probability: float = 0.5
    clusters: ClusterOptions = field(default_factory=ClusterOptions)

    def __post_init__(self) -> None:
        check_range("window_s", self.window_s, 0.5, 10)
        check_range("hop_s", self.hop_s, 0.1, self.window_s)
        check_range("first_s", self.first_s, self.shortest_s, self.window_s)
        check_range("pause_s", self.pause_s, 0.1, 5)
        check_range("decide_within_s", self.decide_within_s, self.first_s, 30)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The center of a window, in seconds, and its speaker, or who is nearest while that is not sure."""

    center_s: float
    speaker: int | None
    nearest: int


class DiarizingStream:
    """One stream at 16 kHz, its speakers by number; the result does not depend on how the audio is cut into chunks."""

    def __init__(
        self, encoder: Encoder, detector: Callable[[], SpeechDetector], options: DiarizationOptions, clusters: Clusters
    ) -> None:
        self._encoder, self._new_detector, self._options, self.clusters = encoder, detector, options, clusters
        self._pause = round(options.pause_s * SAMPLE_RATE)
        self._decided_s = self._arrived_s = self._origin_s = 0.0
        self._detector = detector()
        self._audio: Samples = np.zeros(0, np.float32)  # from sample ``_first`` on
        self._first = self._at = 0  # samples since ``_origin_s``
        self._begun: int | None = None  # where the stretch began
        self._last = self._end = 0  # of the last window that was encoded, and of the last speech
        self._marks: list[_Mark] = []

    def hear(self, samples: Samples, start_s: float) -> SpeakerTurns:
        """Take the next samples [n], which begin at ``start_s``; a jump in time ends the stretch."""
        spans: list[SpeakerSpan] = []
        if abs(start_s - self._arrived_s) > 1.5 / SAMPLE_RATE:
            spans += self._end_stretch()
            self._restart(start_s)
        self._arrived_s = start_s + len(samples) / SAMPLE_RATE
        self._audio = np.concatenate([self._audio, samples])
        for probability in self._detector.probabilities(samples):
            self._at += WINDOW_SAMPLES
            spans += self._window(float(probability))
        unsure = self._marks and self._marks[-1].speaker is None
        return SpeakerTurns(tuple(spans), self._decided_s, str(self._marks[-1].nearest) if unsure else "")

    def finish(self) -> SpeakerTurns:
        """Decide what is left."""
        spans = self._end_stretch() + self._decide(self._arrived_s, guess=True)
        return SpeakerTurns(tuple(spans), self._decided_s)

    def _restart(self, start_s: float) -> None:
        self._arrived_s = self._origin_s = start_s
        self._detector = self._new_detector()
        self._audio = np.zeros(0, np.float32)
        self._first = self._at = self._last = self._end = 0
        self._begun, self._marks = None, []

    def _window(self, probability: float) -> list[SpeakerSpan]:
        """Go on by one probability of the detector."""
        options = self._options
        if probability >= options.speech_probability:
            if self._begun is None:
                self._begun = self._last = self._at - WINDOW_SAMPLES
            self._end = self._at
        if self._begun is None:
            self._forget(self._at)
            return self._decide_marks()
        if self._at - self._end > self._pause:
            return self._end_stretch()
        long_enough = self._at - self._begun >= round(options.first_s * SAMPLE_RATE)
        if self._end == self._at and long_enough and self._at - self._last >= round(options.hop_s * SAMPLE_RATE):
            self._encode(self._at)
        self._forget(max(self._begun, self._at - round(options.window_s * SAMPLE_RATE) - self._pause))
        return self._decide_marks()

    def _end_stretch(self) -> list[SpeakerSpan]:
        """Encode what is left of the stretch, if any, and decide it as far as its speaker is sure."""
        if self._begun is None:
            return []
        left, length = self._end - self._last, self._end - self._begun
        if left >= round(self._options.hop_s / 2 * SAMPLE_RATE) and length >= round(self._options.shortest_s * SAMPLE_RATE):
            self._encode(self._end)
        begun_s, self._begun = self._time(self._begun), None
        if any(mark.speaker is not None and mark.center_s >= begun_s for mark in self._marks):
            return self._decide(self._time(self._end))
        return []

    def _encode(self, end: int) -> None:
        """Add the mark of the window that ends here."""
        assert self._begun is not None
        start = max(self._begun, end - round(self._options.window_s * SAMPLE_RATE))
        vector = self._encoder(self._audio[start - self._first : end - self._first])
        placed = self.clusters.place(vector, (end - start) / SAMPLE_RATE)
        if placed.found:
            self._marks = [replace(mark, speaker=placed.speaker) if mark.speaker is None else mark for mark in self._marks]
        self._marks.append(_Mark(self._time((start + end) / 2), placed.speaker, placed.nearest))
        self._last = end

    def _decide_marks(self) -> list[SpeakerSpan]:
        """Decide what has waited for too long by who is nearest, then up to the last center whose speaker is sure."""
        spans = self._decide(self._time(self._at) - self._options.decide_within_s, guess=True)
        sure = [mark.center_s for mark in self._marks if mark.speaker is not None]
        nearest_s = self._options.hop_s / 2  # no later window will be nearer than that
        return spans + (self._decide(sure[-1] + nearest_s) if sure else [])

    def _decide(self, until_s: float, guess: bool = False) -> list[SpeakerSpan]:
        """Give the spans from the last decision to ``until_s``, each moment with the nearest mark's speaker.

        That is of marks that are sure, or of all with ``guess``.
        """
        if until_s <= self._decided_s:
            return []
        begin_s, self._decided_s = self._decided_s, until_s
        marks = [mark for mark in self._marks if guess or mark.speaker is not None]
        spans: list[SpeakerSpan] = []
        for index, mark in enumerate(marks):
            after_s = marks[index + 1].center_s if index + 1 < len(marks) else np.inf
            end_s = min(until_s, (mark.center_s + after_s) / 2)
            if end_s > begin_s:
                spans.append(SpeakerSpan(begin_s, end_s, str(mark.nearest if mark.speaker is None else mark.speaker)))
                begin_s = end_s
        kept = [mark for mark in self._marks if mark.center_s >= until_s - self._options.window_s]
        self._marks = (kept or self._marks[-1:])[-MARKS:]
        return spans

    def _forget(self, before: int) -> None:
        """Drop audio that no window can need."""
        if before - self._first > SAMPLE_RATE:
            self._audio = self._audio[before - self._first :]
            self._first = before

    def _time(self, sample: float) -> float:
        return self._origin_s + sample / SAMPLE_RATE
