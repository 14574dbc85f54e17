"""Third stage of a session: reading units become speech, in time."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

import numpy as np

from pipeline.audio.stretch import Stretch
from pipeline.channel import ChannelClosed
from pipeline.contracts import KnowsLighter, Speaking, Synthesizer, Voice
from pipeline.errors import ModelError, message_of
from pipeline.events import Busy, Fault, Lag, ReadingUnit, Samples, Skipped, SpeechChunk
from pipeline.policies.pace import AT_ONCE_S, FirstSound, PaceOptions, Plan, SpeechCost, SpeechLength, Waiting, plan
from pipeline.policies.prosody import Pauses, SpeakingRate, followed, has_time
from pipeline.sinks.personal_data import NOTHING, PersonalData
from pipeline.stages.control import SessionContext, SpeechTrack, Stamped
from pipeline.stages.recognize import FAILURES_ALLOWED, in_time

PAUSE, SILENT_HZ = "…", 24_000
_LOOK_S = 0.25  # how long a skip to live may go unnoticed


@dataclass(frozen=True, slots=True)
class SpokenTarget:
    """A target that is spoken: with which model and voice, and what that model calls it."""

    target: str
    synthesizer: Synthesizer
    spoken_as: str | None = None
    voice: Voice | None = None


async def open_voices(targets: Iterable[SpokenTarget], opened: AsyncExitStack) -> dict[str, Speaking]:
    """Begin the speech of these targets, which ends with ``opened``."""
    speaking = {}
    for one in targets:
        opening = one.synthesizer.open(one.voice, one.spoken_as or one.target)
        speaking[one.target] = await opened.enter_async_context(opening)
    return speaking


async def whole(text: str) -> AsyncIterator[str]:
    """Stream a text that is known already, in one piece."""
    yield text


def merged(units: Sequence[ReadingUnit]) -> ReadingUnit:
    """Merge units into one, which keeps the number of the first."""
    first, last = units[0], units[-1]
    return replace(
        first,
        source=tuple(word for unit in units for word in unit.source),
        text="".join(unit.text if index == 0 else " " + unit.text.lstrip() for index, unit in enumerate(units)),
        end=last.end,
        heard_s=last.heard_s,
    )


def _of_one_voice(units: Sequence[Stamped[ReadingUnit]]) -> list[Stamped[ReadingUnit]]:
    """List the units at the beginning that have the speaker and the target of the first."""
    first = units[0].item
    return list(takewhile(lambda one: (one.item.speaker, one.item.target) == (first.speaker, first.target), units))


class Speech:
    """Speech of one track: its units one after the other, each as its target is spoken, with their lag kept in bounds."""

    def __init__(
        self,
        speaking: Mapping[str, Speaking],
        options: PaceOptions,
        track: SpeechTrack,
        run: SessionContext,
        silenced: PersonalData = NOTHING,
    ) -> None:
        self._speaking = speaking
        self._silenced = silenced
        self._options = options
        self._units = track.units
        self._targets = track.targets
        self._run = run
        self._control = run.control
        self._time = track.time
        self._clock = run.clock
        self._show = run.show
        self._length = SpeechLength()
        self._first_sound = FirstSound()
        self._speaking_rate = SpeakingRate()
        self._pauses = Pauses(options)
        self._costs = {key: SpeechCost(one.lighter) for key, one in speaking.items() if isinstance(one, KnowsLighter)}
        self._free_at = 0.0  # stream time at which all speech so far has been played
        self._flushes = run.control.flushes
        self._failures = 0

    async def speak(self) -> None:
        """Speak until the units end. One is planned as late as it can be, so that lag control sees all that waits."""
        units = self._units
        while True:
            try:
                await units.ready()
            except ChannelClosed:
                await self._silence()
                return
            self._note_flush()
            if self._unwanted(units.waiting()[0]):
                await self._drop(self._take(units.waiting()[:1]))
                continue
            moment, held_s = await self._turn(units.waiting()[0].item)
            if self._unwanted(units.waiting()[0]):
                continue
            await self._say_next(self._ready(moment), max(moment + self._first_sound.mean_s, self._free_at), held_s)

    async def _say_next(self, ready: Sequence[Stamped[ReadingUnit]], start: float, held_s: float) -> None:
        """Say one or several of the ``ready`` units, which wait; a pause that was kept for ``held_s`` is no backlog."""
        mean_s, estimate_s = self._first_sound.mean_s, self._length.estimate_s
        waiting = [Waiting(one.item.end, one.item.heard_s + mean_s, estimate_s(one.item.text)) for one in ready]
        decided = plan(waiting, start - held_s, self._options)
        await self._skip(self._take(ready[: decided.skip]), f"more than {self._options.max_lag_s:g} s behind")
        taken = self._take(_of_one_voice(ready[decided.skip :][: decided.take]))
        if decided.rate < self._options.max_rate:  # else it is later than usual
            self._pauses.learn(start - held_s - taken[0].item.end)
        group = [stamped.item for stamped in taken]
        speech_s = sum(estimate_s(unit.text) for unit in group)
        time = len(ready) == decided.skip + len(taken) and has_time(group, speech_s)
        factor = self._speaking_rate.factor(group[0])
        await self._say(taken, followed(decided, factor, time, self._options))

    def _ready(self, moment: float) -> list[Stamped[ReadingUnit]]:
        """List the units that wait to be spoken and had been cut at a moment."""
        ready = [stamped for stamped in self._units.waiting() if stamped.item.heard_s <= moment]
        return [stamped for stamped in ready if not self._control.is_silent(stamped.item.target)]

    def _take(self, taken: Sequence[Stamped[ReadingUnit]]) -> Sequence[Stamped[ReadingUnit]]:
        """Take some of the units that wait, and how their words were said."""
        self._units.keep(lambda stamped: stamped not in taken)
        for stamped in taken:
            self._speaking_rate.hear(stamped.item)
            self._pauses.hear(stamped.item)
        return taken

    async def _silence(self) -> None:
        """Wait until all that was said has been played: the session, and its sinks, must not end before."""
        self._note_flush()
        generation, moment = self._control.generation, self._time.now()
        while moment < self._free_at and self._control.generation == generation and not self._is_silent():
            moment = await self._time.reach(min(self._free_at, moment + _LOOK_S))

    async def _turn(self, head: ReadingUnit) -> tuple[float, float]:
        """Wait until what is being spoken is nearly over, or not wanted any more, and a pause has been kept.

        Give the stream time, and for how long it was only the pause that was waited for.
        """
        generation, moment = self._control.generation, self._time.now()
        due, goal = math.inf, head.heard_s
        while True:
            moment = await self._time.reach(min(goal, moment + _LOOK_S))
            if self._control.generation != generation or self._is_silent():
                self._free_at = moment  # what was being spoken was flushed
                return moment, 0.0
            begin = max(head.heard_s, self._free_at - self._first_sound.lead_s(self._options.lead_s))
            if moment >= begin:
                due = min(due, moment)
            goal = max(begin, self._pause_end(moment) - self._first_sound.mean_s)
            if moment >= goal:
                return moment, moment - due

    def _pause_end(self, moment: float) -> float:
        """Give the time before which the next unit should not begin: the end of a pause, if no other waits behind it."""
        ready = self._ready(moment)
        return self._pauses.end(ready[0].item, self._free_at) if len(ready) == 1 else -math.inf

    def _note_flush(self) -> None:
        """Let speech begin at once if what was to be played before it has been thrown away meanwhile."""
        if self._flushes != self._control.flushes:
            self._flushes = self._control.flushes
            self._free_at = min(self._free_at, self._time.now())

    def _unwanted(self, stamped: Stamped[ReadingUnit]) -> bool:
        return self._control.is_silent(stamped.item.target) or self._control.stale(stamped)

    def _is_silent(self) -> bool:
        """Tell if nothing of this track is spoken now."""
        return all(map(self._control.is_silent, self._targets))

    async def _drop(self, unwanted: Sequence[Stamped[ReadingUnit]]) -> None:
        if self._is_silent():
            self._free_at = min(self._free_at, self._time.now())
        silent = self._control.is_silent(unwanted[0].item.target)
        await self._skip(unwanted, "muted" if silent else "skipped to live")

    async def _skip(self, skipped: Sequence[Stamped[ReadingUnit]], reason: str) -> None:
        for target, units in groupby((stamped.item for stamped in skipped), lambda unit: unit.target):
            numbers = [unit.number for unit in units]
            await self._show(Skipped(numbers[0], numbers[-1], reason, target))

    async def _say(self, stamped: Sequence[Stamped[ReadingUnit]], decided: Plan) -> None:
        """Say units as one group; a failure is tried again as long as nothing of it was heard, then noted."""
        for attempt in range(2):
            group = SpokenGroup([unit.item for unit in stamped], decided)
            try:
                await self._synthesize(group, stamped)
            except Exception as error:  # the border to the model; becomes a Fault
                if attempt == 0 and not group.audible:
                    continue
                await self._fail(stamped, error)
            else:
                self._failures = 0
            return

    async def _fail(self, unspoken: Sequence[Stamped[ReadingUnit]], error: Exception) -> None:
        self._failures += 1
        if self._failures > FAILURES_ALLOWED:
            raise error
        await self._show(Fault("speak", message_of(error), fatal=False))
        await self._skip(unspoken, "it could not be spoken")

    async def _synthesize(self, group: SpokenGroup, stamped: Sequence[Stamped[ReadingUnit]]) -> None:
        asked_s, began = self._time.now(), self._clock.now()
        waited_s = 0.0
        async with aclosing(self._chunks(group)) as chunks:
            async for chunk in chunks:
                began, waited_s = self._clock.now(), waited_s + self._clock.now() - began
                if any(self._unwanted(unit) for unit in stamped):
                    self._free_at = self._time.now()
                    await self._drop(stamped)
                    return
                if len(chunk.samples) and not group.natural_s:
                    self._first_sound.learn(self._time.now() - asked_s)
                await self._play(group, chunk)
                began = self._clock.now()
        await self._show(Busy("speak", waited_s))
        self._length.learn(group.unit.text, group.natural_s)
        if (cost := self._costs.get(group.unit.target)) and (slow := cost.learn(waited_s, group.natural_s)):
            await self._show(Fault("speak", slow, fatal=False))

    async def _chunks(self, group: SpokenGroup) -> AsyncGenerator[SpeechChunk, None]:
        """Give the synthesizer's chunks, checked, each in time."""
        unit = self._spoken(group.unit)
        if not any(map(str.isalnum, unit.text)) and unit != group.unit:
            yield SpeechChunk(unit.number, np.zeros(0, np.float32), SILENT_HZ, last=True)
            return
        async with aclosing(self._speaking[unit.target].say(unit, whole(unit.text))) as chunks:
            while True:
                async with in_time("speak", self._run):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    raise ModelError("the synthesizer ended before the unit did")
                if not np.isfinite(chunk.samples).all():
                    raise ModelError("the synthesizer gave samples that are not numbers")
                yield chunk
                if chunk.last:
                    return

    def _spoken(self, unit: ReadingUnit) -> ReadingUnit:
        """Return the unit as it is said: a pause in place of what is not to be spoken."""
        return replace(unit, text=self._silenced.redacted(unit.text, PAUSE)) if self._silenced else unit

    async def _play(self, group: SpokenGroup, chunk: SpeechChunk) -> None:
        samples = group.played(chunk)
        start = max(self._free_at, self._time.now())
        if len(samples) and not group.audible:
            await self._note_lag(group, start)
        if len(samples) or chunk.last:
            placed = replace(chunk, unit=group.unit.number, samples=samples, start=start, target=group.unit.target)
            self._free_at = start + (0.0 if self._options.lead_s >= AT_ONCE_S else placed.duration)
            if self._run.self_hearing is not None:
                self._run.self_hearing.say(group.unit.text, group.unit.target, start, start + placed.duration)
            await self._show(placed)

    async def _note_lag(self, group: SpokenGroup, start: float) -> None:
        """Show where each unit of the group begins: the first exactly, the others by the length of the text before them."""
        group.audible = True
        for unit in group.units:
            span_s, head = start - unit.end, group.unit.number
            lag = Lag(unit.number, start, span_s, group.plan.backlog_s, group.plan.rate, head, unit.target)
            await self._show(lag)
            start += self._length.estimate_s(unit.text) / group.plan.rate


class SpokenGroup:
    """Units that are spoken as one, which is ``unit``, at one rate."""

    def __init__(self, units: Sequence[ReadingUnit], decided: Plan) -> None:
        self.units = units
        self.plan = decided
        self.unit = merged(units)
        self.audible = False
        self.natural_s = 0.0
        self._stretch: Stretch | None = None

    def played(self, chunk: SpeechChunk) -> Samples:
        """Give what can be played now that ``chunk`` is there: itself, or less and later if it is hurried."""
        self.natural_s += chunk.duration
        self._stretch = self._stretch or Stretch(self.plan.rate, chunk.sample_rate)
        return self._stretch.push(chunk.samples, chunk.last)
