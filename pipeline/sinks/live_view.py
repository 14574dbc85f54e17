"""The live view of a terminal: committed text in full, tentative text in gray, and where the session stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.clock import Clock
from pipeline.contracts import Delivery
from pipeline.events import Busy, Draft, Event, Fault, Lag, ReadingUnit, Transcript, is_for, text_of
from pipeline.sinks.figures import SessionFigures
from pipeline.sinks.plain_text import is_fatal, legible, minutes, notice_line, unit_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@dataclass(slots=True)
class SpeakerTail:
    """The end of a text, by speaker: at most ``characters`` of it."""

    characters: int
    parts: deque[tuple[str, str]] = field(default_factory=deque)  # who, and what

    def add(self, speaker: str, text: str) -> None:
        """Append what a speaker said; the beginning makes room, from a word on."""
        if self.parts and self.parts[-1][0] == speaker:
            text = self.parts.pop()[1] + text
        self.parts.append((speaker, legible(text)))
        while len(self.parts) > 1 and sum(len(part) for _, part in self.parts) > self.characters:
            self.parts.popleft()
        who, said = self.parts[0]
        if len(said) > self.characters:
            self.parts[0] = who, "…" + said[-self.characters :].partition(" ")[2]

    def pieces(self) -> list[tuple[str, str]]:
        """List the turns, each begun with its speaker's name if there is one: (speaker, text)."""
        return [(who, f"{legible(who)}: {said}" if who else said) for who, said in self.parts]

    def __str__(self) -> str:
        return " ".join(said for _, said in self.pieces())


REDRAW_S = 0.125  # at most 8 times a second: more flickers, and costs the models time
COLORS = ("green", "magenta", "yellow", "blue", "red", "cyan")  # of speakers, by when they were first heard
TAIL_CHARACTERS = 160  # of committed text on screen: about two lines; more is in the captions


@dataclass(slots=True)
class Status:
    """The state of a session at one moment, translations by target language; bounded however long it lasts."""

    track: str = ""  # the target whose lag is shown; none: all
    heard_s: float = 0.0
    source: SpeakerTail = field(default_factory=lambda: SpeakerTail(TAIL_CHARACTERS))
    tentative: str = ""
    target: dict[str, SpeakerTail] = field(default_factory=dict)
    draft: dict[str, str] = field(default_factory=dict)
    lag: Lag | None = None
    busy_s: dict[str, float] = field(default_factory=dict)
    speakers: dict[str, None] = field(default_factory=dict)  # in the order in which they were heard

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case Transcript():
                self.heard_s = event.heard_s
                for speaker, text in event.runs():
                    self.source.add(speaker, text)
                self.tentative = _tail(text_of(event.tentative))
                self.speakers.update(dict.fromkeys(who for who, _ in self.source.parts if who))
            case ReadingUnit():
                self.target.setdefault(event.target, SpeakerTail(TAIL_CHARACTERS)).add(event.speaker, " " + event.text)
                self.draft[event.target] = ""
            case Draft():
                self.draft[event.language] = _tail(event.text)
            case Lag() if is_for(self.track, event):
                self.lag = event
            case Busy():
                self.busy_s[event.stage] = event.seconds

    def line(self) -> str:
        """Format time, lag, and how long each stage's last call took."""
        parts = [minutes(self.heard_s)]
        if self.lag is not None:
            parts.append(f"lag {self.lag.ear_voice_s:.1f} s")
            parts.append(f"waiting {self.lag.backlog_s:.1f} s")
            parts.append(f"rate {self.lag.rate:.2f}")
        parts += [f"{stage} {seconds * 1000:.0f} ms" for stage, seconds in self.busy_s.items()]
        return " · ".join(parts)


class LiveView:
    """A sink that keeps a few lines of a terminal up to date: committed text in full, tentative text in gray.

    Notices, and the translation if ``scroll`` (the terminal is also standard output), scroll past above.
    """

    delivery: Delivery = "view"

    def __init__(
        self,
        console: Console,
        clock: Clock,
        source: str,
        targets: Sequence[str],
        scroll: bool,
        *,
        spoken: str | None = None,
        track: str = "",
    ) -> None:
        from rich.live import Live  # noqa: PLC0415 - loads slowly

        self.status = Status(track)
        self._figures = SessionFigures(spoken or targets[0], track)
        self._console = console
        self._clock = clock
        self._source = source
        self._targets = targets
        self._scroll = scroll
        self._drawn_at = clock.now()
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop"
        )
        self._live.start()

    async def put(self, event: Event) -> None:
        """Show an event, at the next redraw."""
        self.status.take(event)
        self._figures.take(event)
        if self._scroll and isinstance(event, ReadingUnit):
            self._console.print(unit_line(event, len(self._targets) > 1), markup=False, highlight=False)
        if (line := notice_line(event, bool(self.status.track))) and not is_fatal(event):
            self._console.print(line, style="red" if isinstance(event, Fault) else "yellow", markup=False, highlight=False)
        now = self._clock.now()
        if now - self._drawn_at >= REDRAW_S:
            self._drawn_at = now
            self._draw()

    async def close(self) -> None:
        """Draw the last state and leave it on the screen, and below it what came of the session."""
        self._draw()
        self._live.stop()
        if line := self._figures.line():
            self._console.print(line, markup=False, highlight=False)

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _color(self, speaker: str) -> str:
        """Choose the color of a speaker's words; those of nobody in particular have none."""
        known = list(self.status.speakers)
        return COLORS[known.index(speaker) % len(COLORS)] if speaker in known else ""

    def _picture(self) -> RenderableType:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, 1))
        none = SpeakerTail(TAIL_CHARACTERS)
        shown = [(self._source, self.status.source, self.status.tentative)]
        shown += [(one, self.status.target.get(one, none), self.status.draft.get(one, "")) for one in self._targets]
        for language, committed, tentative in shown:
            turns = [(f"{text} ", self._color(speaker)) for speaker, text in committed.pieces()] or [(" ", "")]
            grid.add_row(Text(language, "bold cyan"), Text.assemble(*turns, (tentative, "bright_black")))
        grid.add_row("", Text(self.status.line(), "bright_black"))
        return grid


def _tail(text: str) -> str:
    """Return the end of a text, from a word on."""
    text = legible(text)
    if len(text) <= TAIL_CHARACTERS:
        return text
    return "…" + text[-TAIL_CHARACTERS:].partition(" ")[2]
