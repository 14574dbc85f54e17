"""Tracks that are added to a film or broadcast: speech at the time of its source, as loud as the original; captions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.audio.loudness import LoudnessMeter
from pipeline.audio.mixer import PATIENCE_S, Timeline, limited
from pipeline.audio.stretch import stretched
from pipeline.events import AudioChunk, Event, Lag, ReadingUnit, Samples, Skipped, SpeechChunk, Transcript, is_for
from pipeline.languages import same_language
from pipeline.policies.pace import PaceOptions, place
from pipeline.sinks.cues import Cue, CueLayout
from pipeline.sinks.live_stream import ORIGINAL

TOO_LATE = "it would come too late in the film"
MOST_GAIN_DB = 20.0  # by which speech is made louder or quieter
WINDOW_S = 600.0  # of a broadcast, whose loudness is measured


@dataclass(slots=True)
class _Unit:
    """A unit that is to be spoken, and its speech as far as it is there."""

    number: int
    start: float
    last: int  # of the units that are spoken as one with it
    sample_rate: int = 0
    speech: list[Samples] = field(default_factory=list)
    whole: bool = False

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.speech) if self.speech else np.zeros(0, np.float32)


class Dub:
    """The speech of one target, mixed over the original at gain ``original``, at ``sample_rate``.

    `take` gives contiguous blocks from time 0 as far as they are final: up to the first unit whose speech is to come, and
    ``patience_s`` behind what was heard, since words may still become units. A unit whose speech comes later than that is
    placed later. Where it does not ``wait``, as in a broadcast, all before that is final: a unit whose speech is not whole
    by then is placed later. ``original_loudness`` is shared by the tracks of a film; speech is made as loud as that.
    """

    def __init__(
        self,
        sample_rate: int,
        options: PaceOptions,
        original_loudness: LoudnessMeter,
        original: float = 0.0,
        patience_s: float = PATIENCE_S,
        *,
        waits: bool = True,
    ) -> None:
        self.late_s: list[float] = []  # of each unit that was placed, behind its source
        self.missed_s = 0.0  # the most by which speech came after its place had gone by
        self.skipped: list[Skipped] = []
        self._options = options
        self._heard_loudness = original_loudness
        self._said_loudness = LoudnessMeter() if waits else LoudnessMeter(WINDOW_S)
        self._waits = waits
        self._timeline = Timeline(sample_rate, original)
        self._patience_s = patience_s
        self._units: deque[_Unit] = deque()
        self._heard_s = self._free = self._taken_s = 0.0

    def hear(self, chunk: AudioChunk) -> None:
        """Take in the original."""
        self._heard_s = chunk.end
        self._timeline.hear(chunk)

    def expect(self, unit: ReadingUnit) -> None:
        """Take in a unit that may be spoken."""
        if unit.text.strip():
            self._units.append(_Unit(unit.number, unit.start, unit.number))

    def join(self, lag: Lag) -> None:
        """Take in that a unit is spoken as one with an earlier one."""
        if lag.unit != lag.merged_into:
            self.leave_out(Skipped(lag.unit, lag.unit, ""))
            for unit in self._units:
                if unit.number == lag.merged_into:
                    unit.last = lag.unit

    def leave_out(self, skipped: Skipped) -> None:
        """Take in that units are not spoken."""
        self._units = deque(unit for unit in self._units if not skipped.first <= unit.number <= skipped.last)

    def speak(self, chunk: SpeechChunk) -> None:
        """Take in the next piece of speech; units before it that have none get none."""
        while self._units and self._units[0].number < chunk.unit and not self._units[0].whole:
            self._units.popleft()
        unit = next((unit for unit in self._units if unit.number == chunk.unit), None)
        if unit is None:  # its speech went on after it had been given up
            return
        unit.sample_rate, unit.whole = chunk.sample_rate, chunk.last
        unit.speech.append(chunk.samples)

    def take(self, final: bool = False) -> Iterator[Samples]:
        """Give the samples that are final by now; ``final``: all that is left."""
        end_s = self._heard_s - self._patience_s
        while self._units and (final or (self._units[0].whole and self._is_next_known(end_s))):
            self._place(self._units.popleft())
        if final:
            return self._timeline.finish()
        if self._units and self._waits:
            end_s = min(end_s, max(self._units[0].start, self._free))
        self._taken_s = max(self._taken_s, end_s)
        return self._timeline.until(self._taken_s)

    def _is_next_known(self, end_s: float) -> bool:
        """Tell if a unit follows, or would have come by now if it mattered, or if nobody can wait for it."""
        unit = self._units[0]
        speech_s = sum(map(len, unit.speech)) / max(1, unit.sample_rate) if self._waits else 0.0
        return len(self._units) > 1 or max(unit.start, self._free) + speech_s < end_s

    def _place(self, unit: _Unit) -> None:
        samples = unit.samples
        if not len(samples):
            return
        following = next((other.start for other in self._units if other.number > unit.last), math.inf)
        free = max(self._free, self._taken_s)
        placed = place(unit.start, free, len(samples) / unit.sample_rate, following, self._options)
        if placed is None:
            self.skipped.append(Skipped(unit.number, unit.last, TOO_LATE))
            return
        self.missed_s = max(self.missed_s, self._taken_s - max(unit.start, self._free))
        samples = stretched(self._levelled(samples, unit.sample_rate), placed.rate, unit.sample_rate)
        self._free = placed.start + len(samples) / unit.sample_rate
        self.late_s.append(placed.start - unit.start)
        self._timeline.speak(SpeechChunk(unit.number, samples, unit.sample_rate, True, placed.start))

    def _levelled(self, samples: Samples, sample_rate: int) -> Samples:
        """Make speech as loud as the original: both are measured from the film's beginning."""
        self._said_loudness.hear(samples, sample_rate)
        gain_db = self._heard_loudness.lufs - self._said_loudness.lufs
        if not math.isfinite(gain_db):
            return samples
        gain_db = min(max(gain_db, -MOST_GAIN_DB), MOST_GAIN_DB)
        return limited(samples * np.float32(10 ** (gain_db / 20)))


IN_TIME_S = 0.1  # so near to its source a unit is at its time


@dataclass(slots=True)
class _Captions:
    """Captions of a target that are not written yet."""

    layout: CueLayout = field(default_factory=CueLayout)
    cues: deque[Cue] = field(default_factory=deque)


class DubTracks:
    """The tracks as events make them known.

    ``dubs`` are by the target that is spoken; speech that is in it already is spoken anew if the tracks ``speak_own``.
    ``language`` is that of the original, if it is known. ``loudness`` is the original's, shared by the dubs.
    """

    def __init__(
        self,
        dubs: dict[str, Dub],
        targets: Iterable[str],
        loudness: LoudnessMeter,
        language: str = "",
        speak_own: bool = False,
    ) -> None:
        self.dubs = dubs
        self._captions = {target: _Captions() for target in targets}
        self.language = language
        self.heard_s = 0.0
        self._loudness = loudness
        self._speak_own = speak_own

    def take_in(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case AudioChunk():
                self.heard_s = event.end
                self._loudness.hear(event.samples, event.sample_rate)
                for dub in self.dubs.values():
                    dub.hear(event)
            case Transcript():
                self.language = self.language or (event.language if event.committed else "")
                for track in self._captions.values():
                    track.cues += track.layout.heard(event.heard_s)
            case ReadingUnit():
                self._add_unit(event)
            case SpeechChunk() | Lag() | Skipped():
                self._add_speech(event)

    def finish_captions(self) -> None:
        """Take in that no more units come."""
        for track in self._captions.values():
            track.cues += track.layout.finish()

    def captions_until(self, moment_s: float) -> Iterator[tuple[str, Cue]]:
        """Take captions that begin before a moment: a target, or `ORIGINAL`, and a cue whose ``target`` is their text."""
        for number, (target, track) in enumerate(self._captions.items()):
            while track.cues and track.cues[0].start < moment_s:
                cue = track.cues.popleft()
                if cue.target:
                    yield target, cue
                if cue.source and not number:
                    yield ORIGINAL, replace(cue, target=cue.source)

    def skipped_since(self, known: Sequence[int]) -> list[Skipped]:
        """List the units that were left out since so many of each dub were known."""
        pairs = zip(self.dubs.items(), known, strict=True)
        return [replace(skipped, target=target) for (target, dub), before in pairs for skipped in dub.skipped[before:]]

    def line(self, name: str) -> str:
        """Say how near the speech is to its source."""
        late_s = [late for dub in self.dubs.values() for late in dub.late_s]
        skipped = sum(notice.last - notice.first + 1 for dub in self.dubs.values() for notice in dub.skipped)
        if not late_s:
            return f"{name}: nothing was spoken"
        in_time = sum(late <= IN_TIME_S for late in late_s)
        parts = [f"{name}: {in_time} of {len(late_s)} spoken units at the time of their source"]
        parts += [f"the latest {max(late_s):.1f} s behind it"] if max(late_s) > IN_TIME_S else []
        return ", ".join([*parts, *([f"{skipped} left out as too late"] if skipped else [])])

    def _add_unit(self, unit: ReadingUnit) -> None:
        for target, track in self._captions.items():
            if unit.target in {"", target}:
                track.cues += track.layout.add(unit)
        if unit.target in self.dubs and (self._speak_own or not same_language(unit.source_language, unit.target)):
            self.dubs[unit.target].expect(unit)

    def _add_speech(self, event: SpeechChunk | Lag | Skipped) -> None:
        """Give speech to the track of its target; of one track it need not be named."""
        for dub in (dub for target, dub in self.dubs.items() if is_for(target, event)):
            match event:
                case SpeechChunk():
                    dub.speak(event)
                case Lag():
                    dub.join(event)
                case Skipped():
                    dub.leave_out(event)
