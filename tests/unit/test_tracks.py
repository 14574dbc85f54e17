"""Several spoken targets of one transcript: each as if it were alone, or on one track one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from pipeline.events import Lag, ReadingUnit, Skipped, SpeechChunk
from pipeline.policies.unit_policy import UnitSettings
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.stages.speak import SpokenTarget
from tests.scripted import Faults, Keep, Talk
from tests.scripted import Models as Scripted

pytestmark = pytest.mark.looptime(noop_cycles=2)
TARGETS = ("es", "fr", "de")


async def speak(spoken: dict[str, Scripted], *, live: bool, one_track: bool = False, silent: Collection[str] = ()) -> Keep:
    """A minute of talk, in which each of these targets is spoken by a model of its own."""
    (first, voice), *others = spoken.items()
    options = SessionOptions(
        ("en",),
        TARGETS,
        spoken=first,
        also_spoken=tuple(SpokenTarget(target, voice) for target, voice in others),
        one_track=one_track,
        units=UnitSettings(policy="pauses"),
    )
    keep, hearing = Keep(), Scripted()
    session = Session(Models(hearing, hearing, voice), options)
    session.silence(silent)
    await session.run(Talk(60, live), [SinkQueue(keep)])
    return keep


def track(keep: Keep, target: str) -> list[tuple[float, ...]]:
    """List what is said of a target, and when."""
    said: list[tuple[float, ...]] = []
    for event in keep.events:
        match event:
            case Lag() if event.target == target:
                said.append((event.unit, event.start, event.ear_voice_s, event.backlog_s, event.rate, event.merged_into))
            case SpeechChunk() if event.target == target:
                said.append((event.unit, event.start, event.last, len(event.samples)))
            case Skipped() if event.target == target:
                said.append((event.first, event.last))
    return said


def voices() -> dict[str, Scripted]:
    """A quick voice, one that must hurry and skip, and one that is slow to begin."""
    return {
        "es": Scripted(speech_per_character_s=0.03),
        "fr": Scripted(speech_per_character_s=0.2),
        "de": Scripted(speech_per_character_s=0.06, first_sound_s=0.5),
    }


@pytest.mark.parametrize("live", [True, False])
async def test_each_track_is_what_it_would_be_alone(live: bool) -> None:
    together = await speak(voices(), live=live)
    for target, voice in voices().items():
        alone = await speak({target: voice}, live=live)
        assert track(together, target) == [pytest.approx(said, abs=0.01) for said in track(alone, target)]
    assert {event.target for event in together.of(SpeechChunk)} == set(TARGETS)
    assert {event.target for event in together.of(Skipped)} == {"fr"}
    units = {target: [unit.source for unit in together.of(ReadingUnit) if unit.target == target] for target in TARGETS}
    assert units["es"] == units["fr"] == units["de"]


async def test_a_track_whose_model_fails_once_harms_no_other() -> None:
    broken = Scripted(faults=Faults(raise_at={"say": {1, 2}}))
    keep = await speak({"es": Scripted(), "fr": broken}, live=True)
    assert [(skip.first, skip.target) for skip in keep.of(Skipped)] == [(0, "fr")]
    assert len({lag.unit for lag in keep.of(Lag) if lag.target == "es"}) == 1 + len(
        {lag.unit for lag in keep.of(Lag) if lag.target == "fr"}
    )


async def test_what_was_opened_is_closed_on_every_track() -> None:
    spoken = voices()
    await speak(spoken, live=False)
    assert [(voice.opened, voice.closed) for voice in spoken.values()] == [(1, 1)] * 3


@pytest.mark.parametrize("live", [True, False])
async def test_on_one_track_nothing_is_said_while_another_speaks(live: bool) -> None:
    keep = await speak({"es": Scripted(), "fr": Scripted()}, live=live, one_track=True)
    chunks = [chunk for chunk in keep.of(SpeechChunk) if len(chunk.samples)]
    assert {chunk.target for chunk in chunks} == {"es", "fr"}
    for before, chunk in zip(chunks, chunks[1:], strict=False):
        assert chunk.start >= before.start + before.duration - 1e-6
    for target in ("es", "fr"):
        numbers = [lag.unit for lag in keep.of(Lag) if lag.target == target]
        skipped = [n for skip in keep.of(Skipped) if skip.target == target for n in range(skip.first, skip.last + 1)]
        assert sorted([*numbers, *skipped]) == [unit.number for unit in keep.of(ReadingUnit) if unit.target == target]


async def test_muting_silences_every_track() -> None:
    keep, hearing = Keep(), Scripted()
    options = SessionOptions(("en",), ("es", "fr"), spoken="es", also_spoken=(SpokenTarget("fr", hearing),))
    session = Session(Models(hearing, hearing, hearing), options)
    asyncio.get_running_loop().call_later(20, session.mute)
    await session.run(Talk(40), [SinkQueue(keep)])
    assert {skip.target for skip in keep.of(Skipped) if skip.reason == "muted"} == {"es", "fr"}
    assert all(chunk.start < 25 for chunk in keep.of(SpeechChunk))


async def test_a_silenced_target_is_shown_not_spoken_and_the_others_are_as_they_were() -> None:
    spoken = voices()
    (first, voice), *others = spoken.items()
    further = tuple(SpokenTarget(target, one) for target, one in others)
    options = SessionOptions(("en",), TARGETS, spoken=first, also_spoken=further, units=UnitSettings(policy="pauses"))
    keep, hearing = Keep(), Scripted()
    session = Session(Models(hearing, hearing, voice), options)
    loop = asyncio.get_running_loop()
    loop.call_later(20, session.silence, {"es"})
    loop.call_later(40, session.silence, {"fr"})
    await session.run(Talk(60), [SinkQueue(keep)])
    alone = await speak(voices(), live=True)
    assert track(keep, "de") == [pytest.approx(said, abs=0.01) for said in track(alone, "de")]
    spoken_es = {lag.unit for lag in keep.of(Lag) if lag.target == "es"}
    silent = {n for skip in keep.of(Skipped) if skip.target == "es" for n in range(skip.first, skip.last + 1)}
    units = {unit.number: unit for unit in keep.of(ReadingUnit) if unit.target == "es"}
    assert silent
    assert {skip.reason for skip in keep.of(Skipped) if skip.target == "es"} == {"muted"}
    assert spoken_es | silent == set(units)
    assert {number for number, unit in units.items() if 22 < unit.heard_s < 38} <= silent
    assert {number for number, unit in units.items() if not 18 < unit.heard_s < 42} <= spoken_es
    assert not [chunk for chunk in keep.of(SpeechChunk) if chunk.target == "fr" and chunk.start > 45]
    back = [lag for lag in keep.of(Lag) if lag.target == "es" and lag.start > 40]
    assert back[0].ear_voice_s < 3, "what was dropped delays nothing that is spoken again"


async def test_on_one_track_only_the_silenced_target_falls_silent() -> None:
    keep, hearing = Keep(), Scripted()
    options = SessionOptions(("en",), ("es", "fr"), spoken="es", also_spoken=(SpokenTarget("fr", hearing),), one_track=True)
    session = Session(Models(hearing, hearing, hearing), options)
    asyncio.get_running_loop().call_later(20, session.silence, {"es"})
    await session.run(Talk(40), [SinkQueue(keep)])
    late = {chunk.target for chunk in keep.of(SpeechChunk) if chunk.start > 25}
    assert late == {"fr"}
    chunks = [chunk for chunk in keep.of(SpeechChunk) if len(chunk.samples)]
    for before, chunk in zip(chunks, chunks[1:], strict=False):
        assert chunk.start >= before.start + before.duration - 1e-6


async def test_on_one_track_what_is_silent_is_no_backlog_of_the_others() -> None:
    alone, beside = [
        await speak(dict.fromkeys(spoken, Scripted(speech_per_character_s=0.1)), live=True, one_track=True, silent={"fr"})
        for spoken in (("es",), ("es", "fr"))
    ]
    assert track(beside, "es") == [pytest.approx(said, abs=0.01) for said in track(alone, "es")]
    assert {skip.reason for skip in beside.of(Skipped) if skip.target == "fr"} == {"muted"}
    assert not [lag for lag in beside.of(Lag) if lag.target == "fr"]
