"""What a terminal shows of a session: the translation on standard output, everything else on standard error."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from pipeline.clock import Clock
from pipeline.contracts import Sink
from pipeline.events import (
    Busy,
    DeviceBack,
    DeviceLost,
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Skipped,
    Transcript,
    text_of,
)
from pipeline.outputs.background_text import unwritable
from pipeline.outputs.legible import legible
from pipeline.outputs.outcome import Outcome

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REDRAW_S = 0.125  # at most 8 times a second: more flickers, and costs the models time
TAIL_CHARACTERS = 160  # of committed text on screen: about two lines; more is in the captions


def notice_line(event: Event) -> str | None:
    """A notice as one line for people; `None` for events that are none, and for `Lag`, which the status shows."""
    match event:
        case Gap():
            return f"not heard: {minutes(event.start)} to {minutes(event.end)}, {legible(event.reason)}"
        case Skipped() if event.first == event.last:
            return f"shown, not spoken: unit {event.first}, {legible(event.reason)}"
        case Skipped():
            return f"shown, not spoken: units {event.first} to {event.last}, {legible(event.reason)}"
        case LanguageChanged():
            return f"the speaker now speaks {event.language!r}"
        case DeviceLost():
            return f"lost the audio device {legible(event.name)!r}; waiting for it to come back"
        case DeviceBack():
            return f"the audio device {legible(event.name)!r} is back"
        case Fault():
            return f"{event.stage}: {legible(event.message)}"
        case _:
            return None


def unit_line(unit: ReadingUnit, several: bool) -> str:
    """A unit's text as one line, begun with its target language if there are ``several``; empty if there is none."""
    text = legible(unit.text)
    return f"{unit.target}: {text}" if text and several else text


def minutes(seconds: float) -> str:
    """Stream time as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass(slots=True)
class Status:
    """What is known of a session at one moment, translations by target language; bounded however long it lasts."""

    heard_s: float = 0.0
    source: str = ""
    tentative: str = ""
    target: dict[str, str] = field(default_factory=dict)
    draft: dict[str, str] = field(default_factory=dict)
    lag: Lag | None = None
    busy_s: dict[str, float] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case Transcript():
                self.heard_s = event.heard_s
                self.source = _tail(self.source + "".join(word.text for word in event.committed))
                self.tentative = _tail(text_of(event.tentative))
            case ReadingUnit():
                self.target[event.target] = _tail(self.target.get(event.target, "") + " " + event.text)
                self.draft[event.target] = ""
            case Draft():
                self.draft[event.language] = _tail(event.text)
            case Lag():
                self.lag = event
            case Busy():
                self.busy_s[event.stage] = event.seconds

    def line(self) -> str:
        """Where the session stands: time, lag, and how long each stage's last call took."""
        parts = [minutes(self.heard_s)]
        if self.lag is not None:
            parts.append(f"lag {self.lag.ear_voice_s:.1f} s")
            parts.append(f"waiting {self.lag.backlog_s:.1f} s")
            parts.append(f"rate {self.lag.rate:.2f}")
        parts += [f"{stage} {seconds * 1000:.0f} ms" for stage, seconds in self.busy_s.items()]
        return " · ".join(parts)


class TranslationLines:
    """A sink that prints each committed unit as a line, for pipes, begun with its language if there are several.

    ``unread`` is called when nobody reads any more; `put` raises `DeviceError` where a file takes no more.
    """

    def __init__(self, out: TextIO, unread: Callable[[], None], several: bool = False) -> None:
        self._out = out
        self._unread = unread
        self._several = several

    async def put(self, event: Event) -> None:
        """Print a unit's text."""
        if isinstance(event, ReadingUnit) and (line := unit_line(event, self._several)):
            try:
                print(line, file=self._out, flush=True)  # noqa: T201 - the product's output
            except BrokenPipeError:
                _forget(self._out)
                self._unread()
            except OSError as error:
                raise unwritable(error) from error

    async def close(self) -> None:
        """Nothing is held back."""


class PlainView:
    """A sink that tells what happens in plain lines, for logs: what was said, cut as the units of ``target``; notices."""

    def __init__(self, out: TextIO, target: str) -> None:
        self._out = out
        self._target = target
        self._outcome = Outcome(target)

    async def put(self, event: Event) -> None:
        """Print the source words of a unit, or a notice."""
        self._outcome.take(event)
        if isinstance(event, ReadingUnit) and event.target == self._target:
            self._print(f"{minutes(event.start)}  {legible(text_of(event.source))}")
        elif line := notice_line(event):
            self._print(f"notice: {line}")

    async def close(self) -> None:
        """Nothing is held back; say what came of it."""
        if line := self._outcome.line():
            self._print(line)

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)  # noqa: T201


class LiveView:
    """A sink that keeps a few lines of a terminal up to date: committed text in full, tentative text in gray.

    Notices, and the translation if ``scroll`` (the terminal is also standard output), scroll past above.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock,
        source: str,
        targets: Sequence[str],
        scroll: bool,
        *,
        spoken: str | None = None,
    ) -> None:
        from rich.live import Live  # noqa: PLC0415 - loads slowly

        self.status = Status()
        self._outcome = Outcome(spoken or targets[0])
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
        self._outcome.take(event)
        if self._scroll and isinstance(event, ReadingUnit):
            self._console.print(unit_line(event, len(self._targets) > 1), markup=False, highlight=False)
        if line := notice_line(event):
            self._console.print(line, style="red" if isinstance(event, Fault) else "yellow", markup=False, highlight=False)
        now = self._clock.now()
        if now - self._drawn_at >= REDRAW_S:
            self._drawn_at = now
            self._draw()

    async def close(self) -> None:
        """Draw the last state and leave it on the screen, and below it what came of the session."""
        self._draw()
        self._live.stop()
        if line := self._outcome.line():
            self._console.print(line, markup=False, highlight=False)

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, 1))
        shown = [(self._source, self.status.source, self.status.tentative)]
        shown += [(one, self.status.target.get(one, ""), self.status.draft.get(one, "")) for one in self._targets]
        for language, committed, tentative in shown:
            grid.add_row(Text(language, "bold cyan"), Text.assemble(committed, " ", (tentative, "bright_black")))
        grid.add_row("", Text(self.status.line(), "bright_black"))
        return grid


def console_sinks(
    out: TextIO,
    errors: TextIO,
    clock: Clock,
    source: str,
    targets: Sequence[str],
    *,
    quiet: bool,
    unread: Callable[[], None],
    spoken: str | None = None,
) -> Sequence[Sink]:
    """What shows a session on this terminal, pipe or log; ``quiet``: the translation only.

    Figures are of the target that is ``spoken`` (none: the first).
    """
    lines = TranslationLines(out, unread, several=len(targets) > 1)
    if quiet:
        return [lines]
    if not errors.isatty() or os.environ.get("TERM") == "dumb":  # which can draw nothing over
        return [PlainView(errors, spoken or targets[0]), lines]
    from rich.console import Console  # noqa: PLC0415

    view = LiveView(Console(file=errors), clock, source, targets, out.isatty(), spoken=spoken)
    return [view] if out.isatty() else [lines, view]


def _forget(out: TextIO) -> None:
    """Let what is written to a closed pipe vanish; Python would complain when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)


def _tail(text: str) -> str:
    """The end of a text, from a word on."""
    text = legible(text)
    if len(text) <= TAIL_CHARACTERS:
        return text
    return "…" + text[-TAIL_CHARACTERS:].partition(" ")[2]
