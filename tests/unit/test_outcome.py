"""The figures that a session tells at its end: those that the summary of its log gives."""

import pytest

from pipeline.events import AudioChunk, Fault, Lag, ReadingUnit, Skipped, Transcript, Word
from pipeline.sinks.event_log import EventLog, read_events
from pipeline.sinks.figures import SessionFigures
from pipeline.sinks.summary import summarize
from tests.scripted import SetClock


def word(text: str, start: float) -> Word:
    return Word(f" {text}", start, start + 0.5, 1.0)


def transcript(heard_s: float, *words: Word) -> Transcript:
    return Transcript(words, (), "en", heard_s, 0.0, ended=False)


def unit(number: int, target: str, *words: Word) -> ReadingUnit:
    return ReadingUnit(number, words, "hola", target, words[0].start, words[-1].end, words[-1].end, target)


ONE, TWO, THREE = word("one", 1.25), word("two", 4.0), word("three", 6.0)
TALK = [
    AudioChunk([], 16_000, 0.0),
    transcript(3.0, ONE),
    unit(0, "ca", ONE),
    unit(0, "es", ONE),
    Lag(0, 3.5, 1.75, 0.0, 1.0, 0),
    transcript(10.125, TWO, THREE),
    unit(1, "es", TWO),
    Lag(1, 7.3, 2.8, 0.0, 1.0, 1),
    unit(2, "es", THREE),
    Skipped(2, 2, "late"),
    transcript(float("inf")),
]


async def test_the_last_line_has_the_figures_of_the_summary(tmp_path):
    figures, clock = SessionFigures("es"), SetClock()
    log = EventLog(tmp_path / "log", {"to": ["ca", "es"], "spoken": "es"}, clock, lambda moment: 12_345.678 + moment)
    for event in TALK:
        figures.take(event)
        await log.put(event)
    await log.close()
    summary = summarize(read_events(tmp_path / "log"))
    assert figures.line() == (
        f"heard {summary.audio_s:.1f} s, {summary.units} units, {summary.units_skipped} skipped; ear-voice span "
        f"p50 {summary.ear_voice_span_p50_s:.2f} s, p90 {summary.ear_voice_span_p90_s:.2f} s; "
        f"first audio {summary.first_audio_s:.2f} s"
    )
    assert figures.line().startswith(
        "heard 10.1 s, 3 units, 1 skipped; ear-voice span p50 1.75 s, p90 2.80 s; first audio 2.25"
    )


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([transcript(3.0, ONE), unit(0, "es", ONE)], "heard 3.0 s, 1 unit"),
        ([transcript(2.0), transcript(5.0)], "no speech was heard in 5.0 s of audio"),
        ([transcript(2.0), Fault("recognize", "broken", fatal=True)], None),
        ([transcript(2.0, ONE), Fault("recognize", "broken", fatal=True)], "heard 2.0 s, 0 units"),
        ([], None),
    ],
)
def test_a_session_without_speech_has_no_figures_of_it(events, line):
    figures = SessionFigures("es")
    for event in events:
        figures.take(event)
    assert figures.line() == line
