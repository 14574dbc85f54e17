"""Speech: breaths of several units, where each of them begins, and what the models' time was."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.events import Busy, Fault, Lag, ReadingUnit, Skipped, SpeechChunk, Word
from pipeline.policies.pace import PaceOptions, Plan, SpeechCost, at_once
from pipeline.stages.speak import SpokenGroup, merged
from tests.scripted import HZ, Keep
from tests.scripted import Models as Scripted
from tests.unit.test_session import make, run

pytestmark = pytest.mark.looptime(noop_cycles=2)


def unit(number: int, text: str) -> ReadingUnit:
    source = (Word(f" word{number}", float(number), number + 0.5, 0.9),)
    return ReadingUnit(number, source, text, "es", float(number), number + 0.5, number + 0.75, "es", "en")


def test_units_in_one_breath_are_one_text_with_a_space_between_and_the_number_of_the_first() -> None:
    units = [unit(3, "uno,"), unit(4, " dos"), unit(5, "tres")]
    words = tuple(word for one in units for word in one.source)
    assert merged(units) == ReadingUnit(3, words, "uno, dos tres", "es", 3.0, 5.5, 5.75, "es", "en")
    assert merged(units[1:2]) == units[1]


@pytest.mark.parametrize("rate", [0.92, 1.0, 1.25])
def test_a_group_is_played_as_it_comes_at_any_rate(rate: float) -> None:
    group = SpokenGroup([unit(0, "hola")], Plan(0, 1, rate, 0.0))
    chunks = [SpeechChunk(0, np.full(size, 0.1, np.float32), 1000, size == 600) for size in (1000, 1000, 600)]
    played = [len(group.played(chunk)) for chunk in chunks]
    assert sum(played) == round(2600 / rate)
    for heard, given in zip(accumulate(len(chunk.samples) for chunk in chunks), accumulate(played), strict=True):
        assert heard / rate - 65 < given <= round(heard / rate)
    assert group.natural_s == 2.6


@pytest.mark.parametrize("first_sound_s", [0.0, 1.5])
async def test_a_slow_synthesizer_begins_early_enough_to_leave_no_hole(first_sound_s: float) -> None:
    """Units come every 2.4 s and speak for 2 s: if speech began 0.9 s after the one before, each would be later."""
    _, keep, session = make(Scripted(first_sound_s=first_sound_s, speech_per_character_s=0.048))
    await run(session, keep, 40)
    learned = [lag for lag in keep.of(Lag) if lag.start > 15]
    assert learned
    assert all(lag.ear_voice_s < 1.0 + first_sound_s for lag in learned)
    assert {lag.rate for lag in learned} == {1.0}


async def test_speech_that_is_placed_afterwards_is_made_when_its_unit_comes_and_is_not_waited_for() -> None:
    """Speech is twice as long as its source: played one after the other, the last unit would come half a minute late."""
    pace = at_once(PaceOptions(), 8.0)
    _, keep, session = make(Scripted(speech_per_character_s=0.2), pace=pace)
    began = asyncio.get_running_loop().time()
    await run(session, keep, 40)
    assert asyncio.get_running_loop().time() - began < 43.0
    lags = keep.of(Lag)
    assert len(lags) == len(keep.of(ReadingUnit))
    assert all(lag.ear_voice_s < 2.0 for lag in lags)
    assert {lag.rate for lag in lags} == {1.0}
    assert sum(len(chunk.samples) / chunk.sample_rate for chunk in keep.of(SpeechChunk)) > 60.0


async def test_hurried_speech_sounds_before_its_unit_is_synthesized() -> None:
    """In half seconds, a quarter of a second each: the first is played while the next is made."""
    shown: dict[int, list[float]] = {}

    def note(event: object) -> None:
        if isinstance(event, SpeechChunk) and len(event.samples):
            shown.setdefault(event.unit, []).append(asyncio.get_running_loop().time())

    _, _, session = make(Scripted(speech_per_character_s=0.08, chunk_s=0.25))
    keep = Keep(on_put=note)
    await run(session, keep, 60)
    hurried = {lag.merged_into for lag in keep.of(Lag) if lag.rate > 1.0}
    assert len(hurried) > 5
    assert all(shown[number][-1] - shown[number][0] > 1.0 for number in hurried)


async def test_units_of_two_speakers_are_never_spoken_as_one() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.12, speakers="AB"))
    await run(session, keep, 60)
    units = {unit.number: unit for unit in keep.of(ReadingUnit)}
    assert {unit.speaker for unit in units.values()} == {"A", "B"}
    assert all(units[lag.unit].speaker == units[lag.merged_into].speaker for lag in keep.of(Lag))


async def test_each_unit_of_a_breath_has_its_own_place_in_the_breath() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.085))
    await run(session, keep, 120)
    units = {unit.number: unit for unit in keep.of(ReadingUnit)}
    breaths: dict[int, list[Lag]] = {}
    for lag in keep.of(Lag):
        breaths.setdefault(lag.merged_into, []).append(lag)
        assert lag.ear_voice_s == pytest.approx(lag.start - units[lag.unit].end)
    for number, lags in breaths.items():
        first = next(chunk for chunk in keep.of(SpeechChunk) if chunk.unit == number)
        assert (lags[0].unit, lags[0].start) == (number, first.start)
    learned = [pair for lags in breaths.values() for pair in pairwise(lags) if pair[0].start > 60]
    assert learned  # how fast the voice speaks, by then
    for before, after in learned:
        spoken_s = len(units[before.unit].text) * 0.085 / after.rate
        assert after.start - before.start == pytest.approx(spoken_s, rel=0.2)


@pytest.mark.parametrize("lever", ["mute", "skip_to_live"])
async def test_a_breath_that_is_not_wanted_any_more_is_cut_and_told(lever: str) -> None:
    def pull(event: object) -> None:
        if isinstance(event, SpeechChunk) and event.unit == 5:
            getattr(session, lever)()

    _, _, session = make(Scripted(chunk_s=0.3))
    keep = Keep(on_put=pull)
    await run(session, keep, 60)
    (cut,) = [chunk for chunk in keep.of(SpeechChunk) if chunk.unit == 5]
    assert not cut.last
    assert 5 in {number for skip in keep.of(Skipped) for number in range(skip.first, skip.last + 1)}
    spoken = {chunk.unit for chunk in keep.of(SpeechChunk)}
    assert max(spoken) == (5 if lever == "mute" else keep.of(ReadingUnit)[-1].number)


async def test_a_session_does_not_wait_for_speech_that_was_muted() -> None:
    now = asyncio.get_running_loop().time
    began = now()
    _, keep, session = make(Scripted(speech_per_character_s=0.12))
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 12))
        await asyncio.sleep(12.5)
        session.mute()
    last = keep.of(SpeechChunk)[-1]
    assert now() - began < 13 < last.start + last.duration


async def test_after_a_short_mute_nobody_waits_for_speech_that_was_flushed() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.12))
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 60))
        await asyncio.sleep(30)
        session.mute()
        await asyncio.sleep(1)
        session.mute(False)
    first = next(lag for lag in keep.of(Lag) if lag.start > 30)
    assert first.ear_voice_s < 3


async def test_the_time_of_a_stage_is_what_its_model_took() -> None:
    """Not what its neighbors took, or sinks that are full."""
    scripted, keep, session = make(Scripted(hear_s=0.01, translate_s=0.05, chunk_s=0.02))
    await run(session, keep, 60)
    busy_s: dict[str, float] = {}
    for call in keep.of(Busy):
        busy_s[call.stage] = busy_s.get(call.stage, 0.0) + call.seconds
    chunks = sum(-(-round(chunk.duration * HZ) // (HZ // 2)) for chunk in keep.of(SpeechChunk))
    calls = scripted.faults.calls
    assert busy_s == pytest.approx(
        {"recognize": calls["hear"] * 0.01, "translate": calls["translate"] * 0.05, "speak": chunks * 0.02}, rel=0.01
    )


class Heavy(Scripted):
    """Models whose speech knows a setting that is lighter, if there is one."""

    lighter = "synthesizer=light"

    @asynccontextmanager
    async def open(self, *asked: object) -> AsyncIterator[Any]:
        async with super().open(*asked) as stream:
            stream.lighter = self.lighter
            yield stream


@pytest.mark.parametrize(("chunk_s", "told"), [(0.8, 1), (0.45, 1), (0.25, 0)])
async def test_speech_that_takes_as_long_as_it_lasts_is_told_once_with_what_would_help(chunk_s: float, told: int) -> None:
    """Chunks last half a second, and the last of a unit less."""
    _, keep, session = make(Heavy(chunk_s=chunk_s))
    await run(session, keep, 120)
    faults = keep.of(Fault)
    assert len(faults) == told
    for fault in faults:
        said = re.fullmatch("a second of speech takes (.+) s to compute here; synthesizer=light takes less", fault.message)
        assert said
        assert 2 * chunk_s - 0.1 < float(said[1]) < 3 * chunk_s
        assert (fault.stage, fault.fatal) == ("speak", False)


@pytest.mark.parametrize("kind", [Scripted, type("Lightest", (Heavy,), {"lighter": ""})])
async def test_slow_speech_is_not_told_where_nothing_would_help(kind: type[Scripted]) -> None:
    _, keep, session = make(kind(chunk_s=0.6))
    await run(session, keep, 60)
    assert not keep.of(Fault)


def test_the_cost_of_speech_is_judged_when_enough_was_spoken() -> None:
    cost = SpeechCost("less")
    assert not cost.learn(30.0, 9.9)
    assert cost.learn(0.0, 0.1) == "a second of speech takes 3.0 s to compute here; less takes less"
    assert not cost.learn(30.0, 1.0), "once"
    assert not SpeechCost("less").learn(8.0, 10.0)
