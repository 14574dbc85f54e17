"""A session in which nobody was heard."""

from __future__ import annotations

from pipeline.events import Event, Fault, Transcript


class NothingHeard:
    """Tells at the end of a session in which nobody was heard: else it would look as if it had not run."""

    def __init__(self) -> None:
        self._heard_s: float | None = None  # none: it has not run, or has failed, which is told
        self._words = False

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case Transcript():
                self._heard_s = event.heard_s
                self._words |= bool(event.committed)
            case Fault() if event.fatal:
                self._words = True

    def line(self) -> str | None:
        """What is to be told, if anything."""
        if self._words or self._heard_s is None:
            return None
        return f"no speech was heard in {self._heard_s:.1f} s of audio"
