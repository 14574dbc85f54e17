"""Names on slides: how many a recognizer hears right with and without eyes, what they invent, and what they delay.

Twelve sentences with invented names are spoken by the profile's synthesizer and shown, one slide each, in a film (720p,
H.264). A slide has the name and two that are not said. The film is heard twice, with its picture watched and without.
Slides are also read alone, as JPEG, and a clock ticks beside a reader that is shown two other slides a second, to see what
it delays.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soxr

from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.film_made import FRAMES_A_S, make_film
from benchmarks.metrics.quality import word_error_rate
from benchmarks.metrics.statistics import percentile
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.errors import ModelError
from pipeline.events import Event, ReadingUnit, Samples, Seen, Transcript
from pipeline.hints import Hints
from pipeline.profiles.profile import load_profile, require
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import SinkQueue
from pipeline.sources.files import AudioFile
from pipeline.sources.frames import FilmFrames
from pipeline.stages.see import Eyes, Watching
from pipeline.vision import Pixels, TextReader

SAID = (
    ("Zelkova", "The new scheduler is called Zelkova and it ships in the spring."),
    ("Quandrix", "We moved all of our billing to Quandrix last year."),
    ("Brynhilde Okonkwo", "Please welcome our director of research, Brynhilde Okonkwo."),
    ("Vantorel", "Patients who took Vantorel recovered two days earlier."),
    ("Tessaly", "Every request goes through Tessaly before it reaches the database."),
    ("Mirzapour", "The theorem was first proved by Mirzapour in nineteen eighty one."),
    ("Okavril", "A single dose of Okavril costs about nine dollars."),
    ("Lumentic", "I joined Lumentic when there were only four of us."),
    ("Kestrelbrook", "The trial took place in Kestrelbrook over eleven weeks."),
    ("Dravinsky", "As Dravinsky said, the budget is a moral document."),
    ("Phasmida", "Our parser, Phasmida, is written in Rust."),
    ("Ystrad", "The third site is in Ystrad, near the coast."),
)
UNSAID = (
    *("Haldenby", "Corvanta", "Nimrose", "Pellworth", "Aurevix", "Sandringfell"),
    *("Tolbiac", "Wexmere", "Jorvane", "Ellisande", "Brackwater", "Umberlin"),
)
PAUSE_S = 1.5
TICK_S, WINDOW_S, WINDOWS = 0.01, 5.0, 6


class Kept:
    """A sink that keeps what was heard and seen."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def put(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, Transcript | Seen):
            self.events.append(event)

    async def close(self) -> None:
        """Do nothing: the events stay."""

    def text(self, begin_s: float = 0.0, end_s: float = float("inf")) -> str:
        """The words that were heard between two seconds."""
        heard = [event for event in self.events if isinstance(event, Transcript)]
        words = [word for event in heard for word in event.committed if begin_s <= (word.start + word.end) / 2 < end_s]
        return "".join(word.text for word in words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to measure."""
    parser.add_argument("--profile", default="cpu", help="the profile to measure (cpu)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of the profile")
    parser.add_argument("--to", dest="target", default="pt", metavar="XX", help="target language (pt)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Hear the film with and without eyes, read its slides alone, and tick beside a reader."""
    profile = load_profile(arguments.profile, None, arguments.set)
    if profile.backends.reader is None:
        raise ModelError(f"the profile {profile.name} names no reader of pictures")
    require(profile.name, [*profile.backends.missing(), *profile.backends.reader.missing()])
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(_measure(Engine.load(profile), Path(folder) / "talk.mp4", arguments.target))
    for name, value in figures.items():
        print(f"{name:<28} {value:10.3f}")
    return figures


async def _measure(loading: object, film: Path, target: str) -> dict[str, float]:
    async with loading as engine:  # type: ignore[attr-defined]
        speech, places = await _spoken(engine)
        slides = [_slide(number) for number in range(len(SAID))]
        make_film(film, speech, CORPUS_HZ, image=lambda number: slides[_at(places, number / FRAMES_A_S)])
        reader: TextReader = await engine.model("reader")
        exact = await _lines_exact(reader, slides)
        with_eyes = await _heard(engine, film, target, Watching(film=FilmFrames(film)))
        without = await _heard(engine, film, target, None)
        delays = await _delays_ms(reader, slides)
    for name, kept in (("with", with_eyes), ("without", without)):
        print(f"{name}: {kept.text()}")
    reference = [sentence for _, sentence in SAID]
    return {
        "names": len(SAID),
        "names_right_with": _right(with_eyes, places),
        "names_right_without": _right(without, places),
        "names_inserted_unsaid": _unsaid(with_eyes),
        "names_inserted_without": _unsaid(without),
        "pages_seen": sum(isinstance(event, Seen) for event in with_eyes.events),
        "wer_with": word_error_rate([" ".join(reference)], [with_eyes.text()], "en"),
        "wer_without": word_error_rate([" ".join(reference)], [without.text()], "en"),
        "ocr_lines_exact": exact,
        **delays,
    }


async def _spoken(engine: Engine) -> tuple[Samples, list[tuple[float, float]]]:
    """All sentences with pauses, at 16 kHz, and where each begins and ends, its pauses halved."""
    synthesizer = await engine.model("synthesizer")
    pieces, places, at_s = [np.zeros(round(PAUSE_S * CORPUS_HZ), np.float32)], [], PAUSE_S / 2
    async with synthesizer.open(None, "en") as speaking:
        for number, (_, sentence) in enumerate(SAID):

            async def text(whole: str = sentence):  # type: ignore[no-untyped-def]  # noqa: ANN202
                yield whole

            unit = ReadingUnit(number, (), sentence, "en", 0.0, 0.0, 0.0, "en", "en")
            chunks = [chunk async for chunk in speaking.say(unit, text())]
            said = np.concatenate([chunk.samples for chunk in chunks])
            samples = np.asarray(soxr.resample(said, chunks[0].sample_rate, CORPUS_HZ), np.float32)
            pieces += [samples, np.zeros(round(PAUSE_S * CORPUS_HZ), np.float32)]
            places.append((at_s, at_s + len(samples) / CORPUS_HZ + PAUSE_S))
            at_s = places[-1][1]
    return np.concatenate(pieces), places


def _lines(number: int) -> tuple[str, ...]:
    name = SAID[number][0]
    other, third = UNSAID[number], UNSAID[(number + 5) % len(UNSAID)]
    return (f"{name}: where we are", f"Compared with {other}", "Latency fell from 480 ms to 35 ms", f"Next: {third}")


def _slide(number: int) -> Pixels:
    """A slide: light or dark, in one of three fonts."""
    import matplotlib  # noqa: PLC0415
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415

    name = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSans-Bold.ttf")[number % 3]
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    font = ImageFont.truetype(str(fonts / name), 28 + 4 * (number % 5))
    dark = number % 2 == 1
    image = Image.new("RGB", (1280, 720), (24, 28, 40) if dark else (250, 250, 248))
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(_lines(number)):
        draw.text((80, 90 + 140 * row), line, font=font, fill=(235, 235, 235) if dark else (20, 20, 30))
    return np.asarray(image)


def _jpeg(slide: Pixels) -> bytes:
    from PIL import Image  # noqa: PLC0415

    file = io.BytesIO()
    Image.fromarray(slide).save(file, "JPEG", quality=80)
    return file.getvalue()


def _at(places: Sequence[tuple[float, float]], moment_s: float) -> int:
    """The slide that is shown: each sentence's, from the middle of the pause before it."""
    return max(0, sum(begin_s <= moment_s for begin_s, _ in places) - 1)


async def _lines_exact(reader: TextReader, slides: Sequence[Pixels]) -> float:
    exact = 0
    for number, slide in enumerate(slides):
        page = await reader.read(_jpeg(slide), b"", ["en"])
        exact += sum(line in (page.lines or ()) for line in _lines(number))
    return exact / sum(len(_lines(number)) for number in range(len(slides)))


async def _heard(engine: Engine, film: Path, target: str, watching: Watching | None) -> Kept:
    kept = Kept()
    session = await engine.session(SessionRequest((target,), ("en",), watching=watching))
    await session.run(AudioFile(film, realtime=False, clock=LoopClock()), [SinkQueue(kept)])
    return kept


def _plain(text: str) -> str:
    return " ".join("".join(character if character.isalnum() else " " for character in text.lower()).split())


def _right(kept: Kept, places: Sequence[tuple[float, float]]) -> float:
    right = sum(
        _plain(name) in _plain(kept.text(begin_s, end_s)) for (name, _), (begin_s, end_s) in zip(SAID, places, strict=True)
    )
    return right / len(SAID)


def _unsaid(kept: Kept) -> int:
    """Count names that stand on slides and were not said, and names that were heard more often than they were said."""
    text = _plain(kept.text())
    more = sum(max(0, text.count(_plain(name)) - 1) for name, _ in SAID)
    return more + sum(text.count(_plain(name)) for name in UNSAID)


async def _delays_ms(reader: TextReader, slides: Sequence[Pixels]) -> dict[str, float]:
    """Measure how late a clock ticks with and without pictures, in windows by turns: what audio would wait."""
    eyes = Eyes(reader, Watching(), Hints(), ("en",), clock=LoopClock(), tell=lambda event: None)
    pictures = [_jpeg(slide) for slide in slides]
    late: dict[bool, list[float]] = {False: [], True: []}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(eyes.work())
        for window in range(2 * WINDOWS):
            late[window % 2 == 1] += await _tick(eyes, pictures if window % 2 else (), window)
        eyes.close()
    added = {f"p{percent}": percentile(late[True], percent) - percentile(late[False], percent) for percent in (50, 95, 99)}
    return {
        "audio_delay_added_ms": max(0.0, added["p50"], added["p95"]),
        **{f"tick_late_added_ms_{name}": value for name, value in added.items()},
        "tick_late_ms_p95_without": percentile(late[False], 95),
    }


async def _tick(eyes: Eyes, pictures: Sequence[bytes], first: int) -> list[float]:
    clock = LoopClock()
    began, late = clock.now(), []
    for number in range(1, round(WINDOW_S / TICK_S) + 1):
        await clock.sleep_until(began + number * TICK_S)
        late.append(1000 * (clock.now() - began - number * TICK_S))
        if pictures and number % round(0.5 / TICK_S) == 0:
            eyes.show(pictures[(first * 10 + number // 50) % len(pictures)])
    return late
