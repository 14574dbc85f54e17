"""One stream through one PocketSphinx decoder: speech found by VAD, decoded utterance by utterance, committed early."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.asr.pocketsphinx.agreement import Agreement, Segment
from models.asr.vad import SAMPLE_RATE, WINDOW_S, WINDOW_SAMPLES, Endpointer, EndpointOptions, StreamingVad, cleaned
from pipeline.errors import check_range
from pipeline.events import Samples, Word

FRAME_S = 0.01  # the acoustic model's hop


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How one stream is decoded; durations in seconds.

    A partial hypothesis is taken every ``step_s``; ``agreements`` of them in a row must agree on a word that is not one
    of the last ``hold``. ``pre_roll_s`` of audio before the detected start is decoded too. Speech without a pause gets a
    fresh decoder at the first short pause after ``fresh_after_s``, and between two words after ``fresh_at_most_s``, so
    that neither memory nor latency grow.
    """

    step_s: float = 0.256
    agreements: int = 3
    hold: int = 1
    pre_roll_s: float = 0.6
    fresh_after_s: float = 12.0
    fresh_at_most_s: float = 20.0
    endpoints: EndpointOptions = field(default_factory=lambda: EndpointOptions(soft_end_s=0.25, end_s=0.35))

    def __post_init__(self) -> None:
        check_range("step_s", self.step_s, WINDOW_S)
        check_range("agreements", self.agreements, 1)
        check_range("hold", self.hold, 0)
        check_range("pre_roll_s", self.pre_roll_s, 0, 10)
        check_range("fresh_after_s", self.fresh_after_s, self.step_s)
        check_range("fresh_at_most_s", self.fresh_at_most_s, self.fresh_after_s, 600)


@dataclass(slots=True)
class Heard:
    """What a piece of audio brought: words committed, the tentative tail, and whether an utterance ended in it."""

    committed: list[Word] = field(default_factory=list)
    tentative: tuple[Word, ...] = ()
    ended: bool = False


class _DecodedSegment(Protocol):
    word: str
    start_frame: int
    end_frame: int


class Decoder(Protocol):
    """The part of ``pocketsphinx.Decoder`` that is used."""

    def start_utt(self) -> None:
        """Begin an utterance."""

    def process_raw(self, data: bytes) -> object:
        """Decode 16-bit samples."""

    def end_utt(self) -> None:
        """End the utterance; its last hypothesis stays."""

    def seg(self) -> Iterable[_DecodedSegment] | None:
        """The words of the best hypothesis so far, with pauses and noises."""


class UtteranceStream:
    """Takes 16 kHz audio in pieces of any length; works in VAD windows of 32 ms, so the cut changes nothing.

    Blocking and not thread-safe: its backend's lane calls it.
    """

    _waiting: Samples  # less than a window
    _start_s: float  # of the utterance, or of its part that the present decoder heard
    _windows: int  # that it heard

    def __init__(self, decoder: Decoder, options: StreamOptions) -> None:
        self._decoder = decoder
        self._options = options
        self._agreement = Agreement(options.agreements, options.hold)
        self._step_windows = max(1, round(options.step_s / WINDOW_S))
        self._begin(0.0)

    @property
    def heard_s(self) -> float:
        """How far the stream was heard, in whole windows."""
        return self._endpointer.heard_s

    @property
    def silence_s(self) -> float:
        """How long it has been silent."""
        return self._endpointer.silence_s

    @property
    def expected_s(self) -> float:
        """The stream time of the next sample if nothing is missing."""
        return self.heard_s + len(self._waiting) / SAMPLE_RATE

    def hear(self, samples: Samples) -> Heard:
        """Take the next samples."""
        heard = Heard(tentative=self._tentative)
        audio = np.concatenate([self._waiting, cleaned(samples)])
        whole = len(audio) // WINDOW_SAMPLES * WINDOW_SAMPLES
        self._waiting = audio[whole:]
        for start in range(0, whole, WINDOW_SAMPLES):
            self._window(audio[start : start + WINDOW_SAMPLES], heard)
        heard.tentative = self._tentative
        return heard

    def finish(self) -> Heard:
        """Commit what is left and go on after it, as after a gap of no length."""
        return self.jump(self.expected_s)

    def jump(self, start_s: float) -> Heard:
        """Audio up to ``start_s`` is missing: end the utterance and begin anew there."""
        end_s = self.expected_s  # before the padding
        padding = -len(self._waiting) % WINDOW_SAMPLES
        heard = self.hear(np.zeros(padding, np.float32)) if padding else Heard()
        if self._speaking:
            self._end(heard, end_s)
        self._begin(start_s)
        heard.tentative = ()
        return heard

    def _begin(self, start_s: float) -> None:
        self._vad = StreamingVad()
        self._endpointer = Endpointer(self._options.endpoints, start_s)
        self._waiting = np.zeros(0, np.float32)
        self._undecoded: deque[bytes] = deque(maxlen=max(1, round(self._options.pre_roll_s / WINDOW_S)))
        self._decoded: deque[bytes] = deque()  # since the last committed word, should a fresh decoder need it
        self._decoded_s = start_s  # where it begins
        self._speaking = False
        self._tentative: tuple[Word, ...] = ()

    def _window(self, window: Samples, heard: Heard) -> None:
        points = self._endpointer.hear(self._vad.probabilities(window))
        audio = (window * 32767.0).astype(np.int16).tobytes()
        kinds = {point.kind for point in points}
        if not self._speaking:
            self._undecoded.append(audio)
            if "start" in kinds:
                self._start(heard)
            return
        self._decode(audio)
        if "end" in kinds:
            self._end(heard, self.heard_s)
        elif self._windows % self._step_windows == 0:
            self._partial(heard)

    def _start(self, heard: Heard) -> None:
        self._speaking = True
        audio = list(self._undecoded)
        self._undecoded.clear()
        self._open(self.heard_s - len(audio) * WINDOW_S, audio)

    def _open(self, start_s: float, audio: Iterable[bytes]) -> None:
        self._agreement.begin(start_s)
        self._start_s = self._decoded_s = start_s
        self._decoded.clear()
        self._windows = 0
        self._decoder.start_utt()
        for window in audio:
            self._decode(window)

    def _decode(self, audio: bytes) -> None:
        self._decoder.process_raw(audio)
        self._decoded.append(audio)
        self._windows += 1

    def _partial(self, heard: Heard) -> None:
        segments = list(self._segments(self.heard_s))
        committed, tentative = self._agreement.partial(segments)
        heard.committed += _words(committed)
        self._tentative = tuple(_words(tentative))
        self._forget_committed_audio()
        if self._due(segments):
            self._refresh(heard)

    def _forget_committed_audio(self) -> None:
        while self._decoded and self._decoded_s + WINDOW_S <= self._agreement.committed_s:
            self._decoded.popleft()
            self._decoded_s += WINDOW_S

    def _due(self, segments: list[Segment]) -> bool:
        length_s = self.heard_s - self._start_s
        if length_s < self._options.fresh_after_s:
            return False
        rest = [segment for segment in segments if segment.middle_s > self._agreement.committed_s]
        pausing = bool(rest) and not rest[0].text and self._agreement.committed_s > self._start_s
        return pausing or length_s >= self._options.fresh_at_most_s

    def _refresh(self, heard: Heard) -> None:
        """A fresh decoder from the last committed word on; without one, all that it heard is committed first."""
        if self._agreement.committed_s <= self._start_s:
            self._close(heard, self.heard_s)
            self._open(self.heard_s, ())
            return
        self._decoder.end_utt()
        self._open(self._decoded_s, list(self._decoded))

    def _end(self, heard: Heard, end_s: float) -> None:
        self._close(heard, end_s)
        self._decoded.clear()
        self._speaking = False
        heard.ended = True

    def _close(self, heard: Heard, end_s: float) -> None:
        self._decoder.end_utt()
        heard.committed += _words(self._agreement.final(list(self._segments(end_s))))
        self._tentative = ()

    def _segments(self, end_s: float) -> Iterator[Segment]:
        for segment in self._decoder.seg() or ():
            if segment.word in ("<s>", "</s>"):
                continue
            start_s = self._start_s + segment.start_frame * FRAME_S
            stop_s = self._start_s + (segment.end_frame + 1) * FRAME_S
            yield Segment(plain(segment.word), min(start_s, end_s), min(stop_s, end_s))


def plain(word: str) -> str:
    """The dictionary's word without the mark of its pronunciation, such as ``was(2)``; empty for pauses and noises."""
    if word[:1] in "<[+":
        return ""
    word = re.sub(r"\(\d+\)$", "", word)
    return re.sub(r"^i(?=$|')", "I", word)  # translators take a small i for a letter


def _words(segments: Iterable[Segment]) -> list[Word]:
    return [Word(f" {segment.text}", segment.start_s, segment.end_s, 1.0) for segment in segments]
