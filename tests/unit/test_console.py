"""The terminal: translation on standard output, a bounded view on standard error."""

import asyncio
import io
import os

import numpy as np
import pytest
from rich.console import Console

from pipeline.events import (
    AudioChunk,
    Busy,
    DeviceBack,
    DeviceLost,
    Draft,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Skipped,
    Transcript,
    Word,
)
from pipeline.sinks.console import PlainView, TranslationLines, console_sinks
from pipeline.sinks.live_view import LiveView, Status
from pipeline.sinks.plain_text import notice_line
from tests.scripted import SetClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(f" {text}", 61.0, 62.0, 1.0) for text in texts)


def unit(text: str, *source: str) -> ReadingUnit:
    return ReadingUnit(0, said(*source), text, "es", 61.0, 62.0, 63.0, "es")


def transcript(committed: str, tentative: str, heard_s: float = 63.0) -> Transcript:
    return Transcript(said(*committed.split()), said(*tentative.split()), "en", heard_s, 0.0, ended=False)


async def test_pipe_gets_the_translation_and_nothing_else():
    out = io.StringIO()
    lines = TranslationLines(out, unread=out.close)
    for event in (
        transcript("hello", "world"),
        Draft("ho", "es"),
        unit(" hola\x1b[2J\n mundo", "hello"),
        unit(" ", "x"),
        Fault("a", "b", False),
    ):
        await lines.put(event)
    assert out.getvalue() == "hola [2J mundo\n"


def test_a_reader_that_goes_away():
    reading, writing = os.pipe()
    os.close(reading)
    told: list[str] = []
    with open(writing, "w") as out:  # closing it must not raise either
        lines = TranslationLines(out, lambda: told.append("unread"))
        for _ in range(3):
            asyncio.run(lines.put(unit("hola", "hello")))
    assert told == ["unread"]


async def test_plain_lines_tell_what_was_said_and_notices():
    errors = io.StringIO()
    view = PlainView(errors, "es")
    for event in (transcript("hello", "world"), unit(" hola", "hello"), Gap(61, 65, "paused"), Lag(0, 1, 1, 0, 1, 0)):
        await view.put(event)
    assert errors.getvalue() == "1:01  hello\nnotice: not heard: 1:01 to 1:05, paused\n"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Gap(0, 2, "paused"), "0:00 to 0:02, paused"),
        (Skipped(3, 3, "late"), "unit 3, late"),
        (Skipped(3, 5, "late"), "units 3 to 5, late"),
        (LanguageChanged("fr", 2.0), "'fr'"),
        (DeviceLost("USB mic"), "lost the audio device 'USB mic'"),
        (DeviceBack("USB mic"), "is back"),
        (Fault("speak", "it\nbroke\x07", fatal=True), "speak: it broke"),
    ],
)
def test_every_notice_is_told_in_one_line(event, words):
    line = notice_line(event)
    assert words in line
    assert "\n" not in line


def drawn(clock: SetClock, terminal: io.StringIO, scroll: bool = False) -> LiveView:
    return LiveView(
        Console(file=terminal, force_terminal=True, width=100, color_system="standard"), clock, "en", ["es"], scroll
    )


async def test_committed_text_is_in_full_and_tentative_text_in_grey():
    terminal = io.StringIO()
    view = drawn(SetClock(), terminal)
    for event in (
        transcript("I see", "a hors"),
        unit(" veo", "I", "see"),
        Draft("un cab", "es"),
        Lag(0, 1, 2.34, 0.5, 1.1, 0),
        Busy("recognize", 0.031),
    ):
        await view.put(event)
    await view.close()
    screen = terminal.getvalue()
    gray = "\x1b[90m"
    assert f"I see {gray}a hors" in screen
    assert f"veo {gray}un cab" in screen
    assert "1:03 · lag 2.3 s · waiting 0.5 s · rate 1.10 · recognize 31 ms" in screen


async def test_at_most_eight_redraws_a_second():
    clock, terminal = SetClock(), io.StringIO()
    view = drawn(clock, terminal)
    for number in range(1000):
        clock.moment = number / 100
        await view.put(transcript("", f"number{number}."))
    shown = sum(f"number{number}." in terminal.getvalue() for number in range(1000))
    assert 40 <= shown <= 81
    await view.close()
    assert "number999." in terminal.getvalue()


async def test_an_hour_of_talk_stays_small():
    status = Status()
    for number in range(3_000):
        status.take(transcript("word " * 3, "tail " * 100))
        status.take(unit(f" palabra{number}", "word"))
        status.take(AudioChunk(np.zeros(1, np.float32), 16_000, 0.0))
    assert all(len(str(text)) <= 162 for text in (status.source, status.tentative, status.target["es"]))
    assert str(status.target["es"]).endswith(" palabra2999")


async def test_one_terminal_for_both_shows_each_translation_once_in_the_scroll():
    terminal = Terminal()
    (view,) = console_sinks(terminal, terminal, SetClock(), "en", ["es"], quiet=False, unread=terminal.close)
    await view.put(unit(" hola", "hello"))
    await view.close()
    assert terminal.getvalue().splitlines()[0].endswith("hola")


@pytest.mark.parametrize(
    ("errors", "quiet", "kinds"),
    [
        (io.StringIO(), False, [PlainView, TranslationLines]),
        (Terminal(), False, [TranslationLines, LiveView]),
        (Terminal(), True, [TranslationLines]),
    ],
)
async def test_views_by_what_is_connected(errors, quiet, kinds):
    sinks = console_sinks(io.StringIO(), errors, SetClock(), "en", ["es"], quiet=quiet, unread=errors.close)
    assert [type(sink) for sink in sinks] == kinds
    for sink in sinks:
        await sink.close()


@pytest.mark.parametrize("kind", ["plain", "live"])
@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([transcript("", "maybe", 2.0), transcript("", "", 5.0)], True),
        ([transcript("", "", 2.0), transcript("hello", "", 5.0)], False),
        ([transcript("", "", 2.0), Fault("recognize", "broken", fatal=True)], False),
        ([], False),
    ],
)
async def test_a_session_in_which_nobody_was_heard_says_so(kind, events, told):
    """It would look as one that did not run: a muted microphone, the wrong track, PCM of another form."""
    out = Terminal()
    console = Console(file=out, width=80)
    view = PlainView(out, "es") if kind == "plain" else LiveView(console, SetClock(), "en", ["es"], scroll=False)
    for event in events:
        await view.put(event)
    await view.close()
    assert ("no speech was heard in 5.0 s of audio" in out.getvalue()) is told


@pytest.mark.parametrize("kind", ["plain", "live"])
async def test_what_ends_a_session_is_left_to_its_error(kind):
    out = Terminal()
    console = Console(file=out, width=80)
    view = PlainView(out, "es") if kind == "plain" else LiveView(console, SetClock(), "en", ["es"], scroll=False)
    await view.put(Fault("speak", "it stumbled", fatal=False))
    await view.put(Fault("recognize", "it broke", fatal=True))
    await view.close()
    assert "speak: it stumbled" in out.getvalue()
    assert "it broke" not in out.getvalue()


def test_a_terminal_that_can_draw_nothing_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    sinks = console_sinks(io.StringIO(), Terminal(), SetClock(), "en", ["es"], quiet=False, unread=list)
    assert [type(sink) for sink in sinks] == [PlainView, TranslationLines]
