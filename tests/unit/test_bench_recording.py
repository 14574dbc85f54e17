"""The record of a session of several targets: each target's units apart, speech with the one that is spoken."""

import numpy as np
import pytest

from benchmarks.clocks.feeder import Feeder
from benchmarks.clocks.virtual import run_on
from benchmarks.systems.in_process import SourceAudio, interpret
from benchmarks.systems.recording import SessionRecord, Spool
from benchmarks.systems.replay import row_of
from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.clock import LoopClock
from pipeline.events import Word
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.event_log import EventLog, read_events

WORDS = [Word(f" w{index}", 0.4 * index + 0.1, 0.4 * index + 0.4, 1.0) for index in range(20)]
AUDIO = SourceAudio(np.zeros(16_000 * 9, np.float32), 16_000, 0.1, WORDS[-1].end)
TARGETS = ("fr", "es")


class InBoth(ScriptedTranslator):
    """Says the words with their target's name."""

    async def translate(self, request):
        translation = await super().translate(request)
        text = " ".join(f"{word}-{request.target_language}" for word in translation.text.split())
        return type(translation)(text)


@pytest.fixture
def models():
    return Models(ScriptedRecognizer(WORDS), InBoth(), ScriptedSynthesizer())


def words_of(units):
    return [word for unit in units for word in unit.text.split()]


def test_units_of_two_targets_with_the_same_numbers_stay_apart(models):
    async def record():
        spool = Spool(LoopClock())
        session = Session(models, SessionOptions(("en",), TARGETS, "es"), LoopClock())
        feeder = Feeder(AUDIO.samples, AUDIO.sample_rate, LoopClock(), live=True)
        await session.run(feeder, [SinkQueue(spool)])
        origin = session.clock_time(0.0)
        recording = SessionRecord.of(spool.events(), "es")
        return [recording.unit_rows(target, origin, computation_aware=True) for target in TARGETS]

    french, spanish = run_on("exact", record())
    assert [unit.number for unit in french] == [unit.number for unit in spanish]
    assert words_of(french) == [f"w{index}-fr" for index in range(20)]
    assert words_of(spanish) == [f"w{index}-es" for index in range(20)]
    assert all(unit.spoken for unit in spanish)
    assert not any(unit.spoken for unit in french)


def test_a_row_is_of_the_spoken_target_also_from_a_log(models, tmp_path):
    log = tmp_path / "log.jsonl"

    def sinks(session):
        return [EventLog(log, {"to": list(TARGETS), "spoken": "es"}, LoopClock(), session.clock_time)]

    row = run_on("exact", interpret(models, SessionOptions(("en",), TARGETS, "es"), AUDIO, "virtual", sinks)).row
    assert row.hypothesis == " ".join(f"w{index}-es" for index in range(20))
    replayed = row_of(read_events(log), AUDIO, "es")
    assert [unit.text for unit in replayed.units] == [unit.text for unit in row.units]
    assert [unit.start_s for unit in replayed.units] == pytest.approx([unit.start_s for unit in row.units], abs=1e-6)
    silent = row_of(read_events(log), AUDIO, "fr")
    assert words_of(silent.units) == [f"w{index}-fr" for index in range(20)]
    assert not any(unit.spoken for unit in silent.units)
