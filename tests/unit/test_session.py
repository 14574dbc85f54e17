"""The session on scripted models: an hour in virtual time, faults in every stage, the levers, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from itertools import pairwise

import pytest

from pipeline import session as session_module
from pipeline.contracts import Translation, TranslationRequest
from pipeline.errors import ModelError, StageFailed
from pipeline.events import Fault, Gap, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript
from pipeline.policies.pace import PaceOptions
from pipeline.policies.unit_policy import UnitSettings
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from tests.scripted import Faults, Keep, Talk
from tests.scripted import Models as Scripted

pytestmark = pytest.mark.looptime(noop_cycles=2)


def make(scripted: Scripted | None = None, **options) -> tuple[Scripted, Keep, Session]:
    scripted = scripted or Scripted()
    session = Session(
        Models(scripted, scripted, scripted),
        SessionOptions(("en",), ("es",), spoken=options.pop("spoken", "es"), **options),
    )
    return scripted, Keep(), session


async def run(session: Session, keep: Keep, seconds: float, live: bool = True) -> None:
    await session.run(Talk(seconds, live), [SinkQueue(keep)])


def committed_words(keep: Keep) -> list:
    return [word for transcript in keep.of(Transcript) for word in transcript.committed]


def unit_words(keep: Keep) -> list:
    return [word for unit in keep.of(ReadingUnit) for word in unit.source]


@pytest.mark.parametrize("live", [True, False])
async def test_every_word_is_in_one_unit_and_every_unit_is_spoken_once_in_order(live: bool) -> None:
    scripted, keep, session = make()
    await run(session, keep, 60, live)
    assert unit_words(keep) == committed_words(keep)
    assert len(committed_words(keep)) == 150
    units = [unit.number for unit in keep.of(ReadingUnit)]
    assert units == list(range(len(units)))
    assert [lag.unit for lag in keep.of(Lag)] == units
    assert scripted.opened == scripted.closed == 2
    assert keep.closed == 1


async def test_an_hour_in_order_with_a_flat_heap() -> None:
    """Every unit once, in order; what a session keeps does not grow."""
    blocks: list[int] = []

    def weigh(event: object) -> None:
        if isinstance(event, ReadingUnit) and event.number % 400 == 200:
            gc.collect()
            blocks.append(sys.getallocatedblocks())

    _, _, session = make()
    numbers: list[int] = []
    keep = Keep(wanted=lambda event: isinstance(event, Lag) and numbers.append(event.unit), on_put=weigh)
    await session.run(Talk(3600, step_s=1.0), [SinkQueue(keep)])
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 1500
    assert blocks[-1] - blocks[0] < 5_000  # of 100 bytes or so: half a megabyte
    assert asyncio.get_running_loop().time() < 3610


async def test_speech_is_contiguous_and_never_before_its_words() -> None:
    _, keep, session = make()
    await run(session, keep, 60)
    chunks = keep.of(SpeechChunk)
    assert all(after.start >= before.start + before.duration - 1e-9 for before, after in pairwise(chunks))
    assert all(lag.ear_voice_s > 0 for lag in keep.of(Lag))


async def test_a_fast_run_plans_like_a_live_one_with_models_that_take_no_time() -> None:
    lags = []
    for live in (True, False):
        _, keep, session = make(Scripted(hear_s=0, translate_s=0, chunk_s=0, speech_per_character_s=0.075))
        await run(session, keep, 120, live)
        lags.append([(lag.unit, round(lag.start, 3), round(lag.rate, 3), lag.merged_into) for lag in keep.of(Lag)])
    assert lags[0] == lags[1]


async def test_long_speech_is_hurried_then_merged_then_skipped_with_notice() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.12))
    await run(session, keep, 120)
    lags, skipped = keep.of(Lag), keep.of(Skipped)
    assert max(lag.rate for lag in lags) == PaceOptions().max_rate
    assert any(lag.merged_into != lag.unit for lag in lags)
    assert skipped
    assert min(i for i, event in enumerate(keep.events) if isinstance(event, Skipped)) > min(
        i for i, event in enumerate(keep.events) if isinstance(event, Lag) and event.merged_into != event.unit
    )
    numbers = [lag.unit for lag in lags] + [n for skip in skipped for n in range(skip.first, skip.last + 1)]
    assert sorted(numbers) == [unit.number for unit in keep.of(ReadingUnit)]


@pytest.mark.parametrize(("call", "stage"), [("hear", "recognize"), ("translate", "translate"), ("say", "speak")])
@pytest.mark.parametrize("kind", ["raise_at", "hang_at", "garbage_at"])
async def test_a_broken_stage_ends_the_session_under_its_name_and_leaves_nothing(call: str, stage: str, kind: str) -> None:
    if (call, kind) == ("translate", "garbage_at"):
        pytest.skip("an empty translation is shown as its source, not a fault")
    faults = Faults(**{kind: {call: set(range(60 if call == "hear" else 5, 10_000))}})
    scripted, keep, session = make(Scripted(faults=faults))
    tasks, threads = len(asyncio.all_tasks()), threading.active_count()
    with pytest.raises(StageFailed) as failure:
        await run(session, keep, 300)
    assert failure.value.stage == stage
    assert failure.value.exit_code == 4
    assert len(asyncio.all_tasks()) == tasks
    assert threading.active_count() == threads
    assert scripted.opened == scripted.closed == 2
    assert keep.closed == 1
    assert keep.of(Fault)[-1].fatal
    assert keep.of(ReadingUnit)[:1]


@pytest.mark.parametrize(
    ("call", "kind"), [("translate", "raise_at"), ("say", "raise_at"), ("say", "garbage_at"), ("say", "hang_at")]
)
async def test_one_bad_call_is_tried_again_and_nobody_notices(call: str, kind: str) -> None:
    _, keep, session = make(Scripted(faults=Faults(**{kind: {call: {3}}})))
    await run(session, keep, 200)
    assert not keep.of(Fault)
    spoken = {lag.unit for lag in keep.of(Lag)}
    skipped = {n for skip in keep.of(Skipped) for n in range(skip.first, skip.last + 1)}
    assert spoken | skipped == {unit.number for unit in keep.of(ReadingUnit)}


async def test_one_unit_that_fails_twice_is_shown_in_its_own_words_and_not_spoken() -> None:
    _, keep, session = make(Scripted(faults=Faults(raise_at={"translate": {3, 4}})))
    await run(session, keep, 60)
    (fault,) = keep.of(Fault)
    assert (fault.stage, fault.fatal) == ("translate", False)
    (shown,) = [unit for unit in keep.of(ReadingUnit) if unit.language == "en"]
    assert shown.text.split() == [word.text.strip() for word in shown.source]
    assert shown.number not in {lag.unit for lag in keep.of(Lag)}
    assert unit_words(keep) == committed_words(keep)


@pytest.mark.parametrize("faults", [{"raise_at": {"translate": {3, 4}}}, {"garbage_at": {"translate": {3}}}])
@pytest.mark.parametrize("spoken", ["es", None])
async def test_what_is_not_spoken_because_it_is_not_translated_is_told(faults: dict, spoken: str | None) -> None:
    _, keep, session = make(Scripted(faults=Faults(**faults)), spoken=spoken)
    await run(session, keep, 60)
    (shown,) = [unit for unit in keep.of(ReadingUnit) if unit.language == "en"]
    told = [(skip.first, skip.last) for skip in keep.of(Skipped)]
    assert told == ([(shown.number, shown.number)] if spoken else [])


async def test_a_unit_whose_speech_fails_twice_is_skipped_with_a_fault_and_the_rest_goes_on() -> None:
    _, keep, session = make(Scripted(faults=Faults(raise_at={"say": {2, 3}})))
    await run(session, keep, 60)
    assert [fault.stage for fault in keep.of(Fault)] == ["speak"]
    assert [(skip.first, skip.last) for skip in keep.of(Skipped)] == [(1, 1)]
    assert {lag.unit for lag in keep.of(Lag)} == {unit.number for unit in keep.of(ReadingUnit)} - {1}


async def test_stop_says_what_was_heard() -> None:
    _, keep, session = make()
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 600))
        await asyncio.sleep(30)
        session.stop()
    assert unit_words(keep) == committed_words(keep)
    assert 60 < len(committed_words(keep)) < 80
    assert {lag.unit for lag in keep.of(Lag)} == {unit.number for unit in keep.of(ReadingUnit)}


async def test_cancel_frees_everything() -> None:
    scripted, keep, session = make()
    task = asyncio.ensure_future(run(session, keep, 600))
    await asyncio.sleep(20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.opened == scripted.closed == 2
    assert keep.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_skip_to_live_drops_what_waits_and_says_so() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.11))
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 60))
        await asyncio.sleep(30)
        session.skip_to_live()
    assert keep.flushed == 1
    assert any(skip.reason == "skipped to live" for skip in keep.of(Skipped))
    after = [lag for lag in keep.of(Lag) if lag.start > 30 and lag.unit == lag.merged_into]
    assert after[0].ear_voice_s < 3


async def test_muted_units_are_shown_not_spoken() -> None:
    _, keep, session = make()
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 60))
        await asyncio.sleep(20)
        session.mute()
        await asyncio.sleep(20)
        session.mute(False)
    muted = {n for skip in keep.of(Skipped) if skip.reason == "muted" for n in range(skip.first, skip.last + 1)}
    assert len(muted) >= 6
    assert muted & {lag.unit for lag in keep.of(Lag)} <= {min(muted)}
    assert unit_words(keep) == committed_words(keep)


async def test_pause_stops_listening_and_says_which_audio_was_not_heard() -> None:
    _, keep, session = make()
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 60))
        await asyncio.sleep(20.05)
        session.pause()
        await asyncio.sleep(20)
        session.pause(False)
    (gap,) = [gap for gap in keep.of(Gap) if gap.reason == "paused"]
    assert (gap.start, gap.end) == pytest.approx((20.0, 40.0), abs=0.11)


async def test_a_recognizer_too_slow_skips_to_live_and_accounts_for_every_second() -> None:
    _, keep, session = make(Scripted(hear_s=25.0))
    await run(session, keep, 100)
    gaps = keep.of(Gap)
    assert gaps
    assert all(gap.end > gap.start for gap in gaps)
    assert all("too slow" in gap.reason for gap in gaps)


async def test_a_slow_live_view_misses_events_and_holds_nobody_up() -> None:
    class Stuck(Keep):
        async def put(self, event: object) -> None:
            await asyncio.sleep(5)

    _, keep, session = make()
    view = SinkQueue(Stuck(), "view")
    async with asyncio.timeout(60 + 60):
        await session.run(Talk(60), [SinkQueue(keep), view])
    assert "Stuck was more than 30 s behind" in str(view.error)
    assert max(lag.ear_voice_s for lag in keep.of(Lag)) < 5


async def test_a_sink_that_fails_is_reported_and_the_others_go_on() -> None:
    def full(event: object) -> None:
        if isinstance(event, ReadingUnit) and event.number == 2:
            raise OSError(28, "No space left on device")

    broken = SinkQueue(Keep(on_put=full))
    _, keep, session = make()
    await session.run(Talk(60), [broken, SinkQueue(keep)])
    assert isinstance(broken.error, OSError)
    assert ["No space left" in fault.message for fault in keep.of(Fault)] == [True]
    assert len(keep.of(ReadingUnit)) == 25


async def test_back_pressure_reaches_a_source_that_waits() -> None:
    taken = 0

    class Endless(Talk):
        async def __aiter__(self):
            nonlocal taken
            async for chunk in Talk(10_000, live=False):
                taken += 1
                yield chunk

    _, keep, session = make(Scripted(translate_s=1000))
    with pytest.raises((TimeoutError, StageFailed)):
        async with asyncio.timeout(50):
            await session.run(Endless(0, live=False), [SinkQueue(keep)])
    assert taken < session_module.AUDIO_CHUNKS + session_module.TRANSCRIPTS + 40


async def test_several_targets_are_translated_and_one_is_spoken() -> None:
    scripted = Scripted()
    session = Session(Models(scripted, scripted, scripted), SessionOptions(("en",), ("es", "fr"), spoken="fr"))
    keep = Keep()
    await run(session, keep, 30)
    by_target = {target: [u for u in keep.of(ReadingUnit) if u.language == target] for target in ("es", "fr")}
    assert [u.source for u in by_target["es"]] == [u.source for u in by_target["fr"]]
    assert len(keep.of(Lag)) == len(by_target["fr"])


class WithoutFrench(Scripted):
    """Scripted models of which the translator has lost one target."""

    async def translate(self, request: TranslationRequest) -> Translation:
        translation = await super().translate(request)
        if request.target_language == "fr":
            raise ModelError("no model for French")
        return translation


@pytest.mark.parametrize("spoken", ["es", "fr"])
async def test_a_target_that_always_fails_is_given_up_and_the_others_go_on(spoken: str) -> None:
    scripted = WithoutFrench()
    session = Session(Models(scripted, scripted, scripted), SessionOptions(("en",), ("es", "fr"), spoken=spoken))
    keep = Keep()
    await run(session, keep, 60)
    spanish, french = ([unit for unit in keep.of(ReadingUnit) if unit.target == target] for target in ("es", "fr"))
    assert [unit.language for unit in spanish] == ["es"] * len(french)
    assert [unit.language for unit in french] == ["en"] * len(french)
    assert len(keep.of(Lag)) == (len(spanish) if spoken == "es" else 0)
    told = [fault.message for fault in keep.of(Fault)]
    assert told == [*["no model for French"] * 2, "no model for French; no more is translated into French"]
    assert scripted.faults.calls["translate"] == len(spanish) + 2 * 3, "a target that was given up is not tried"


async def test_a_session_of_which_all_targets_fail_ends() -> None:
    scripted = Scripted(faults=Faults(raise_at={"translate": set(range(5, 10_000))}))
    session = Session(Models(scripted, scripted, scripted), SessionOptions(("en",), ("es", "fr"), spoken="es"))
    with pytest.raises(StageFailed):
        await run(session, Keep(), 300)


@pytest.mark.parametrize("policy", ["pauses", "agreement"])
async def test_either_policy_covers_every_word_once_in_order(policy: str) -> None:
    _, keep, session = make(units=UnitSettings(policy=policy))
    await run(session, keep, 60)
    assert unit_words(keep) == committed_words(keep)
    assert " ".join(unit.text for unit in keep.of(ReadingUnit)).split() == [
        word.text.strip().upper() for word in committed_words(keep)
    ]


async def test_without_speech_there_are_captions() -> None:
    _, keep, session = make(spoken=None)
    await run(session, keep, 30)
    assert keep.of(ReadingUnit)
    assert not keep.of(SpeechChunk)


async def test_an_error_while_opening_is_raised_as_it_is() -> None:
    class Refusing(Scripted):
        def open(self, *_: object):
            raise ModelError("no such voice")

    _, keep, session = make(Refusing())
    with pytest.raises(ModelError, match="no such voice"):
        await run(session, keep, 5)
    assert keep.closed == 1
