"""Draws the live view in the middle of a scripted session: python docs/live_view.py docs/live-view.svg"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from pipeline.events import Busy, Draft, Event, Lag, ReadingUnit, Transcript, Word
from pipeline.sinks.live_view import REDRAW_S, LiveView

HEARD = (" The library opens at nine,", " and the first visitors are already waiting outside.")
TENTATIVE = " Some of them have come"
SAID = {
    "pt": ("A biblioteca abre às nove,", "e os primeiros visitantes já esperam lá fora."),
    "es": ("La biblioteca abre a las nueve,", "y los primeros visitantes ya esperan fuera."),
}
DRAFTS = {"pt": "Alguns deles vieram", "es": "Algunos de ellos han venido"}
NORMAL = [
    (0, 0, 0),
    (205, 70, 70),
    (90, 180, 90),
    (200, 170, 60),
    (90, 130, 220),
    (180, 100, 180),
    (80, 190, 200),
    (230, 230, 230),
]
BRIGHT = [(125, 125, 130), *NORMAL[1:]]
THEME = TerminalTheme((24, 25, 30), (236, 236, 236), NORMAL, BRIGHT)
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # fonts of a server: an image should ask nobody


class ScriptedClock:
    """A clock that stands still between redraws."""

    moment = 0.0

    def now(self) -> float:
        """Give the moment."""
        return self.moment

    async def sleep_until(self, moment: float) -> None:
        """Move on."""
        self.moment = max(self.moment, moment)


def session() -> list[Event]:
    """List what a sink would be given up to the middle of the third clause."""
    events: list[Event] = []
    for number, text in enumerate(HEARD):
        start, end = 3.0 * number, 3.0 * number + 2.6
        word = Word(text, start, end, 1.0)
        events += [Transcript((word,), (), "en", end + 0.7, 0.2, ended=False), Busy("recognize", 0.31)]
        events += [ReadingUnit(number, (word,), said[number], to, start, end, end + 0.7, to) for to, said in SAID.items()]
        events += [Busy("translate", 0.04), Busy("speak", 0.22), Lag(number, end + 1.4, 1.4, 0.6, 1.0, number)]
    tentative = (Word(TENTATIVE, 6.0, 7.0, 0.8),)
    events += [Transcript((), tentative, "en", 7.2, 0.0, ended=False)]
    return events + [Draft(text, to) for to, text in DRAFTS.items()]


async def picture() -> str:
    """Draw the view as SVG."""
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=84, color_system="truecolor")
    clock = ScriptedClock()
    view = LiveView(console, clock, "en", tuple(SAID), scroll=False)
    *before, last = session()
    for event in before:
        await view.put(event)
    console.export_text(clear=True)  # from here on, one redraw is recorded
    await clock.sleep_until(REDRAW_S)
    await view.put(last)
    title = "translate-live --mic --to pt,es > talk.txt"
    return FONT_FACE.sub("", console.export_svg(title=title, unique_id="live", theme=THEME))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncio.run(picture()), encoding="utf-8")
