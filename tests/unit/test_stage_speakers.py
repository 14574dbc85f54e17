"""Speakers in a session: words, units and speech keep to one speaker, and a diarizer that fails takes nobody with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.events import AudioChunk, Fault, ReadingUnit, SpeakerFound, SpeechChunk, Transcript
from pipeline.policies.speaker_labels import UNKNOWN
from pipeline.policies.unit_policy import UnitSettings
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.stages.speakers import SpeakerOptions
from tests.scripted import Faults, Keep, Talk
from tests.scripted import Models as Scripted
from tests.scripted_speakers import ScriptedDiarizer

pytestmark = pytest.mark.looptime(noop_cycles=2)


async def run(
    diarizer: ScriptedDiarizer | None, seconds: float = 30, live: bool = True, policy: str = "agreement", **options: object
) -> Keep:
    scripted, keep = Scripted(), Keep()
    asked = SpeakerOptions(**options) if diarizer else None
    settings = SessionOptions(("en",), ("es",), spoken="es", units=UnitSettings(policy), speakers=asked)
    await Session(Models(scripted, scripted, scripted, diarizer), settings).run(Talk(seconds, live), [SinkQueue(keep)])
    return keep


def words(keep: Keep) -> list:
    return [word for transcript in keep.of(Transcript) for word in transcript.committed]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("policy", ["agreement", "pauses"])
async def test_words_have_their_speaker_and_no_unit_spans_two(live, policy):
    keep = await run(ScriptedDiarizer(), live=live, policy=policy)
    said = words(keep)
    assert len(said) == 75
    assert all(word.speaker == f"Speaker {int((word.start + word.end) / 2 / 5) % 2 + 1}" for word in said)
    units = keep.of(ReadingUnit)
    assert [word for unit in units for word in unit.source] == said
    assert all({word.speaker for word in unit.source} == {unit.speaker} for unit in units)
    assert {chunk.unit for chunk in keep.of(SpeechChunk)} == {unit.number for unit in units if unit.text}
    assert keep.of(SpeakerFound) == [SpeakerFound("Speaker 1", 0.0), SpeakerFound("Speaker 2", said[13].start)]


async def test_words_and_their_times_are_those_of_a_session_without_speakers():
    with_speakers, without = await run(ScriptedDiarizer()), await run(None)
    assert [replace(word, speaker="") for word in words(with_speakers)] == words(without)


async def test_a_file_heard_at_once_has_the_same_speakers_as_live():
    live, whole = await run(ScriptedDiarizer(takes_s=0.09)), await run(ScriptedDiarizer(takes_s=3.0), live=False)
    assert words(whole) == words(live)


async def test_options_reach_the_diarizer_and_names_the_words():
    diarizer, clip = ScriptedDiarizer(), AudioChunk(words, 16_000, 0.0)  # type: ignore[arg-type]
    keep = await run(diarizer, most=3, names={"1": "Ana"}, known={"Eve": clip})
    assert diarizer.asked == [(3, {"Eve": clip})]
    assert diarizer.closed == 1
    assert {word.speaker for word in words(keep)} == {"Ana", "Speaker 2"}


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("fault", "why"),
    [({"raise_at": {"diarize": {60}}}, "diarize broke at call 60"), ({"hang_at": {"diarize": {60}}}, "the model hangs")],
)
async def test_the_session_goes_on_without_a_diarizer_that_fails(live, fault, why):
    keep = await run(ScriptedDiarizer(faults=Faults(**fault)), live=live)
    (told,) = keep.of(Fault)
    assert (told.stage, told.fatal) == ("speakers", False)
    assert why in told.message
    assert len(words(keep)) == 75
    assert {word.speaker for word in words(keep)[:10]} == {"Speaker 1"}
    assert words(keep)[-1].speaker == UNKNOWN
    assert all({word.speaker for word in unit.source} == {unit.speaker} for unit in keep.of(ReadingUnit))


async def test_one_that_cannot_keep_up_is_told_and_holds_nothing_up():
    keep = await run(ScriptedDiarizer(takes_s=2.0), seconds=60)
    (told,) = keep.of(Fault)
    assert "too slow" in told.message
    assert len(words(keep)) == 150


async def test_no_word_comes_more_than_a_second_later():
    keep = Keep()
    late: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, Transcript):
            late.extend(event.heard_s - word.end for word in event.committed)

    keep.on_put = note
    scripted = Scripted()
    settings = SessionOptions(("en",), ("es",), speakers=SpeakerOptions())
    diarizer = ScriptedDiarizer(behind_s=5.0)
    await Session(Models(scripted, scripted, None, diarizer), settings).run(Talk(30), [SinkQueue(keep)])
    assert len(late) == 75
    assert max(late) <= 0.5 + 1.0 + 0.11
